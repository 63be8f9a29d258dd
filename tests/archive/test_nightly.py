"""What the daemon does with old days at night."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collector import config
from collector.archive.proof import why_damaged
from collector.archive.store import Locator
from collector.cli.archive_job import make_archive_job, prover
from collector.cli.context import CliContext
from collector.config import Environment
from collector.daemon import Upkeep
from collector.db.dsn import Dsn
from collector.model import KST
from collector.secret import Secret
from tests.support.archive_harness import DAY, archived, rows_of
from tests.support.bar_histories import CALENDAR
from tests.support.harness import execute, fetch, url

CONFIG = "universes:\n  all:\n    - {market: KOSPI, sectors: [001]}\ndatabase:\n  archive_after_days: 30\n"


def found(address: Dsn, folder: Path) -> CliContext:
    """The world of a daemon whose DATABASE_URL was in the environment itself."""
    path = folder / "collector.yaml"
    path.write_text(CONFIG)
    return CliContext(Environment(database_url=Secret(url(address))), config.load(path))


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
    assert Upkeep(archive_after_days=days).archivable(CALENDAR, now) == before


@pytest.mark.extended
async def test_a_night_moves_the_days_that_are_old_enough(
    filled: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    with capture_logs() as logs:
        await make_archive_job(found(filled, tmp_path))(date(2026, 11, 20))
    assert await rows_of(filled) == []
    assert [line["event"] for line in logs] == ["archive.output"] * 2
    assert (tmp_path / "home" / "archive" / "snapshot" / f"date={DAY}" / "KRX.parquet").is_file()


@pytest.mark.extended
async def test_a_night_leaves_days_alone_that_were_brought_back(
    filled: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    await execute(
        filled,
        "INSERT INTO collector.archive (day, exchange, file, rows, bytes, digest, restored_at)"
        " VALUES ($1, 'KRX', '/x', 1, 1, '', now())",
        DAY,
    )
    before = await rows_of(filled)
    await make_archive_job(found(filled, tmp_path))(date(2026, 11, 20))
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_a_night_that_fails_says_why(
    filled: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    (tmp_path / "home").touch()
    with capture_logs() as logs:
        await make_archive_job(found(filled, tmp_path))(date(2026, 11, 20))
    [line] = logs
    assert (line["event"], line["code"]) == ("archive.failed", 2)
    assert "home/archive cannot be written: Not a directory" in line["reason"]


async def test_a_night_without_a_process_to_be_had_says_why_and_ends_nothing(
    database: Dsn, tmp_path: Path
) -> None:
    too_long = replace(found(database, tmp_path), config=config.parse(CONFIG.encode(), "x" * 200_000))
    with capture_logs() as logs:
        await make_archive_job(too_long)(date(2026, 11, 20))
    [line] = logs
    assert (line["event"], line["reason"]) == ("archive.failed", "it does not start: Argument list too long")


@pytest.fixture
async def noted(filled: Dsn, tmp_path: Path) -> list[tuple[str, str]]:
    """The files of a day and their digests, as the database has noted them; that of KRX is the first."""
    await archived(filled, tmp_path)
    return [
        (file, digest)
        for file, digest in await fetch(filled, "SELECT file, digest FROM archive ORDER BY exchange")
    ]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x55
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "untouched": (lambda path: None, None),
    "moved away": (lambda path: path.rename(path.with_suffix(".away")), "is not there"),
    "cut off": (_cut, "parquet"),
    "a byte": (_flip, "parquet"),
    "empty": (lambda path: path.write_bytes(b""), "parquet"),
    "another day's": (lambda path: None, "holds rows of"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_day_counts_as_archived_only_while_its_files_are_there_and_whole(
    noted: list[tuple[str, str]], damage: str
) -> None:
    spoil, reason = DAMAGES[damage]
    spoil(Path(noted[0][0]))
    day = date(2026, 11, 18) if damage == "another day's" else DAY
    said = why_damaged(day, noted, Locator())
    assert (said == "") if reason is None else (reason in said)


@pytest.mark.extended
@pytest.mark.parametrize("damage", ["untouched", "cut off"])
async def test_the_daemon_has_the_files_of_a_day_read_by_a_process(
    filled: Dsn, tmp_path: Path, noted: list[tuple[str, str]], damage: str
) -> None:
    spoil, reason = DAMAGES[damage]
    spoil(Path(noted[0][0]))
    said = await prover(found(filled, tmp_path))(DAY, noted)
    assert (said == "") if reason is None else (reason in said)


@pytest.mark.extended
async def test_a_day_with_a_users_view_on_it_stays_and_the_others_are_archived(
    two_days: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    await execute(two_days, "CREATE VIEW public.mine AS SELECT * FROM collector.snapshot_20261118")
    with capture_logs() as logs:
        await make_archive_job(found(two_days, tmp_path))(date(2026, 11, 20))
    assert [line["event"] for line in logs] == ["archive.output"] * 2 + ["archive.failed"]
    assert "2026-11-18 stays in the database" in logs[-1]["reason"]
    assert "view mine depends on" in logs[-1]["reason"]
    days = await fetch(two_days, "SELECT DISTINCT (slot + INTERVAL '9 hours')::date FROM snapshot")
    assert days == [(date(2026, 11, 18),)]


@pytest.mark.extended
async def test_nothing_is_archived_while_a_walk_of_the_future_is_stored(
    filled: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HOME", str(tmp_path / "home"))
    before = await rows_of(filled)
    await execute(filled, "UPDATE collector.walk SET received_at = clock_timestamp() + INTERVAL '2 days'")
    with capture_logs() as logs:
        await make_archive_job(found(filled, tmp_path))(date(2026, 11, 20))
    assert "2 days in the future" in logs[-1]["reason"]
    assert await rows_of(filled) == before
