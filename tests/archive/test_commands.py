"""`collector archive`, `restore` and `export` as processes: bad input, kills, a full disk, two at once."""

import asyncio
import csv
import io
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import KST
from tests.support.archive_harness import DAY, EVERY_ROW, PARTITIONS, archived, files_in, fill, rows_of
from tests.support.command_process import Ended, environment, run, run_cold, started, until
from tests.support.harness import execute, fetch

BEFORE = "2026-11-20"
KRX = "snapshot/date=2026-11-19/KRX.parquet"
NXT = "snapshot/date=2026-11-19/NXT.parquet"
EXTENDED = pytest.mark.extended
LIMITED = """
import resource, sys
sys.dont_write_bytecode = True  # it would be cut off, and stay
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
sys.argv[0] = "collector"
from collector.cli import main
main()
"""
WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
sys.argv[0] = "collector"
from collector.cli import main
main()
"""


def complaints(ended: Ended) -> str:
    """What is on stderr besides the log, which tells of the tests' hasty server."""
    return "".join(f"{line}\n" for line in ended.err.splitlines() if not line.startswith("{"))


def home(folder: Path) -> Path:
    """Where archived days go without `--to`."""
    return folder / ".collector" / "archive"


async def test_a_day_goes_and_comes_back(filled: Dsn, tmp_path: Path) -> None:
    before, env = await rows_of(filled), environment(None, filled)
    gone = await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)
    assert (gone.code, complaints(gone)) == (0, "")
    assert [line.split()[:4] for line in gone.out.splitlines()] == [
        ["2026-11-19", "KRX", "582", "rows,"],
        ["2026-11-19", "NXT", "105", "rows,"],
    ]
    assert files_in(home(tmp_path)) == [KRX, NXT]
    assert await rows_of(filled) == []
    back = await run("restore", "2026-11-19", env=env, cwd=tmp_path)
    assert (back.code, complaints(back)) == (0, "")
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_what_was_archived_is_still_accounted_for(filled: Dsn, tmp_path: Path) -> None:
    env = environment(None, filled)
    asked = [("verify",), ("status",), ("sql", "SELECT status, count(*) FROM walk GROUP BY 1 ORDER BY 1")]
    await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)
    verified, status, walks = [await run(*each, env=env, cwd=tmp_path) for each in asked]
    assert verified.code == 0
    assert "archived   of 2026-11-19 to 2026-11-19: 687 rows, " in status.out
    assert "complete" in walks.out


@pytest.mark.extended
@pytest.mark.parametrize("sign", ["2026-11-19", KRX, "both"])
async def test_a_day_is_named_by_its_date_or_by_one_of_its_files(
    filled: Dsn, tmp_path: Path, sign: str
) -> None:
    before, env = await rows_of(filled), environment(None, filled)
    await archived(filled, tmp_path / "cold")
    named = (
        ["2026-11-19", f"cold/{NXT}"] if sign == "both" else [sign if sign == "2026-11-19" else f"cold/{KRX}"]
    )
    back = await run("restore", *named, env=env, cwd=tmp_path)
    assert (back.code, complaints(back)) == (0, "")
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_a_day_is_found_where_its_files_were_moved_to(filled: Dsn, tmp_path: Path) -> None:
    env = environment(None, filled)
    await archived(filled, tmp_path / "cold")
    (tmp_path / "cold").rename(tmp_path / "colder")
    lost = await run("restore", "2026-11-19", env=env, cwd=tmp_path)
    assert (lost.code, lost.out) == (1, "")
    assert "there is no file of 2026-11-19" in lost.err
    assert (await run("restore", "2026-11-19", "--from", "colder", env=env, cwd=tmp_path)).code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["archive"], "Missing option '--before'", id="no day"),
        pytest.param(["archive", "--before", "2026-13-01"], "is not a date", id="no such day"),
        pytest.param(["archive", "--before", "{tomorrow}"], "is in the future", id="the future"),
        pytest.param(
            ["archive", "--before", BEFORE, "--to", "a-file"], "a-file cannot be written", id="no folder"
        ),
        pytest.param(
            ["archive", "--before", BEFORE, "--to", "/proc/x"], "cannot be written", id="not writable"
        ),
        pytest.param(["restore"], "Missing argument", id="nothing"),
        pytest.param(["restore", "nowhere.parquet"], "neither a date", id="no such file"),
        pytest.param(["restore", "2026-02-30"], "neither a date", id="no date"),
        pytest.param(
            ["export", "--from", BEFORE, "--to", "2026-11-19"], "--to lies before --from", id="backwards"
        ),
        pytest.param(
            ["export", "--from", BEFORE, "--to", BEFORE, "--format", "xlsx"], "xlsx", id="no format"
        ),
    ],
)
async def test_what_is_wrongly_asked_is_refused(
    database: Dsn, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "a-file").touch()
    tomorrow = datetime.now(UTC).astimezone(KST).date() + timedelta(days=1)
    asked = [each.format(tomorrow=tomorrow) for each in arguments]
    found = await run(*asked, env=environment(None, database), cwd=tmp_path)
    assert (found.code, found.out) == (2, "")
    assert complaint in complaints(found)


@pytest.mark.extended
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(["archive", "--before", BEFORE], id="archive"),
        pytest.param(["restore", "2026-11-19"], id="restore"),
        pytest.param(["export", "--from", BEFORE, "--to", BEFORE], id="export"),
    ],
)
async def test_without_pyarrow_one_line_says_what_to_install(
    database: Dsn, tmp_path: Path, asked: list[str]
) -> None:
    found = await run_cold("-c", WITHOUT_PYARROW, *asked, env=environment(None, database), cwd=tmp_path)
    assert found.code == 2
    assert complaints(found).splitlines() == [
        "collector: Parquet files need the package pyarrow; it is not installed",
        "  pip install pyarrow",
    ]


OPEN = [
    pytest.param(
        "UPDATE collector.sweep SET ended_at = NULL WHERE slot = (SELECT min(slot) FROM collector.sweep)",
        "its sweep of 09:00:00 KST (all) has not ended",
        id="a sweep",
    ),
    pytest.param(
        "INSERT INTO collector.claim (slot, target, place, offered_with)"
        " SELECT max(slot), 1, 1, '{}' FROM collector.sweep",
        "its sweep of 09:10:00 KST (claimed) has not ended",
        id="a claim",
    ),
]


@pytest.mark.extended
@pytest.mark.parametrize(("change", "why"), OPEN)
async def test_a_day_with_open_slots_stays_unless_they_were_abandoned(
    filled: Dsn, tmp_path: Path, change: str, why: str
) -> None:
    await execute(filled, change)
    before, env = await rows_of(filled), environment(None, filled)
    stays = await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)
    assert (stays.code, stays.out) == (1, "")
    assert complaints(stays).startswith(f"collector: 2026-11-19 stays in the database: {why}")
    assert await rows_of(filled) == before
    assert (await run("archive", "--before", BEFORE, "--force", env=env, cwd=tmp_path)).code == 0


@pytest.mark.extended
async def test_a_slot_that_is_not_accounted_for_is_open(filled: Dsn, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "collector.yaml").write_text(
        "universes:\n  all:\n    - {market: KOSPI, sectors: [001]}\nschedules:\n  noon: {universe: all, at: '12:00'}\n"
    )
    await execute(
        filled, "INSERT INTO collector.accounted VALUES ('noon', $1)", datetime(2026, 11, 19, 2, tzinfo=UTC)
    )
    env = environment(None, filled)
    stays = await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)
    assert stays.code == 1
    assert "its slot 12:00:00 KST (noon) is not accounted for" in stays.err
    await execute(filled, "UPDATE collector.accounted SET until = until + INTERVAL '2 hours'")
    assert (await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)).code == 0


@pytest.mark.extended
async def test_a_full_disk_loses_nothing(two_days: Dsn, tmp_path: Path) -> None:
    before, env = await rows_of(two_days), environment(None, two_days)
    full = await run_cold("-c", LIMITED, "archive", "--before", BEFORE, env=env, cwd=tmp_path)
    assert (full.code, full.out) == (1, "")
    assert "KRX.parquet cannot be written: File too large" in full.err
    assert full.err.count("cannot be written") == 1
    assert await rows_of(two_days) == before
    assert files_in(home(tmp_path)) == []
    assert (await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)).code == 0


@pytest.mark.extended
async def test_two_archivers_at_once_take_turns(database: Dsn, tmp_path: Path) -> None:
    days = [date(2026, 11, day) for day in (17, 18, 19)]
    await fill(database, *days, walks=1, rows=20)
    env = environment(None, database)
    both = await asyncio.gather(
        *(run("archive", "--before", BEFORE, env=env, cwd=tmp_path) for _ in range(2))
    )
    assert [(each.code, complaints(each)) for each in both] == [(0, ""), (0, "")]
    lines = [line for each in both for line in each.out.splitlines() if "KRX" in line]
    assert sorted(line.split()[0] for line in lines) == [str(day) for day in days]
    assert len(files_in(home(tmp_path))) == 6


async def killed_when(reached: str, database: Dsn, folder: Path) -> None:
    """Archive, and kill it the moment that this file is there. A reader keeps the day from being dropped."""
    env = environment(None, database)
    async with connect(database) as reader, reader.transaction():
        await reader.fetchval("SELECT count(*) FROM snapshot")
        async with started("archive", "--before", BEFORE, env=env, cwd=folder) as process:
            await until(lambda: (home(folder) / reached).exists() or process.returncode is not None)
            assert process.returncode is None
            process.kill()
            await process.communicate()


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param("snapshot/date=2026-11-19/.KRX.parquet.part", id="while it is written"),
        pytest.param(
            "snapshot/date=2026-11-19/.NXT.parquet.part", id="when one file is written", marks=EXTENDED
        ),
        pytest.param(NXT, id="when all are in place"),
    ],
)
async def test_a_kill_loses_nothing(filled: Dsn, tmp_path: Path, reached: str) -> None:
    before, env = await rows_of(filled), environment(None, filled)
    await killed_when(reached, filled, tmp_path)
    assert await rows_of(filled) == before
    assert (await run("archive", "--before", BEFORE, env=env, cwd=tmp_path)).code == 0
    assert files_in(home(tmp_path)) == [KRX, NXT]
    assert (await run("restore", "2026-11-19", env=env, cwd=tmp_path)).code == 0
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_kills_at_random_moments_lose_nothing(filled: Dsn, tmp_path: Path) -> None:
    """Archive and restore by turns, killed eight times: the day is always there, in one place or the other."""
    before, env = await rows_of(filled), environment(None, filled)
    chance = random.Random(20002)
    for number in range(8):
        command = ["restore", "2026-11-19"] if number % 2 else ["archive", "--before", BEFORE]
        async with started(*command, env=env, cwd=tmp_path):
            await asyncio.sleep(chance.uniform(0.2, 1.2))  # any moment will do
        found = await rows_of(filled)
        assert found == before or (found == [] and files_in(home(tmp_path)) >= [KRX, NXT])
        assert (await run(*command, env=env, cwd=tmp_path)).code == 0
    assert (await run("restore", "2026-11-19", env=env, cwd=tmp_path)).code == 0
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_a_killed_restore_leaves_no_trace_in_the_database(filled: Dsn, tmp_path: Path) -> None:
    before, env = await rows_of(filled), environment(None, filled)
    await archived(filled, home(tmp_path))
    async with connect(filled) as other, other.transaction():
        await other.execute("LOCK TABLE collector.snapshot IN SHARE UPDATE EXCLUSIVE MODE")
        async with started("restore", "2026-11-19", env=env, cwd=tmp_path) as process:
            while not await fetch(
                filled,
                "SELECT FROM pg_stat_activity WHERE query LIKE '%attach_day%' AND wait_event_type = 'Lock'",
            ):
                assert process.returncode is None
                await asyncio.sleep(0.02)  # looks again
    while await fetch(  # noqa: ASYNC110 - nobody there to set an event
        filled, "SELECT FROM pg_stat_activity WHERE query LIKE '%attach_day%' AND pid <> pg_backend_pid()"
    ):
        await asyncio.sleep(0.02)  # looks again
    assert ("snapshot_20261119",) not in await fetch(filled, PARTITIONS)
    assert (await run("restore", "2026-11-19", env=env, cwd=tmp_path)).code == 0
    assert await rows_of(filled) == before


@pytest.mark.extended
async def test_a_damaged_file_is_named_and_other_days_come_back(two_days: Dsn, tmp_path: Path) -> None:
    env = environment(None, two_days)
    for day in (date(2026, 11, 18), DAY):
        await archived(two_days, home(tmp_path), day)
    path = home(tmp_path) / KRX
    path.write_bytes(path.read_bytes()[:-100])
    found = await run("restore", "2026-11-19", "2026-11-18", env=env, cwd=tmp_path)
    assert found.code == 1
    assert f"{path} is damaged" in complaints(found)
    assert await fetch(two_days, "SELECT DISTINCT (slot AT TIME ZONE 'Asia/Seoul')::date FROM snapshot") == [
        (date(2026, 11, 18),)
    ]


@pytest.mark.extended
@pytest.mark.parametrize("form", ["parquet", "csv"])
async def test_an_export_holds_a_period_wherever_its_days_are(
    two_days: Dsn, tmp_path: Path, form: str
) -> None:
    shown = await fetch(two_days, EVERY_ROW)
    env = environment(None, two_days)
    await archived(two_days, home(tmp_path), date(2026, 11, 18))
    period = ["--from", "2026-11-18", "--to", "2026-11-19", "--format", form]
    found = await run("export", *period, env=env, cwd=tmp_path)
    path = tmp_path / f"snapshot-2026-11-18-2026-11-19.{form}"
    assert (found.code, complaints(found)) == (0, f"1,374 rows: {path.name}\n")
    if form == "parquet":
        rows = pq.read_table(path).to_pylist()
        assert sorted(
            (row["slot"], row["market"], row["exchange"], row["position"]) for row in rows
        ) == sorted((row[0], row[1], row[3], row[4]) for row in shown)
    else:
        lines = list(csv.DictReader(io.StringIO(path.read_text())))
        assert len(lines) == len(shown)
        assert {line["slot"] for line in lines} >= {"2026-11-18T09:00:00+09:00", "2026-11-19T09:10:00+09:00"}
        assert {line["status"] for line in lines} == {"complete", "suspect"}


async def test_an_export_goes_to_the_standard_output(database: Dsn, tmp_path: Path) -> None:
    await fill(database, walks=1)
    asked = ["export", "--from", "2026-11-19", "--to", "2026-11-19", "--format", "csv", "--output", "-"]
    found = await run(*asked, env=environment(None, database), cwd=tmp_path)
    assert (found.code, complaints(found)) == (0, "229 rows\n")
    head, *rows = list(csv.reader(io.StringIO(found.out)))
    assert (head[:2], len(rows)) == (["slot", "market"], 229)


async def test_an_export_that_lacks_a_file_leaves_none(filled: Dsn, tmp_path: Path) -> None:
    env = environment(None, filled)
    await archived(filled, home(tmp_path))
    (home(tmp_path) / KRX).unlink()
    found = await run("export", "--from", "2026-11-18", "--to", "2026-11-19", env=env, cwd=tmp_path)
    assert found.code == 2
    assert (
        "the rows of 2026-11-19 are archived, and their files are not at their recorded paths"
        in complaints(found)
    )
    assert [path for path in files_in(tmp_path) if "snapshot-" in path] == []
