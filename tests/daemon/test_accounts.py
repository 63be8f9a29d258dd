"""The books in a real database: misses in bulk, never over what is there; holidays found out."""

from datetime import UTC, date, datetime, timedelta

import pytest

from collector.daemon import SlotAccounting
from collector.db.catalog import Registry
from collector.db.lease import Lease, LeaseLost, fence
from collector.model import KST, Exchange, Target
from tests.support.daemon_parts import CALENDAR

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
    await found.register_targets(TARGETS)
    return found


@pytest.fixture
async def accounts(held, registry):
    return SlotAccounting(held, registry)


@pytest.fixture
def store(held):
    """Put a walk into the ledger."""

    async def store(slot, sector, status="complete", digest=b"same"):
        async with held.connection("storing") as connection:
            await connection.execute(STORED, slot, sector, status, digest)

    return store


async def fetched(held, query, *arguments):
    async with held.connection("looking") as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def states(held):
    return await fetched(
        held,
        "SELECT slot, sector, status, COALESCE(error, array_to_string(remarks, ',')) FROM walk ORDER BY 1, 2",
    )


async def test_what_the_ledger_lacks_is_missed_and_what_is_there_stays(held, accounts, store):
    await store(FRIDAY, "001")
    assert await accounts.record_missed([FRIDAY, MONDAY], "boards", TARGETS, "down") == 3
    assert [(sector, status) for _, sector, status, _ in await states(held)] == [
        ("001", "complete"),
        ("005", "missed"),
        ("001", "missed"),
        ("005", "missed"),
    ]


async def test_a_miss_is_entered_once(held, accounts):
    for reason in ("down", "late", "overrun"):
        await accounts.record_missed([FRIDAY], "boards", TARGETS, reason)
    assert {reason for *_, reason in await states(held)} == {"down"}


async def test_targets_that_were_never_walked_are_missed_too(held, accounts):
    new = Target.of("KOSDAQ", "101", "KRX")
    assert await accounts.record_missed([FRIDAY], "boards", [new], "down") == 1


async def test_a_settled_slot_moves_the_books_on_and_an_older_one_not_back(held, accounts):
    await accounts.settle("intraday", MONDAY, "boards", TARGETS, "overrun")
    await accounts.settle("intraday", FRIDAY, "boards", TARGETS, "overrun")
    assert await accounts.until(["intraday", "close"]) == {"intraday": MONDAY}


async def test_a_schedule_that_asks_for_months_of_misses_is_answered_quickly(held, accounts):
    slots = [MONDAY + timedelta(minutes=number) for number in range(10_000)]
    assert await accounts.record_missed(slots, "boards", TARGETS, "down") == 20_000


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
    async with held.connection("storing") as connection:
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
    async with held.connection("storing") as connection:
        await connection.execute(ROWS, MONDAY, 7)


async def test_an_unknown_holiday_is_suspected_and_that_is_news_once(held, accounts, holiday, store):
    news = [await accounts.flag_stale(MONDAY, TARGETS, KRX)]
    later = MONDAY + timedelta(minutes=5)
    for sector in ("001", "005"):
        await store(later, sector)
    async with held.connection("storing") as connection:
        await connection.execute(ROWS, later, 7)
    news.append(await accounts.flag_stale(later, TARGETS, KRX))
    assert news == [True, False]
    suspects = [(slot, status, remarks) for slot, _, status, remarks in await states(held) if slot >= MONDAY]
    assert suspects == [(slot.astimezone(UTC), "suspect", "stale") for slot in (MONDAY, MONDAY, later, later)]


async def test_what_was_stored_at_the_opening_is_suspected_with_the_rest_of_the_day(
    held, accounts, holiday, store
):
    opening = MONDAY - timedelta(minutes=5)
    await store(opening, "001")
    await accounts.flag_stale(MONDAY, TARGETS, KRX)
    assert (opening.astimezone(UTC), "001", "suspect", "stale") in await states(held)


async def test_a_day_on_which_one_listing_differs_is_a_trading_day(held, accounts, holiday, store):
    later = MONDAY + timedelta(minutes=5)
    await store(later, "001", digest=b"another")
    await store(later, "005")
    assert not await accounts.flag_stale(later, TARGETS, KRX)


async def test_a_list_in_which_nothing_was_ever_traded_proves_nothing(held, accounts, store):
    await accounts.make_days(MONDAY.date())
    for slot in (FRIDAY, MONDAY):
        await store(slot, "001")
    async with held.connection("storing") as connection:
        await connection.execute(ROWS, MONDAY, 0)
    assert not await accounts.flag_stale(MONDAY, TARGETS[:1], KRX)


async def test_before_a_venue_must_have_traded_nothing_is_judged(accounts, holiday):
    assert not await accounts.flag_stale(MONDAY, TARGETS, frozenset())


async def test_slots_that_have_not_come_are_forgotten_and_what_was_stored_under_them_is_suspect(
    held, accounts, store
):
    """Nine hours ahead: lines of the future, one of them with rows; and one that has come since."""
    now = datetime.now(UTC).replace(microsecond=0)
    past, ahead, later = now - timedelta(hours=3), now + timedelta(hours=9), now + timedelta(days=3)
    await store(past, "001")
    await accounts.record_missed([past, ahead, later], "boards", TARGETS, "down")
    await store(ahead + timedelta(minutes=5), "005")
    async with held.connection("storing") as connection:
        await connection.execute("UPDATE collector.walk SET committed_at = slot WHERE slot = $1", past)
        await connection.execute(
            "INSERT INTO collector.sweep (slot, universe) VALUES ($1, 'boards'), ($2, 'boards')", past, later
        )
    await accounts.account("intraday", later)
    await accounts.account("close", past)
    assert await accounts.forget_ahead(now) == (4, 1, 1)
    assert await states(held) == [
        (past, "001", "complete", ""),
        (past, "005", "missed", "down"),
        (ahead + timedelta(minutes=5), "005", "suspect", "ahead_of_time"),
    ]
    assert await accounts.until(["intraday", "close"]) == {"intraday": now, "close": past}
    assert await fetched(held, "SELECT slot FROM collector.sweep") == [(past,)]
    assert not await accounts.has_run(ahead + timedelta(minutes=5), TARGETS)
    assert await accounts.forget_ahead(now) == (0, 0, 0)


async def test_a_walk_that_was_stored_before_its_slot_is_suspect_when_the_slot_has_passed(
    held, accounts, store
):
    now = datetime.now(UTC).replace(microsecond=0)
    slots = [now - timedelta(hours=hours) for hours in (2, 3)]
    for slot in slots:
        await store(slot, "001")
    async with held.connection("storing") as connection:
        await connection.execute(
            "UPDATE collector.walk SET committed_at = slot + CASE WHEN slot = $1 THEN 1 ELSE -1 END * $2::interval",
            slots[0],
            timedelta(hours=9),
        )
    assert await accounts.forget_ahead(now) == (0, 1, 0)
    assert [(slot, status) for slot, _, status, _ in await states(held)] == [
        (slots[1], "suspect"),
        (slots[0], "complete"),
    ]


async def test_a_clock_that_fell_behind_takes_nothing_back(held, accounts, store):
    """The newest walk was received a week after what both clocks show: they may be the ones that are wrong."""
    now = datetime.now(UTC).replace(microsecond=0)
    await store(now, "001")
    await accounts.record_missed([now], "boards", TARGETS, "down")
    async with held.connection("storing") as connection:
        await connection.execute("UPDATE collector.walk SET received_at = $1 WHERE status = 'complete'", now)
    before = await states(held)
    assert await accounts.forget_ahead(now - timedelta(days=7)) == (0, 0, 0)
    assert await states(held) == before


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
    async with held.connection("spoiling") as connection:
        await connection.execute("UPDATE collector.trading_day SET closes = closes - INTERVAL '1 hour'")
    await accounts.keep_closings(CALENDAR, MONDAY.date())
    assert await fetched(held, "SELECT * FROM collector.trading_day ORDER BY 1") == before


async def test_without_the_lease_nothing_is_entered(held, registry):
    lease = Lease(held, "nobody")
    accounts = SlotAccounting(fence(held, lease), registry)
    with pytest.raises(LeaseLost):
        await accounts.record_missed([FRIDAY], "boards", TARGETS, "down")
    assert await states(held) == []
