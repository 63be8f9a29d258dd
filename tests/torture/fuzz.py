"""A million bent inputs in every reader of foreign bytes: no unclassified error, no other value, none over 100 ms.

Guided by coverage where atheris is installed (`.venv/bin/pip install atheris==3.0.0`; it has wheels for Linux),
by new outcomes alone where it is not. Both judge alike, see `tests.fuzz`.
"""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.fuzz.cases import LIMIT
from tests.fuzz.targets import TARGETS
from tests.torture.figures import Figures
from tests.torture.world import World

NAME = "fuzz"
LONG, SHORT = 1_000_000, 100_000
AT_ONCE = 2
_ROOT = Path(__file__).parents[2]
_KEPT = _ROOT / ".fuzz"


@dataclass(frozen=True)
class Ended:
    """What one target's process left behind."""

    name: str
    status: int
    folder: Path
    said: str

    @property
    def tally(self) -> dict[str, float]:
        path = self.folder / "tally.json"
        return json.loads(path.read_text()) if path.is_file() else {"cases": 0, "slowest": 0.0}


async def run(world: World, count: int, chance: Random) -> Figures:
    """Every target its share of `count` cases; `@1` and so on tries that target alone."""
    figures = Figures()
    module = "guided" if find_spec("atheris") else "unguided"
    figures.facts["by"] = "atheris" if module == "guided" else "own mutation"
    seed = chance.randrange(1, 1 << 31)
    names = list(TARGETS)[world.only - 1 : world.only] if world.only else list(TARGETS)
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Ended:
        async with at_once:
            world.progress(f"fuzz {name}")
            return await _judged(
                module, name, count * TARGETS[name].share // 100, seed, world.folder / "fuzz" / name
            )

    for number, ended in enumerate(await asyncio.gather(*map(one, names)), 1):
        _note(figures, number, ended)
    return figures


async def _judged(module: str, name: str, cases: int, seed: int, folder: Path) -> Ended:
    command = (sys.executable, "-m", f"tests.fuzz.{module}", name, str(cases), str(seed), str(folder))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=_politely,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(name, process.returncode, folder, said.decode(errors="replace"))


def _politely() -> None:
    os.nice(10)


def _note(figures: Figures, number: int, ended: Ended) -> None:
    tally = ended.tally
    figures.tried += int(tally["cases"])
    slowest = round(1000 * tally["slowest"])
    if slowest >= figures.facts.get("slowest ms", 0):
        figures.facts |= {"slowest ms": slowest, "of": ended.name}
    if tally["slowest"] > LIMIT or ended.status:
        figures.lose(number, [f"finding: {ended.name}: {_finding(ended)}"])


def _finding(ended: Ended) -> str:
    """What it says, and where its input is kept: as a file of the corpus it becomes a test."""
    inputs = sorted(ended.folder.glob("crash-*")) + sorted(ended.folder.glob("timeout-*"))
    for path in inputs:
        _KEPT.mkdir(exist_ok=True)
        shutil.copy(path, _KEPT / f"{ended.name}-{path.name}")
    said = [line for line in ended.said.splitlines() if "FindingError" in line]
    again = [f"python -m tests.fuzz.unguided {ended.name} .fuzz/{ended.name}-{path.name}" for path in inputs]
    return "; ".join(said[-1:] + again) or ended.said[-500:]
