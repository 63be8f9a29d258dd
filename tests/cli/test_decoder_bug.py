"""A day collected by a version with a bug in its decoder, and replayed by this one: the rows are those served."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import KST, Target
from kiwoom_simulator.market.market import SimulatedMarket
from tests.support.command_process import environment, run
from tests.support.day_collector import list_slots
from tests.support.harness import TORN, as_stored, fetch, stored_walks, url

ROOT = Path(__file__).parents[2]
OPENING = datetime(2026, 11, 20, 9, 5, tzinfo=KST)
DAY = 77
"""Slots from 09:05 to 15:25."""
LARGE = Target.of("KOSDAQ", "139", "KRX")
SMALL = [Target.of("KOSPI", "013", "KRX"), Target.of("KOSPI", "013", "NXT"), Target.of("KOSPI", "005", "NXT")]
PROTOCOL = Path("collector", "kiwoom", "protocol")


@dataclass(frozen=True)
class DecoderBug:
    """A line of the decoder as it is, the same line with the bug, and the slots that are collected with it."""

    file: Path
    sound: str
    wrong: str
    slots: int = 2
    targets: Sequence[Target] = (LARGE, *SMALL)


BUGS = {
    "high and low are exchanged, for a day": DecoderBug(
        PROTOCOL / "quotes.py", "        *depth,\n", "        *depth[:3], depth[4], depth[3],\n", DAY
    ),
    "changes lose their sign": DecoderBug(
        PROTOCOL / "quotes.py", "        amounts.change,\n", "        array('i', map(abs, amounts.change)),\n"
    ),
    "the last row of each page is lost": DecoderBug(
        PROTOCOL / "responses.py",
        "return _limit_rows(answer.inds_stkpc), [], 0",
        "return _limit_rows(answer.inds_stkpc)[:-1], [], 0",
    ),
    "rates of two decimals are refused": DecoderBug(
        PROTOCOL / "numbers.py", r"(?:\.([0-9]{1,2}))?", r"(?:\.([0-9]{1,1}))?"
    ),
    # A walk of several pages fails at its first one and never sees the others: those cannot be made good.
    "pages are unreadable": DecoderBug(
        PROTOCOL / "responses.py", "len(rows) > _MOST_ROWS", "len(rows) > 50", 1, SMALL
    ),
}


def seed(bug: DecoderBug, tree: Path) -> None:
    """A copy of the program with the bug; compiled files go with it, so that Python compiles one module only."""
    half_written = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(ROOT / "collector", tree / "collector", ignore=half_written)
    for folder in ("migrations", "config"):
        (tree / folder).symlink_to(ROOT / folder)
    path = tree / bug.file
    text = path.read_text(encoding="utf-8")
    assert text.count(bug.sound) == 1
    path.write_text(text.replace(bug.sound, bug.wrong), encoding="utf-8")


async def collect(database: Dsn, bug: DecoderBug, tree: Path) -> None:
    """Sweep the slots in a process that has the copy first on its path."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.support.day_collector"),
        *(OPENING.isoformat(), str(bug.slots), *map(str, bug.targets)),
        env=os.environ | {"PYTHONPATH": f"{tree}{os.pathsep}{ROOT}", "DATABASE_URL": url(database)},
        cwd=tree,
    )
    assert await process.wait() == 0


@pytest.mark.extended
@pytest.mark.parametrize("name", BUGS)
async def test_a_day_read_by_a_decoder_with_a_bug_is_put_right(
    database: Dsn, tmp_path: Path, name: str
) -> None:
    bug = BUGS[name]
    seed(bug, tmp_path / "tree")
    await collect(database, bug, tmp_path / "tree")
    market, slots = SimulatedMarket(), list_slots(OPENING, bug.slots)
    served = {
        (slot, target): [as_stored(row) for row in market.rows(target.sector, target.exchange, slot)]
        for slot in slots
        for target in bug.targets
    }
    collected = await stored_walks(database, served)
    wrong = [key for key, rows in served.items() if collected[key] != rows]
    assert len(wrong) >= len(served) // 2
    done = await run("replay", "--quiet", env=environment("http://127.0.0.1:1", database), cwd=tmp_path)
    assert done.code == 0, done.err
    replayed = await stored_walks(database, served)
    for key, rows in served.items():
        assert replayed[key] == rows, key
    assert await fetch(database, TORN) == []
    lines = "SELECT DISTINCT status, remarks FROM walk WHERE rows > 0"
    assert await fetch(database, lines) == [("complete", [])]
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]
