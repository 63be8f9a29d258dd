"""The stored events: told once, by one process, and not again within the quiet time."""

from datetime import UTC, datetime, timedelta

import pytest

from collector.db.notices import Notice, NoticeStore
from collector.model import Target
from tests.support.harness import execute, fetch

AT = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(held):
    return NoticeStore(held)


def event(kind="behind", subject="intraday", **facts):
    return Notice(0, kind, subject, AT, facts)


async def begin(store, *events, quiet=HOUR):
    await store.change(events, [], quiet=quiet, tells_end=True)


async def end(store, *, tells_end=True):
    lasting = await store.lasting(["behind", "failure"])
    now = datetime.now(UTC)
    ended = [(notice.id, now, {}) for notice in lasting]
    await store.change([], ended, quiet=HOUR, tells_end=tells_end)


async def tell(store):
    """Claim what is due and note it as told; what was due, as (kind, is over)."""
    due = await store.claim_due()
    await store.mark_told(due)
    return [(notice.kind, notice.ended_at is not None) for notice in due]


async def test_an_event_is_due_once_and_so_is_its_end(store):
    await begin(store, event(slots=3))
    (due,) = await store.claim_due()
    assert (due.kind, due.subject, due.began_at, due.facts) == ("behind", "intraday", AT, {"slots": 3})
    await store.mark_told([due])
    assert await tell(store) == []
    await end(store)
    assert await tell(store) == [("behind", True)]
    assert await tell(store) == []
    assert await store.lasting(["behind"]) == []


async def test_the_same_event_noticed_twice_is_one(store):
    await begin(store, event())
    await begin(store, event())
    assert len(await store.lasting(["behind"])) == 1


async def test_what_one_process_claims_no_other_sends(store):
    await begin(store, event())
    assert len(await store.claim_due()) == 1
    assert await store.claim_due() == []


async def test_a_claim_of_a_process_that_died_ends(store, database):
    await begin(store, event())
    await store.claim_due()
    await execute(database, "UPDATE collector.notice SET next_try_at = clock_timestamp()")
    assert len(await store.claim_due()) == 1


async def test_an_event_that_comes_and_goes_is_told_once_within_the_quiet_time(store, database):
    await begin(store, event())
    assert await tell(store) == [("behind", False)]
    await end(store)
    assert await tell(store) == [("behind", True)]
    for _ in range(3):
        await begin(store, event())
        assert await tell(store) == []
        await end(store)
        assert await tell(store) == []
    await begin(store, event())
    await execute(
        database,
        "UPDATE collector.notice SET quiet_until = quiet_until - INTERVAL '1 hour' WHERE ended_at IS NULL",
    )
    assert await tell(store) == [("behind", False)]


async def test_an_event_that_was_over_before_its_message_is_told_once(store):
    await begin(store, event())
    await end(store)
    assert await tell(store) == [("behind", True)]
    assert await tell(store) == []


async def test_an_end_during_the_sending_is_told_after_it(store):
    await begin(store, event())
    due = await store.claim_due()
    await end(store)
    assert await store.claim_due() == []
    await store.mark_told(due)
    assert await tell(store) == [("behind", True)]


async def test_an_event_that_comes_again_while_its_message_is_under_way_is_told_once(store):
    await begin(store, event())
    due = await store.claim_due()
    await end(store)
    await begin(store, event())
    await store.mark_told(due)
    assert await tell(store) == [("behind", True)]


async def test_an_unwanted_end_is_not_told(store):
    await begin(store, event())
    await tell(store)
    await end(store, tells_end=False)
    assert await tell(store) == []


async def test_a_message_that_no_service_accepts_is_given_up_after_five_rounds(store, database):
    await begin(store, event())
    rounds = 0
    while due := await store.claim_due():
        rounds += 1
        await store.mark_untold(due)
        assert await store.claim_due() == []
        await execute(database, "UPDATE collector.notice SET next_try_at = clock_timestamp()")
    assert rounds == 5


async def test_an_event_of_yesterday_is_not_told_any_more(store, database):
    await begin(store, event())
    await execute(database, "UPDATE collector.notice SET noted_at = noted_at - INTERVAL '25 hours'")
    assert await tell(store) == []


async def test_the_end_of_an_event_of_many_days_is_told(store, database):
    await begin(store, event())
    await tell(store)
    await execute(database, "UPDATE collector.notice SET noted_at = noted_at - INTERVAL '9 days'")
    await end(store)
    assert await tell(store) == [("behind", True)]


async def test_a_summary_is_stored_once_for_its_day(store):
    for _ in range(2):
        await store.add_once("summary", "2026-11-27", AT, {"due": 3})
    (due,) = await store.claim_due()
    assert (due.kind, due.facts) == ("summary", {"due": 3})
    assert len(await store.recent(10)) == 1


async def test_only_the_events_of_a_subject_are_compared(store):
    await begin(
        store,
        event("failure", "intraday failed Rejected"),
        event("failure", "intraday2 failed Rejected"),
        event("behind", "intraday"),
    )
    found = await store.lasting(["failure", "behind"], "intraday")
    assert {notice.subject for notice in found} == {"intraday failed Rejected", "intraday"}


TARGETS = [Target.of("KOSPI", code, "KRX") for code in ("005", "006")]
FILL = """
WITH made AS (
    INSERT INTO collector.target (market, sector, exchange)
    SELECT 'KOSPI', code, 'KRX' FROM unnest('{005,006,007}'::text[]) AS code RETURNING id, sector
)
INSERT INTO collector.walk (slot, target, status, rows, error)
SELECT slot, id, CASE WHEN sector = '006' AND slot = $1 THEN 'failed' ELSE 'complete' END, 2,
       CASE WHEN sector = '006' AND slot = $1 THEN 'Rejected: no' END
FROM made CROSS JOIN unnest(ARRAY[$1::timestamptz, $1::timestamptz - INTERVAL '5 minutes']) AS slot
"""


async def test_the_figures_of_slots_are_those_of_the_targets_asked_for(store, database):
    await execute(database, FILL, AT)
    lines = {line.target: line for line in await store.slot_lines(AT, TARGETS)}
    assert lines.keys() == {"KOSPI/005/KRX", "KOSPI/006/KRX"}
    assert (lines["KOSPI/006/KRX"].status, lines["KOSPI/006/KRX"].error) == ("failed", "Rejected: no")
    earlier, never = AT - timedelta(minutes=5), AT - timedelta(days=1)
    assert await store.complete_counts([AT, earlier, never], TARGETS) == {AT: 1, earlier: 2}
    totals = await store.day_totals(AT - timedelta(hours=1), AT + timedelta(hours=1))
    assert totals == {"complete": (5, 10), "failed": (1, 2)}


async def test_a_disk_has_one_sample_an_hour_and_two_weeks_of_them(store, database):
    assert [size for _, size in await store.sample_disk("h", 100)] == [100]
    assert [size for _, size in await store.sample_disk("h", 90)] == [100]
    await execute(database, "UPDATE collector.disk_sample SET taken_at = taken_at - INTERVAL '1 hour'")
    assert [size for _, size in await store.sample_disk("h", 80)] == [100, 80]
    await execute(database, "UPDATE collector.disk_sample SET taken_at = taken_at - INTERVAL '15 days'")
    assert [size for _, size in await store.sample_disk("h", 70)] == [70]
    assert await fetch(database, "SELECT count(*) FROM collector.disk_sample") == [(1,)]


async def test_a_rate_below_the_configured_one_is_found(store, database):
    await execute(
        database,
        "INSERT INTO collector.quota (key, api_id, granted, granted_at)"
        " VALUES ('k', 'ka20002', 3, $1), ('k', 'x', 5, $1)",
        AT,
    )
    (found,) = await store.lowered_quotas(5)
    assert (found.key, found.api_id, found.granted, found.since) == ("k", "ka20002", 3, AT)
