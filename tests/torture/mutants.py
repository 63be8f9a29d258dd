"""Seeds one bug after another in a copy of the tree and runs the tests that must catch it, see `tests.mutants`."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.support.harness import url
from tests.torture.figures import Figures
from tests.torture.world import World

NAME = "mutants"
LONG, SHORT = len(MUTANTS), 30
_ROOT = Path(__file__).parents[2]
_PARTS = ("collector", "tests", "migrations", "config", "pyproject.toml")
_PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
_PATIENCE = 300.0
_CAUGHT, _PASSED = 1, 0


async def run(world: World, count: int, chance: Random) -> Figures:
    """As many bugs as asked for, two at once; `@N` seeds the N-th alone. Without any, all their tests pass."""
    figures = Figures()
    trees = [_copy(world.folder / f"tree{number}") for number in range(world.sides)]
    numbered = list(enumerate(MUTANTS))
    if world.only is not None:
        numbered = [numbered[world.only]]
    elif count < len(MUTANTS):
        numbered = chance.sample(numbered, count)
    env = os.environ | {"DATABASE_URL": url(world.cluster.address)}
    todo = iter(numbered)

    async def side(tree: Path) -> None:
        for number, mutant in todo:
            world.progress(f"mutants {figures.tried} tried; {mutant.name}")
            figures.lose(number, await _tried(tree, mutant, env))
            figures.tried += 1

    figures.lose(0, await _unmutated(trees[0], [mutant for _, mutant in numbered], env))
    if figures.has_passed:
        await asyncio.gather(*map(side, trees))
    figures.facts["caught"] = figures.tried - len(figures.losses)
    return figures


def _copy(tree: Path) -> Path:
    tree.mkdir()
    for part in _PARTS:
        if (_ROOT / part).is_dir():
            shutil.copytree(_ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(_ROOT / part, tree / part)
    return tree


async def _unmutated(tree: Path, mutants: list[Mutant], env: dict[str, str]) -> list[str]:
    tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
    status, said = await _pytest(tree, tests, env, patience=4 * _PATIENCE)
    return [] if status == _PASSED else [f"broken: tests fail without any bug: {said}"]


async def _tried(tree: Path, mutant: Mutant, env: dict[str, str]) -> list[str]:
    with _seeded(tree / mutant.file, mutant):
        status, said = await _pytest(tree, dict.fromkeys(mutant.tests), env, patience=_PATIENCE)
    if status == _CAUGHT:
        return []
    if status == _PASSED:
        return [f"uncaught: {mutant.name}"]
    return [f"broken: {mutant.name}: {'no end' if status is None else f'pytest ended with {status}: {said}'}"]


@contextmanager
def _seeded(file: Path, mutant: Mutant) -> Iterator[None]:
    sound = file.read_text(encoding="utf-8")
    try:
        _write(file, sound.replace(mutant.old, mutant.new))
        yield
    finally:
        _write(file, sound)


def _write(file: Path, text: str) -> None:
    """Its bytecode goes too: one of the same second and size would be taken for that of the new text."""
    file.write_text(text, encoding="utf-8")
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()


async def _pytest(
    tree: Path, tests: dict[str, None], env: dict[str, str], *, patience: float
) -> tuple[int | None, str]:
    """How pytest ends and what it says last; None if it does not end in time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *_PYTEST, *tests),
        cwd=tree,
        env=env | {"PYTHONPATH": str(tree)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(patience):
            said, _ = await process.communicate()
    except TimeoutError:
        return None, ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, " ".join(said.decode(errors="replace").split()[-40:])
