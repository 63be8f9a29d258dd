"""`./dev torture [--minutes M] [--seed S] [--short | --count N] [SCENARIO[@ROUND] ...]`

Each scenario tries to make the program lose, double or tear something, or stop it from ending well. What it
does follows from the seed; a failing one prints the command that repeats it. The last line is `N passed, N failed`.
"""

import argparse
import asyncio
import signal
import sys
import time
from importlib import import_module
from random import Random
from types import ModuleType

from tests.cli.command import warmed
from tests.torture.figures import Figures
from tests.torture.scenarios import SCENARIOS
from tests.torture.world import World, opened

Results = dict[str, tuple[Figures, float]]


def main() -> int:
    """The exit status: 1 if anything was lost."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is to be stopped
    deadline = time.monotonic() + 60 * asked.minutes
    failed, seed = 0, asked.seed
    while True:
        failed += asyncio.run(_all(asked, seed))
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
    parser.add_argument("--count", type=int, help="so many instead of the form's")
    asked = parser.parse_args()
    for each in asked.scenarios:
        if each.partition("@")[0] not in SCENARIOS:
            parser.error(f"{each!r} is no scenario; there are {', '.join(SCENARIOS)}")
    return asked


async def _all(asked: argparse.Namespace, seed: int) -> int:
    """One pass over the scenarios; how many of them failed."""
    print(f"seed {seed}, {'short' if asked.short else 'long'} form", flush=True)
    results: Results = {}
    async with opened(seed) as world, warmed(world.folder):
        world.progress = _progress
        for each in asked.scenarios or SCENARIOS:
            name, _, only = each.partition("@")
            world.only = int(only) if only else None
            scenario = import_module(f"tests.torture.{name}")
            count = asked.count or (scenario.SHORT if asked.short else scenario.LONG)
            results[name] = await _one(scenario, world, count)
            print(f"\r\033[K{name:10} {results[name][0].line()}, {results[name][1]:.0f} s", flush=True)
    return _report(
        results, seed, " --short" * asked.short + (f" --count {asked.count}" if asked.count else "")
    )


async def _one(scenario: ModuleType, world: World, count: int) -> tuple[Figures, float]:
    began = time.monotonic()
    figures = await scenario.run(world, count, Random(f"{world.seed} {scenario.NAME}"))
    return figures, time.monotonic() - began


def _report(results: Results, seed: int, form: str) -> int:
    print(f"\n{'scenario':10} {'result':8} {'s':>6}  figures")
    for name, (figures, seconds) in results.items():
        word = "skipped" if figures.skipped else "passed" if figures.has_passed else "FAILED"
        print(f"{name:10} {word:8} {seconds:6.0f}  {figures.line()}")
    for name, (figures, _) in results.items():
        for loss in figures.losses[:20]:
            print(f"{name}: {loss}")
        if figures.losses:
            print(f"{name}: again: ./dev torture --seed {seed}{form} {name}")
    failed = sum(not figures.has_passed for figures, _ in results.values())
    passed = sum(figures.has_passed and not figures.skipped for figures, _ in results.values())
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed


def _progress(line: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K{line[:150]}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
