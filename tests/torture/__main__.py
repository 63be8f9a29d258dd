"""`./dev torture [--minutes M] [--seed S] [--short | --count N] [--twice] [SCENARIO[@ROUND] ...]`

Each scenario tries to make the program lose, double or tear something, or stop it from ending well. What it
does follows from the seed; a failing one prints the command that repeats it. The last line is `N passed, N failed`.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from random import Random

from tests.support.command_process import warmed
from tests.support.interrupts import accept_interrupts
from tests.torture.figures import Figures
from tests.torture.scenarios import SCENARIOS
from tests.torture.world import World, opened


def main() -> int:
    """The exit status: 1 if anything was lost, 130 if it was stopped."""
    asked = _arguments()
    accept_interrupts()
    deadline = time.monotonic() + 60 * asked.minutes
    failed, seed = 0, asked.seed
    while True:
        try:
            failed += asyncio.run(_all(asked, seed))
        except KeyboardInterrupt:
            print(f"\ntorture: stopped; {failed} failed before it", file=sys.stderr)
            return 130
        seed += 1
        if time.monotonic() >= deadline:
            return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev torture", description=__doc__.partition("\n\n")[2])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO[@ROUND]", help=", ".join(SCENARIOS))
    parser.add_argument("--short", action="store_true", help="the counts of CI")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="the same seed does the same"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="go on with the next seed until these are over"
    )
    parser.add_argument(
        "--twice", action="store_true", help="what fails is tried once more, with the next seed"
    )
    parser.add_argument("--count", type=int, help="so many instead of the form's")
    asked = parser.parse_args()
    if asked.count is not None and asked.count < 1:
        parser.error(f"--count {asked.count}: nothing would be tried")
    for each in asked.scenarios:
        if each.partition("@")[0] not in SCENARIOS:
            parser.error(f"{each!r} is no scenario; there are {', '.join(SCENARIOS)}")
    return asked


@dataclass(frozen=True)
class _Result:
    name: str
    seed: int
    figures: Figures
    seconds: float

    @property
    def word(self) -> str:
        return "skipped" if self.figures.skipped else "passed" if self.figures.has_passed else "FAILED"


async def _all(asked: argparse.Namespace, seed: int) -> int:
    """One pass over the scenarios; how many of them failed."""
    print(f"seed {seed}, {'short' if asked.short else 'long'} form", flush=True)
    results: list[_Result] = []
    async with opened(seed) as world, warmed(world.folder):
        world.progress = _progress
        for each in asked.scenarios or SCENARIOS:
            results.append(await _one(world, each, asked))
            if asked.twice and not results[-1].figures.has_passed:
                world.seed += 1
                results.append(await _one(world, each, asked))
    return _report(results, " --short" * asked.short + (f" --count {asked.count}" if asked.count else ""))


async def _one(world: World, asked_for: str, asked: argparse.Namespace) -> _Result:
    """One scenario, or the one round of it that is asked for as NAME@ROUND."""
    name, _, only = asked_for.partition("@")
    world.only = int(only) if only else None
    scenario = import_module(f"tests.torture.{name}")
    count = asked.count or (scenario.SHORT if asked.short else scenario.LONG)
    began = time.monotonic()
    figures = await scenario.run(world, count, Random(f"{world.seed} {scenario.NAME}"))
    found = _Result(name, world.seed, figures, time.monotonic() - began)
    print(f"\r\033[K{name:10} {figures.line()}, {found.seconds:.0f} s", flush=True)
    return found


def _report(results: Sequence[_Result], form: str) -> int:
    print(f"\n{'scenario':10} {'result':8} {'s':>6}  figures")
    for found in results:
        print(f"{found.name:10} {found.word:8} {found.seconds:6.0f}  {found.figures.line()}")
    for found in results:
        for loss in found.figures.losses[:20]:
            print(f"{found.name}: {loss}")
        if found.figures.losses:
            print(f"{found.name}: again: ./dev torture --seed {found.seed}{form} {found.name}")
    last = {found.name: found.word for found in results}.values()
    failed, passed = list(last).count("FAILED"), list(last).count("passed")
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed


def _progress(line: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{line[:150]}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
