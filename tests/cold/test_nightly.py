"""What the daemon does with old days at night."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector import config
from collector.cli import nightly
from collector.cli.world import World
from collector.config import Environment
from collector.daemon import Roster
from collector.model import KST
from collector.postgres import Address
from collector.secret import Secret
from tests.backfill.histories import CALENDAR
from tests.cold.stand import DAY, fill, rows_of
from tests.stand import execute, url

CONFIG = "universes:\n  all:\n    - {market: KOSPI, sectors: [001]}\ndatabase:\n  archive_after_days: 30\n"
NOTHING: dict[str, Any] = {"schedules": (), "calendar": CALENDAR, "targets": {}}


def found(address: Address, folder: Path) -> World:
    """The world of a daemon whose DATABASE_URL was in the environment itself."""
    path = folder / "collector.yaml"
    path.write_text(CONFIG)
    return World(Environment(database_url=Secret(url(address))), config.load(path))


@pytest.mark.parametrize(
    ("days", "now", "before"),
    [
        pytest.param(30, datetime(2026, 11, 20, 0, 5, tzinfo=KST), date(2026, 10, 21), id="after midnight"),
        pytest.param(
            1, datetime(2026, 11, 20, 5, 59, tzinfo=KST), date(2026, 11, 19), id="until the morning"
        ),
        pytest.param(
            1, datetime(2026, 11, 22, 0, 5, tzinfo=KST), date(2026, 11, 20), id="not what is on show"
        ),
        pytest.param(30, datetime(2026, 11, 20, 6, 0, tzinfo=KST), None, id="not by day"),
        pytest.param(0, datetime(2026, 11, 20, 0, 5, tzinfo=KST), None, id="never"),
    ],
)
def test_old_days_are_archived_at_night(days: int, now: datetime, before: date | None) -> None:
    assert Roster(**NOTHING, archive_after_days=days).archivable(now) == before


async def test_a_night_moves_the_days_that_are_old_enough(
    database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    await fill(database)
    with capture_logs() as logs:
        await nightly.archiver(found(database, tmp_path))(date(2026, 11, 20))
    assert await rows_of(database) == []
    assert [line["event"] for line in logs] == ["archive.said"] * 2
    assert (tmp_path / "home" / "archive" / "snapshot" / f"date={DAY}" / "KRX.parquet").is_file()


async def test_a_night_leaves_days_alone_that_were_brought_back(
    database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    await fill(database)
    await execute(
        database,
        "INSERT INTO collector.archive (day, exchange, file, rows, bytes, digest, restored_at)"
        " VALUES ($1, 'KRX', '/x', 1, 1, '', now())",
        DAY,
    )
    before = await rows_of(database)
    await nightly.archiver(found(database, tmp_path))(date(2026, 11, 20))
    assert await rows_of(database) == before


async def test_a_night_that_fails_says_why(
    database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    (tmp_path / "home").touch()
    await fill(database)
    with capture_logs() as logs:
        await nightly.archiver(found(database, tmp_path))(date(2026, 11, 20))
    [line] = logs
    assert (line["event"], line["code"]) == ("archive.failed", 2)
    assert "home/archive cannot be written: Not a directory" in line["reason"]


async def test_a_night_without_a_process_to_be_had_says_why_and_ends_nothing(
    database: Address, tmp_path: Path
) -> None:
    too_long = replace(found(database, tmp_path), config=config.parse(CONFIG.encode(), "x" * 200_000))
    with capture_logs() as logs:
        await nightly.archiver(too_long)(date(2026, 11, 20))
    [line] = logs
    assert (line["event"], line["reason"]) == ("archive.failed", "it does not start: Argument list too long")
