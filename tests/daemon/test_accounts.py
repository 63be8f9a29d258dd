"""The books in a real database: misses in bulk, never over what is there; holidays found out; days dropped."""

from datetime import UTC, date, datetime, timedelta

import pytest

from collector.daemon import Accounts
from collector.lease import Lease, LeaseLost, leased
from collector.model import KST, Exchange, Target
from collector.registry import Registry
from tests.daemon.real import CALENDAR

TARGETS = [Target.of("KOSPI", "001", "KRX"), Target.of("KOSPI", "005", "KRX")]
KRX = frozenset({Exchange.KRX})
FRIDAY, MONDAY = datetime(2026, 11, 20, 15, 30, tzinfo=KST), datetime(2026, 11, 23, 9, 5, tzinfo=KST)

STORED = """
INSERT INTO collector.walk (slot, target, status, rows, digest, remarks)
SELECT $1, id, $3, 2, $4, '{}'
FROM collector.target
WHERE sector = $2
"""
ROWS = """
INSERT INTO collector.snapshot (
    slot, volume, listing, price, change, rate, ask, bid, open, high, low, target, position
)
SELECT $1, $2, 1, 1, 0, 3, 0, 0, 0, 0, 0, id, 1
FROM collector.target
"""


@pytest.fixture
async def registry(held):
    found = Registry(held)
    await found.number(TARGETS)
    return found


@pytest.fixture
async def accounts(held, registry):
    return Accounts(held, registry)


@pytest.fixture
def store(held):
    """Put a walk into the ledger."""

    async def store(slot, sector, status="complete", digest=b"same"):
        async with held.session("storing") as connection:
            await connection.execute(STORED, slot, sector, status, digest)

    return store


async def fetched(held, query, *arguments):
    async with held.session("looking") as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def states(held):
    return await fetched(
        held,
        "SELECT slot, sector, status, COALESCE(error, array_to_string(remarks, ',')) FROM walk ORDER BY 1, 2",
    )


async def test_what_the_ledger_lacks_is_missed_and_what_is_there_stays(held, accounts, store):
    await store(FRIDAY, "001")
    assert await accounts.miss([FRIDAY, MONDAY], "boards", TARGETS, "down") == 3
    assert [(sector, status) for _, sector, status, _ in await states(held)] == [
        ("001", "complete"),
        ("005", "missed"),
        ("001", "missed"),
        ("005", "missed"),
    ]


async def test_a_miss_is_entered_once(held, accounts):
    for reason in ("down", "late", "overrun"):
        await accounts.miss([FRIDAY], "boards", TARGETS, reason)
    assert {reason for *_, reason in await states(held)} == {"down"}


async def test_targets_that_were_never_walked_are_missed_too(held, accounts):
    new = Target.of("KOSDAQ", "101", "KRX")
    assert await accounts.miss([FRIDAY], "boards", [new], "down") == 1


async def test_a_settled_slot_moves_the_books_on_and_an_older_one_not_back(held, accounts):
    await accounts.settle("intraday", MONDAY, "boards", TARGETS, "overrun")
    await accounts.settle("intraday", FRIDAY, "boards", TARGETS, "overrun")
    assert await accounts.until(["intraday", "close"]) == {"intraday": MONDAY}


async def test_a_schedule_that_asks_for_months_of_misses_is_answered_quickly(held, accounts):
    slots = [MONDAY + timedelta(minutes=number) for number in range(10_000)]
    assert await accounts.miss(slots, "boards", TARGETS, "down") == 20_000


@pytest.mark.parametrize(
    ("status", "reason", "has_run"),
    [
        ("complete", None, True),
        ("failed", "Rejected", True),
        ("missed", "denied", True),
        ("missed", "late", False),
    ],
)
async def test_a_slot_runs_again_only_if_it_was_found_too_late(held, accounts, status, reason, has_run):
    async with held.session("storing") as connection:
        await connection.execute(
            "INSERT INTO collector.walk (slot, target, status, error) SELECT $1, id, $2, $3 FROM collector.target",
            MONDAY,
            status,
            reason,
        )
    assert await accounts.has_run(MONDAY, TARGETS) is has_run


@pytest.fixture
async def holiday(held, accounts, store):
    """Monday shows what Friday showed last, in every target."""
    await accounts.make_days(MONDAY.date())
    for sector in ("001", "005"):
        await store(FRIDAY, sector)
        await store(MONDAY, sector)
    async with held.session("storing") as connection:
        await connection.execute(ROWS, MONDAY, 7)


async def test_an_unknown_holiday_is_suspected_and_that_is_news_once(held, accounts, holiday, store):
    news = [await accounts.judge(MONDAY, TARGETS, KRX)]
    later = MONDAY + timedelta(minutes=5)
    for sector in ("001", "005"):
        await store(later, sector)
    async with held.session("storing") as connection:
        await connection.execute(ROWS, later, 7)
    news.append(await accounts.judge(later, TARGETS, KRX))
    assert news == [True, False]
    suspects = [(slot, status, remarks) for slot, _, status, remarks in await states(held) if slot >= MONDAY]
    assert suspects == [(slot.astimezone(UTC), "suspect", "stale") for slot in (MONDAY, MONDAY, later, later)]


async def test_what_was_stored_at_the_opening_is_suspected_with_the_rest_of_the_day(
    held, accounts, holiday, store
):
    opening = MONDAY - timedelta(minutes=5)
    await store(opening, "001")
    await accounts.judge(MONDAY, TARGETS, KRX)
    assert (opening.astimezone(UTC), "001", "suspect", "stale") in await states(held)


async def test_a_day_on_which_one_listing_differs_is_a_trading_day(held, accounts, holiday, store):
    later = MONDAY + timedelta(minutes=5)
    await store(later, "001", digest=b"another")
    await store(later, "005")
    assert not await accounts.judge(later, TARGETS, KRX)


async def test_a_list_in_which_nothing_was_ever_traded_proves_nothing(held, accounts, store):
    await accounts.make_days(MONDAY.date())
    for slot in (FRIDAY, MONDAY):
        await store(slot, "001")
    async with held.session("storing") as connection:
        await connection.execute(ROWS, MONDAY, 0)
    assert not await accounts.judge(MONDAY, TARGETS[:1], KRX)


async def test_before_a_venue_must_have_traded_nothing_is_judged(accounts, holiday):
    assert not await accounts.judge(MONDAY, TARGETS, frozenset())


async def test_old_days_go_as_a_whole_and_the_ledger_stays(held, accounts, store):
    for first in (date(2026, 1, 1), date(2026, 11, 20)):
        await accounts.make_days(first)
    await store(datetime(2026, 1, 2, 10, tzinfo=KST), "001")
    assert await accounts.drop_days(date(2026, 11, 20), 30) == 9
    names = await fetched(
        held,
        "SELECT relname::text FROM pg_class WHERE relname LIKE 'snapshot_2%' AND relkind = 'r' ORDER BY 1",
    )
    assert [name for (name,) in names] == [f"snapshot_202611{day}" for day in range(20, 29)]
    assert len(await states(held)) == 1


async def test_what_was_in_quarantine_goes_with_its_day(held, accounts, store):
    days = (date(2026, 11, 18), date(2026, 11, 20))
    await store(datetime(2026, 11, 18, 10, tzinfo=KST), "001")
    async with held.session("storing") as connection:
        for day in days:
            await connection.execute(
                "INSERT INTO collector.quarantine (slot, target, page, raw, reason)"
                " SELECT $1, min(id), 1, '{}', 'no price' FROM collector.target",
                datetime(day.year, day.month, day.day, 10, tzinfo=KST),
            )
    await accounts.drop_days(date(2026, 11, 21), 2)
    left = await fetched(held, "SELECT slot FROM collector.quarantine")
    assert left == [(datetime(2026, 11, 20, 10, tzinfo=KST),)]


async def test_a_day_is_kept_for_as_many_days_as_it_was_asked_for(held, accounts):
    await accounts.make_days(date(2026, 11, 20))
    assert await accounts.drop_days(date(2026, 11, 21), 1) == 0
    assert await accounts.drop_days(date(2026, 11, 22), 1) == 1


async def test_days_are_made_a_week_ahead(held, accounts):
    await accounts.make_days(date(2026, 11, 20))
    found = await fetched(
        held, "SELECT max(relname::text) FROM pg_class WHERE relname LIKE 'snapshot_2%' AND relkind = 'r'"
    )
    assert found >= [("snapshot_20261127",)]


async def test_closings_are_kept_from_the_oldest_walk_to_the_days_ahead(held, accounts, store):
    await store(FRIDAY, "001")
    await accounts.keep_closings(CALENDAR, MONDAY.date())
    days = await fetched(held, "SELECT trading_date, closes FROM collector.trading_day ORDER BY 1")
    assert days[0] == (FRIDAY.date(), FRIDAY.astimezone(UTC))
    assert [day.day for day, _ in days] == [20, 23, 24, 25, 26, 27, 30, 1]


async def test_a_corrected_calendar_corrects_the_closings(held, accounts):
    await accounts.keep_closings(CALENDAR, MONDAY.date())
    before = await fetched(held, "SELECT * FROM collector.trading_day ORDER BY 1")
    async with held.session("spoiling") as connection:
        await connection.execute("UPDATE collector.trading_day SET closes = closes - INTERVAL '1 hour'")
    await accounts.keep_closings(CALENDAR, MONDAY.date())
    assert await fetched(held, "SELECT * FROM collector.trading_day ORDER BY 1") == before


async def test_a_long_reader_is_not_waited_for_when_days_are_dropped(held, accounts):
    await accounts.make_days(date(2026, 1, 1))
    async with held.transaction("reading") as reader:
        await reader.fetch("SELECT * FROM snapshot")
        with pytest.raises(Exception, match="lock"):
            await accounts.drop_days(date(2026, 11, 20), 30)


async def test_without_the_lease_nothing_is_entered(held, registry):
    lease = Lease(held, "nobody")
    accounts = Accounts(leased(held, lease), registry)
    with pytest.raises(LeaseLost):
        await accounts.miss([FRIDAY], "boards", TARGETS, "down")
    assert await states(held) == []
