"""What is missing, and how things stand: computed by the database, and as the commands show it."""

import asyncio
import csv
import io
import json
import os
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from collector.db.gaps import find_gaps
from collector.db.status import read_status
from collector.model import KST
from tests.support.daemon_parts import CALENDAR, order, timetable, url
from tests.support.daemon_process import write

FRIDAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=KST)
MORNING = """
INSERT INTO collector.walk (slot, target, status, rows, error, remarks)
SELECT slot, t.id,
       CASE WHEN slot = $1 AND t.sector = '005' THEN 'failed'
            WHEN slot = $1 AND t.sector = '006' THEN 'suspect'
            WHEN slot = $1 THEN 'missed'
            ELSE 'complete' END,
       1,
       CASE WHEN slot = $1 AND t.sector = '005' THEN 'Rejected: no'
            WHEN slot = $1 AND t.sector = '007' THEN 'overrun' END,
       CASE WHEN slot = $1 AND t.sector = '006' THEN '{empty}'::text[] ELSE '{}' END
FROM generate_series($2::timestamptz, $3::timestamptz, INTERVAL '5 minutes') AS slot
CROSS JOIN collector.target AS t
"""


@pytest.fixture
def ordered(database):
    return order(database, "http://127.0.0.1:1")


@pytest.fixture
async def morning(held):
    """From nine to noon, everything complete but the slot of ten; a daemon was there."""
    ten, nine = NOON - timedelta(hours=2), NOON - timedelta(hours=3)
    async with held.transaction("storing") as connection:
        await connection.execute(
            "INSERT INTO collector.target (market, sector, exchange)"
            " SELECT 'KOSPI', code, 'KRX' FROM unnest('{005,006,007}'::text[]) AS code"
        )
        await connection.execute(MORNING, ten, nine, NOON)
        await connection.execute("INSERT INTO collector.accounted VALUES ('intraday', $1)", NOON)


async def gaps(held, ordered, now, first=FRIDAY, last=FRIDAY):
    async with held.connection("looking") as connection:
        return [gap async for gap in find_gaps(connection, timetable(ordered), first, last, now)]


async def test_what_is_not_complete_is_listed_with_the_reason(held, ordered, morning):
    found = await gaps(held, ordered, NOON + timedelta(minutes=1))
    assert [(gap.sector, gap.status, gap.reason) for gap in found] == [
        ("005", "failed", "Rejected: no"),
        (
            "006",
            "suspect",
            (
                "empty: no rows where an unknown number were expected;"
                " if it is really empty, certify it with collector accept"
            ),
        ),
        ("007", "missed", "overrun"),
    ]


async def test_slots_that_may_still_begin_are_not_missing_and_later_are(held, ordered, morning):
    at_noon = await gaps(held, ordered, NOON + timedelta(minutes=6))
    later = await gaps(held, ordered, NOON + timedelta(minutes=8))
    assert len(later) == len(at_noon) + 3
    assert {gap.status for gap in later[-3:]} == {"absent"}


async def test_a_sweep_that_is_under_way_is_not_missing(held, ordered, morning):
    async with held.connection("beginning") as connection:
        await connection.execute(
            "INSERT INTO collector.sweep (slot, universe) VALUES ($1, 'few')", NOON + timedelta(minutes=5)
        )
    assert len(await gaps(held, ordered, NOON + timedelta(minutes=8))) == 3


async def test_closed_days_miss_nothing(held, ordered, morning):
    assert (
        await gaps(held, ordered, datetime(2027, 1, 1, tzinfo=KST), date(2026, 11, 21), date(2026, 11, 22))
        == []
    )


async def test_a_day_that_nobody_swept_is_missing_as_a_whole(held, ordered, morning):
    found = await gaps(
        held, ordered, datetime(2027, 1, 1, tzinfo=KST), date(2026, 11, 23), date(2026, 11, 23)
    )
    assert len(found) == 79 * 3


async def test_the_standing_tells_of_the_last_day_that_should_be_there(held, ordered, morning):
    found = await read_status(ordered.context.config, CALENDAR, held, NOON + timedelta(minutes=4))
    assert found["day"] == {
        "date": FRIDAY,
        "slots": 37,
        "complete": 108,
        "suspect": 1,
        "failed": 1,
        "missed": 1,
        "absent": 0,
        "under_way": 0,
    }
    assert found["last_slot"]["slot"] == NOON
    assert found["next_slot"]["slot"] == NOON + timedelta(minutes=5)
    assert found["accounted"] == {"intraday": NOON.astimezone(UTC)}


async def test_over_the_weekend_friday_is_the_last_day(held, ordered, morning):
    sunday = datetime(2026, 11, 22, 12, tzinfo=KST)
    found = await read_status(ordered.context.config, CALENDAR, held, sunday)
    assert (found["day"]["date"], found["calendar"]["today"]) == (FRIDAY, "Sunday")
    assert found["day"]["absent"] == 42 * 3


async def test_without_schedules_only_what_is_stored_is_told(held, morning):
    found = await read_status(None, CALENDAR, held, NOON)
    assert (found["schedules"], found["day"], found["next_slot"]) == ([], None, None)


async def command(database, tmp_path, *arguments):
    """Exit status and standard output of `collector`."""
    write(tmp_path, "http://127.0.0.1:1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", *arguments, "--config", tmp_path / "collector.yaml"),
        env={**os.environ, "DATABASE_URL": url(database)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.extended
async def test_the_command_lists_gaps_in_json_and_csv_and_says_so_by_its_exit_status(
    held, database, tmp_path
):
    async with held.connection("beginning the ledger") as connection:
        await connection.execute(
            "INSERT INTO collector.target (market, sector, exchange) VALUES ('KOSDAQ', '101', 'NXT');"
            " INSERT INTO collector.walk (slot, target, status)"
            " SELECT '2026-11-19 09:00+09', id, 'complete' FROM collector.target"
        )
    asked = ("gaps", "--from", "2026-11-20", "--to", "2026-11-20", "--format")
    status, out = await command(database, tmp_path, *asked, "json")
    assert (status, len(json.loads(out))) == (1, 2)
    status, out = await command(database, tmp_path, *asked, "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 1
    assert rows[0] == {
        "slot": "2026-11-20T00:00:00+09:00",
        "schedule": "today",
        "market": "KOSPI",
        "sector": "005",
        "exchange": "KRX",
        "status": "absent",
        "reason": "nothing is known of it",
        "history": "",
    }


@pytest.mark.extended
async def test_the_status_is_whole_until_a_daemon_should_have_stored_something(held, database, tmp_path):
    status, out = await command(database, tmp_path, "status", "--json")
    assert (status, json.loads(out)["schedules"]) == (0, ["today"])
    async with held.connection("accounting") as connection:
        await connection.execute("INSERT INTO collector.accounted VALUES ('today', now())")
        await connection.execute(
            "INSERT INTO collector.target (market, sector, exchange) VALUES ('KOSPI', '005', 'KRX')"
        )
        await connection.execute(
            "INSERT INTO collector.walk (slot, target, status) SELECT now() - INTERVAL '3 days', id, 'complete'"
            " FROM collector.target"
        )
    status, out = await command(database, tmp_path, "status")
    assert status == 1
