"""What is dropped for its age: never on the word of one clock, announced for a day, two days a night at most."""

from datetime import UTC, date, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from collector.base.outages import Outages
from collector.db.catalog import Registry
from collector.db.clocks import ClockReadings
from collector.db.outlook import first_kept
from collector.db.retention import Day, Retention, RetentionFacts, Step, decide
from collector.errors import StoreError
from collector.model import KST
from tests.daemon.test_accounts import ROWS, TARGETS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DUE = [Day(date(2026, 1, 1), has_rows=True)]
H, D = timedelta(hours=1), timedelta(days=1)


def standing(host=NOW, database=NOW, newest=NOW, *, due=DUE, announced=NOW - D, of=30, dropped=0):
    return RetentionFacts(ClockReadings(host, database, newest), due, 30, of, announced, dropped)


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({}, Step.DROP),
        ({"host": NOW + 23 * H}, Step.DROP),
        ({"newest": None}, Step.DROP),
        ({"host": NOW + 456 * D}, Step.KEEP),
        ({"host": NOW - 2 * D}, Step.KEEP),
        ({"database": NOW + 30 * D}, Step.KEEP),
        ({"host": NOW + 456 * D, "database": NOW + 456 * D}, Step.KEEP),
        ({"newest": NOW - 25 * H}, Step.KEEP),
        ({"newest": NOW + 25 * H}, Step.KEEP),
        ({"due": []}, Step.NOTHING),
        ({"announced": None, "of": None}, Step.ANNOUNCE),
        ({"of": 400}, Step.ANNOUNCE),
        ({"announced": None, "of": None, "newest": NOW - 30 * D}, Step.ANNOUNCE),
        ({"announced": None, "of": None, "host": NOW + 30 * D}, Step.KEEP),
        ({"announced": NOW - D + H}, Step.WAIT),
        ({"announced": NOW + D}, Step.WAIT),
        ({"dropped": 1}, Step.DROP),
        ({"dropped": 2}, Step.NOTHING),
    ],
)
def test_a_day_goes_only_if_three_clocks_agree_and_it_was_announced_a_day_ago(given, step):
    assert decide(standing(**given))[0] is step


def test_the_reason_names_the_clock_and_by_how_much_it_is_off():
    assert (
        decide(standing(host=NOW + 456 * D))[1] == "this machine's clock is 456 days ahead of the database's"
    )
    assert decide(standing(host=NOW - 30 * H))[1] == "this machine's clock is 1 day behind the database's"
    assert decide(standing(newest=NOW - 30 * D))[1].startswith("the newest stored walk is 30 days old")


@pytest.mark.parametrize("keep_days", [1, 30, 400])
def test_a_day_is_kept_for_as_many_days_as_it_was_asked_for(keep_days):
    today = date(2026, 11, 20)
    assert (today - first_kept(today, keep_days)).days == keep_days


@pytest.fixture
async def stored(held):
    """Five old days with a row each, and a walk that was received a moment ago."""
    registry = Registry(held)
    await registry.register_targets(TARGETS)
    async with held.transaction("storing") as connection:
        for number in range(5):
            day = date(2025, 1, 6) + timedelta(days=number)
            at = datetime.combine(day, datetime.min.time(), KST) + timedelta(hours=10)
            await connection.fetchval("SELECT collector.make_days($1, 1)", day)
            await connection.execute(ROWS, at, 7)
            await connection.execute(
                "INSERT INTO collector.quarantine SELECT $1, min(id), 1, 'raw', 'odd' FROM collector.target",
                at,
            )
        await received(connection, datetime.now(UTC))
    return held


async def received(connection, at):
    await connection.execute(
        "INSERT INTO collector.walk (slot, target, status, received_at)"
        " SELECT $1, id, 'complete', $2 FROM collector.target ON CONFLICT (slot, target)"
        " DO UPDATE SET received_at = EXCLUDED.received_at",
        datetime.now(UTC).replace(microsecond=0, second=0),
        at,
    )


async def days(held):
    async with held.connection("looking") as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT (slot + INTERVAL '9 hours')::date AS day FROM snapshot"
        )
        quarantined = await connection.fetchval("SELECT count(*) FROM collector.quarantine")
        return sorted(row["day"].day for row in rows), quarantined


async def execute(held, statement):
    async with held.transaction("a test") as connection:
        await connection.execute(statement)


A_DAY_LATER = "UPDATE collector.retention SET announced_at = announced_at - INTERVAL '1 day'"
NEXT_NIGHT = "UPDATE collector.dropped_day SET dropped_at = dropped_at - INTERVAL '1 day'"


class Daemon:
    """The retention of one daemon, and what it says."""

    def __init__(self, held):
        self._retention = Retention(held, Outages(lambda: 0.0).is_news)

    async def night(self, keep_days=30, *, host=None, prove=None):
        with capture_logs() as logs:
            await self._retention.enforce(host or datetime.now(UTC), keep_days, prove)
        return {line["event"]: line for line in logs}


async def test_the_first_drop_is_announced_for_a_day_and_two_days_go_a_night(stored):
    daemon = Daemon(stored)
    said = (await daemon.night())["days.will_be_dropped"]
    assert (said["log_level"], said["days"], said["first"][0]) == ("warning", 5, "2025-01-06")
    assert list(await daemon.night()) == ["days.will_be_dropped"]
    assert await days(stored) == ([6, 7, 8, 9, 10], 5)
    await execute(stored, A_DAY_LATER)
    said = (await daemon.night())["days.dropped"]
    assert (said["log_level"], said["days"]) == ("warning", ["2025-01-06", "2025-01-07"])
    assert await daemon.night() == {}
    assert await days(stored) == ([8, 9, 10], 3)
    await execute(stored, NEXT_NIGHT)
    assert "days.dropped" in await daemon.night()
    assert await days(stored) == ([10], 1)


@pytest.mark.parametrize("shift", [456 * D, 2 * D, -2 * D, -456 * D])
async def test_nothing_goes_while_the_hosts_clock_is_off_and_that_is_said_once(stored, shift):
    daemon = Daemon(stored)
    await daemon.night()
    await execute(stored, A_DAY_LATER)
    wrong = datetime.now(UTC) + shift
    first = await daemon.night(keep_days=30, host=wrong)
    again = await daemon.night(keep_days=30, host=wrong)
    assert await days(stored) == ([6, 7, 8, 9, 10], 5)
    assert again == {}
    if shift > timedelta():
        assert first["days.kept"]["log_level"] == "warning"
        assert "ahead of the database" in first["days.kept"]["reason"]


@pytest.mark.parametrize("age", [2 * D, -2 * D, 400 * D])
async def test_nothing_goes_while_the_newest_walk_is_of_another_day(stored, age):
    daemon = Daemon(stored)
    await daemon.night()
    await execute(stored, A_DAY_LATER)
    async with stored.transaction("a test") as connection:
        await received(connection, datetime.now(UTC) - age)
    assert list(await daemon.night()) == ["days.kept"]
    assert await days(stored) == ([6, 7, 8, 9, 10], 5)


@pytest.mark.parametrize("keep_days", [0, 60, 100_000])
async def test_another_keep_days_cancels_what_was_announced(stored, keep_days):
    daemon = Daemon(stored)
    await daemon.night()
    await execute(stored, A_DAY_LATER)
    await daemon.night(keep_days)
    await daemon.night(30)
    assert await days(stored) == ([6, 7, 8, 9, 10], 5)


async def test_a_day_that_cannot_be_dropped_is_named_and_the_others_go(stored):
    await execute(stored, "CREATE VIEW public.mine AS SELECT * FROM collector.snapshot_20250106")
    await execute(stored, "CREATE TABLE public.theirs (slot timestamptz)")
    daemon = Daemon(stored)
    await daemon.night()
    await execute(stored, A_DAY_LATER)
    async with stored.transaction("reading") as reader:
        await reader.fetch("SELECT * FROM collector.snapshot_20250107")
        said = await daemon.night()
    assert said["days.dropped"]["days"] == ["2025-01-08", "2025-01-09"]
    assert "view mine" in said["days.not_dropped"]["reasons"]["2025-01-06"]
    assert "lock" in said["days.not_dropped"]["reasons"]["2025-01-07"]
    assert await days(stored) == ([6, 7, 10], 3)


async def test_an_archived_day_goes_only_while_its_files_are_whole(stored):
    await execute(
        stored,
        "INSERT INTO collector.archive (day, exchange, file, rows, bytes, digest)"
        " SELECT d, 'KRX', '/nowhere/' || d, r, 1, 'x'"
        " FROM (VALUES ('2025-01-07'::date, 2), ('2025-01-08', 3), ('2025-01-09', 2)) AS v (d, r)",
    )

    async def prove(day, files):
        assert [str(path) for path, _ in files] == [f"/nowhere/{day}"]
        return "" if day.day == 9 else f"/nowhere/{day} is not there"

    daemon = Daemon(stored)
    await daemon.night(prove=prove)
    await execute(stored, A_DAY_LATER)
    said = await daemon.night(prove=prove)
    assert said["days.dropped"]["days"] == ["2025-01-09"]
    assert said["days.not_dropped"]["reasons"] == {
        "2025-01-06": "it is not in files",
        "2025-01-07": "/nowhere/2025-01-07 is not there",
        "2025-01-08": "the database holds 2 rows of it, and its files 3",
        "2025-01-10": "it is not in files",
    }


@pytest.mark.parametrize(
    ("day", "shift", "keep_days", "complaint"),
    [
        ("2025-01-06", 3 * D, 30, "clocks do not agree"),
        ("2025-01-06", -3 * D, 30, "clocks do not agree"),
        ("2025-01-06", 0 * D, 30, "not announced"),
        ("2025-01-06", 0 * D, 90_000, "not older"),
        ("2025-01-06", 0 * D, 0, "not older"),
        ("2099-01-06", 0 * D, 30, "not older"),
    ],
)
async def test_the_database_refuses_what_no_caller_may_ask_for(stored, day, shift, keep_days, complaint):
    with pytest.raises(StoreError, match=complaint):
        async with stored.transaction("dropping") as connection:
            await connection.fetch(
                "SELECT * FROM collector.drop_old_day($1, $2, $3)",
                date.fromisoformat(day),
                datetime.now(UTC) + shift,
                keep_days,
            )
    assert await days(stored) == ([6, 7, 8, 9, 10], 5)


async def test_the_database_drops_no_third_day_in_a_night(stored):
    await Daemon(stored).night()
    await execute(stored, A_DAY_LATER)
    query = "SELECT * FROM collector.drop_old_day($1, clock_timestamp(), 30)"
    for day in (6, 7):
        async with stored.transaction("dropping") as connection:
            assert await connection.fetch(query, date(2025, 1, day)) == []
    with pytest.raises(StoreError, match="two days"):
        async with stored.transaction("dropping") as connection:
            await connection.fetch(query, date(2025, 1, 8))
    assert await days(stored) == ([8, 9, 10], 3)


async def test_a_quarantine_without_rows_goes_with_its_day(stored):
    await execute(stored, "DROP TABLE collector.snapshot_20250106")
    daemon = Daemon(stored)
    await daemon.night()
    await execute(stored, A_DAY_LATER)
    await daemon.night()
    assert await days(stored) == ([8, 9, 10], 3)
