"""The notebooks and the snippets of the how-to, run as they are against a simulated week and an empty database."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("adbc_driver_postgresql", reason="the extra `read` is not installed")
if find_spec("altair") is None:
    pytest.skip("the notebooks draw with altair", allow_module_level=True)

from collector.db import setup
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import KST, Target
from tests.support.command_process import Ended
from tests.support.day_collector import collect_slots
from tests.support.fork_server import ONE_THREAD
from tests.support.harness import execute, url
from tests.support.postgres_server import Server

pytestmark = pytest.mark.extended

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
PAGES = [ROOT / "docs" / "how-to" / f"read-from-python{language}.md" for language in ("", ".ko")]
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
FRIDAY = datetime(2026, 11, 20, 15, 40, tzinfo=KST)
MORNING = FRIDAY.replace(hour=9, minute=1)
SECTORS = [Target.of("KOSPI", code, "KRX") for code in ("005", "008", "013", "019", "021")]
ELECTRIC = SECTORS[2]
MISSED = (14, 15, 16)


@pytest.fixture(scope="module")
async def week(server: Server, template: str) -> AsyncIterator[Dsn]:
    """The closes of five sectors from Monday to Friday, and minutes of one sector; three were missed."""
    async with server.database(template=template) as address:
        closes = [FRIDAY - timedelta(days=days) for days in (4, 3, 2, 1, 0)]
        minutes = [MORNING + timedelta(minutes=minute) for minute in range(30) if minute not in MISSED]
        await collect_slots(address, closes[:-1], SECTORS)
        await collect_slots(address, minutes, [ELECTRIC])
        await collect_slots(address, closes[-1:], SECTORS)
        for minute in MISSED:
            await execute(
                address,
                "INSERT INTO collector.walk (slot, target, status, error) SELECT $1, id, 'missed', 'restart'"
                " FROM collector.target WHERE market = 'KOSPI' AND sector = '013'",
                MORNING + timedelta(minutes=minute),
            )
        async with connect(address) as connection:
            await setup.seed_sectors(connection)
        yield address


def _environment(address: Dsn | str) -> dict[str, str]:
    """Warnings are errors. SQLAlchemy leaves its connections to the end of the process."""
    return {
        "DATABASE_URL": address if isinstance(address, str) else url(address),
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONWARNINGS": "error,ignore::ResourceWarning",
    }


class WarmPython:
    """The line to a process of `tests.support.warm_python`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, address: Dsn | str, program: str, scratch: Path, where: Path = ROOT) -> Ended:
        assert self._process.stdin
        assert self._process.stdout
        out, err = scratch / "out", scratch / "err"
        out.touch()
        err.touch()
        order = {"program": program, "env": _environment(address), "cwd": str(where)}
        self._process.stdin.write(json.dumps({**order, "out": str(out), "err": str(err)}).encode() + b"\n")
        code = await self._process.stdout.readline()
        return Ended(int(code), out.read_text(), err.read_text())


@pytest.fixture(scope="module")
async def python() -> AsyncIterator[WarmPython]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.warm_python"),
        env=_environment("") | ONE_THREAD,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield WarmPython(process)
    assert process.stdin
    process.stdin.close()
    await process.wait()


async def run_cold(address: Dsn, *arguments: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env=_environment(address),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def chart_points(result: Ended) -> list[dict[str, Any]]:
    """The data of the one chart that a notebook drew."""
    [chart] = [json.loads(line) for line in result.out.splitlines() if line.startswith("{")]
    [points] = chart["datasets"].values()
    return list(points)


def find_notebook(name: str) -> str:
    return next(str(path) for path in NOTEBOOKS if path.stem == name)


async def test_the_breadth_of_a_day_adds_up(week: Dsn) -> None:
    """In a process from nothing; the other notebooks run in forks of one that has loaded their libraries."""
    result = await run_cold(week, "-m", "tests.support.notebook", find_notebook("breadth_of_a_day"))
    assert (result.code, result.err) == (0, "")
    points = [point for point in chart_points(result) if point["방향"] == "상승"]
    assert len(points) == 30 - len(MISSED) + 1
    assert all(0 <= point["종목 수"] <= 81 for point in points)


async def test_the_rotation_of_sectors_has_a_picture_with_each_sector_and_day(
    week: Dsn, python: WarmPython, tmp_path: Path
) -> None:
    result = await python.run(week, find_notebook("sector_rotation"), tmp_path)
    assert (result.code, result.err) == (0, "")
    points = chart_points(result)
    days = {f"11-{day}" for day in range(16, 21)}
    assert {point["날짜"] for point in points} == days
    assert len({(point["날짜"], point["업종"]) for point in points}) == 5 * len(SECTORS) == len(points)


async def test_missed_minutes_stay_empty_in_the_momentum(
    week: Dsn, python: WarmPython, tmp_path: Path
) -> None:
    result = await python.run(week, find_notebook("minute_momentum"), tmp_path)
    assert (result.code, result.err) == (0, "")
    assert "30 slots, 3 missed: 09:15, 09:16, 09:17" in result.out
    assert "ka20002" in result.out
    empty = {point["시각"] for point in chart_points(result) if point["모멘텀(%)"] is None}
    assert {"09:15", "09:16", "09:17", "09:20", "09:21", "09:22"} <= empty
    assert "09:19" not in empty


def test_each_notebook_is_tried_and_holds_no_output() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["breadth_of_a_day", "minute_momentum", "sector_rotation"]
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert text.count('"outputs": []') == text.count('"cell_type": "code"')


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
async def test_a_notebook_on_an_empty_database_says_that_nothing_is_stored(
    database: Dsn, python: WarmPython, tmp_path: Path, name: str
) -> None:
    result = await python.run(database, find_notebook(name), tmp_path)
    assert result.code == 1
    assert "NothingStored: nothing complete was ever stored of KOSPI" in result.err.splitlines()[-1]


async def test_a_database_that_does_not_answer_is_named(python: WarmPython, tmp_path: Path) -> None:
    nowhere = "postgresql://viewer:s3cret@127.0.0.1:9/prices"
    result = await python.run(nowhere, find_notebook("breadth_of_a_day"), tmp_path)
    assert result.code == 1
    assert "127.0.0.1:9" in result.err.splitlines()[-1]
    assert "s3cret" not in result.out + result.err


@pytest.mark.parametrize("position", range(len(SNIPPETS)))
async def test_each_snippet_of_the_page_runs(
    week: Dsn, python: WarmPython, tmp_path: Path, position: int
) -> None:
    if "import polars" in SNIPPETS[position]:
        pytest.importorskip("polars", reason="polars is in the lock of readers")
    result = await python.run(week, SNIPPETS[position], tmp_path, where=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert result.out or "print" not in SNIPPETS[position]


def test_both_languages_show_the_same_snippets() -> None:
    blocks = [re.findall(r"```.*?```", page.read_text(encoding="utf-8"), re.DOTALL) for page in PAGES]
    assert blocks[0] == blocks[1]


def test_a_data_frame_of_breadth_takes_three_lines() -> None:
    assert len([line for line in SNIPPETS[0].splitlines() if line.strip()]) == 3
