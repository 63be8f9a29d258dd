"""The ledger and the rows, in a real database: whole, once, and as they were read."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from collector.daemon import SlotAccounting
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.errors import StoreError
from collector.market.membership import members_digest
from collector.model import (
    KST,
    BadRow,
    Baseline,
    Certificate,
    Exchange,
    Outcome,
    Page,
    Quote,
    Remark,
    Status,
    Target,
    WalkResult,
)
from tests.support.harness import columns, execute, fetch, reading, snapshots, stored
from tests.support.tcp_proxy import proxied

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
KOSPI = Target.of("KOSPI", "001", "KRX")
KOSDAQ = Target.of("KOSDAQ", "101", "NXT")
COMPLETE = Certificate(Status.COMPLETE)
SUSPECT = Certificate(Status.SUSPECT, (Remark.SHORT_PAGE, Remark.ROW_COUNT))


@asynccontextmanager
async def storing(address: Dsn, *, slot: datetime | None = SLOT) -> AsyncIterator[SnapshotStore]:
    """A store of its own, as a program of its own would have it; a sweep has begun at `slot`."""
    async with open_pool(address, size=4) as pool:
        held = Database(pool, address)
        store = SnapshotStore(held, Registry(held))
        await store.registry.open()
        await store.registry.register_targets([KOSPI, KOSDAQ])
        if slot is not None:
            await store.begin_sweep(slot, "all", [KOSPI, KOSDAQ])
        yield store


async def ended(address: Dsn, target: Target = KOSPI) -> tuple[Any, ...]:
    """The ledger's line: status, pages, rows, remarks, error, attempts."""
    [line] = await fetch(
        address,
        "SELECT status, pages, rows, remarks, error, attempts FROM walk"
        " WHERE slot = $1 AND market = $2 AND sector = $3 AND exchange = $4",
        SLOT,
        *target,
    )
    return line


async def count(address: Dsn) -> int:
    [[number]] = await fetch(address, "SELECT count(*) FROM snapshot")
    assert isinstance(number, int)
    return number


def plain(rows: Sequence[Quote]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows]


EXTREMES = [
    Quote("005930", "삼성전자", 2**31 - 1, -(2**31) + 1, 2**28 - 1, 5, 10**15 - 1, 1, 1, 1, 1, 1),
    Quote("0126Z0", "a'b\"c\\d\t{}|,$1", None, 2**31 - 1, -(2**28), 1, 0, None, None, None, None, None),
    Quote("33626K", "😀 한글 <b>&amp;", 1, 0, 0, 3, 1, None, 7, None, 8, None),
]


async def test_a_walk_reads_back_as_it_was_read(database: Dsn) -> None:
    rows = [*EXTREMES, *snapshots(247)]
    async with storing(database) as store:
        assert await store.save_walk(reading(KOSPI, SLOT, rows, attempts=5), COMPLETE)
    assert await stored(database, SLOT, KOSPI) == plain(rows)
    assert await ended(database) == ("complete", 3, 250, [], None, 5)


async def test_each_row_knows_when_its_page_arrived(database: Dsn) -> None:
    rows = snapshots(150)
    pages = [Page(columns(rows[:100]), "N1"), Page(columns([]), "N2"), Page(columns(rows[100:]), None)]
    times = [SLOT + timedelta(seconds=second, microseconds=123_456) for second in (2, 3, 4)]
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, rows, pages=pages, page_times=times), SUSPECT)
    found = await fetch(database, "SELECT received_at FROM snapshot ORDER BY position")
    assert [at for [at] in found] == [times[0]] * 100 + [times[2]] * 50
    [[requested, received, committed]] = await fetch(
        database, "SELECT requested_at, received_at, committed_at FROM walk"
    )
    assert (requested, received) == (SLOT + timedelta(seconds=1), times[-1])
    assert committed.tzinfo is not None


async def test_the_ledger_and_the_rows_are_of_one_transaction(database: Dsn) -> None:
    bad = Page(columns(snapshots(100)), "N1", [BadRow("{}", "stk_cd is missing")])
    whole = reading(KOSPI, SLOT, snapshots(100), pages=[bad, Page(columns(snapshots(9, first=100)), None)])
    async with storing(database) as store:
        await store.save_walk(replace(whole, page_times=[SLOT, SLOT]), SUSPECT)
    found = await fetch(
        database,
        "SELECT DISTINCT xmin::text FROM collector.walk"
        " UNION SELECT xmin::text FROM collector.snapshot"
        " UNION SELECT xmin::text FROM collector.quarantine",
    )
    assert len(found) == 1


async def test_a_row_that_did_not_decode_lies_in_quarantine_with_its_page(database: Dsn) -> None:
    bad = BadRow('{"stk_cd":"0059é0","stk_nm":"\\u0000"}', "stk_cd is no code")
    pages = [Page(columns(snapshots(100)), "N1"), Page(columns(snapshots(9, first=100)), None, [bad])]
    async with storing(database) as store:
        await store.save_walk(
            reading(KOSPI, SLOT, snapshots(1), pages=pages, page_times=[SLOT, SLOT]),
            Certificate(Status.SUSPECT, (Remark.UNDECODED,)),
        )
    assert await fetch(database, "SELECT market, sector, exchange, page, raw, reason FROM quarantine") == [
        (*KOSPI, 2, bad.raw, bad.reason)
    ]
    assert await count(database) == 109


async def test_a_walk_without_rows_is_stored_as_such(database: Dsn) -> None:
    async with storing(database) as store:
        assert await store.save_walk(reading(KOSPI, SLOT, []), COMPLETE)
    assert await ended(database) == ("complete", 1, 0, [], None, 1)


async def test_a_second_walk_of_the_same_slot_changes_nothing(database: Dsn) -> None:
    async with storing(database) as first, storing(database) as second:
        assert await first.save_walk(reading(KOSPI, SLOT, snapshots(120)), COMPLETE)
        assert not await second.save_walk(reading(KOSPI, SLOT, snapshots(130, price=7)), COMPLETE)
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(120))


async def test_of_rivals_at_the_same_moment_one_stores(database: Dsn) -> None:
    async with storing(database) as one, storing(database) as other:
        entered = await asyncio.gather(
            *(
                store.save_walk(reading(KOSPI, SLOT, snapshots(150, price=1000 * number)), COMPLETE)
                for number, store in enumerate([one, other] * 4, 1)
            )
        )
    assert sum(entered) == 1
    winner = entered.index(True) + 1
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150, price=1000 * winner))


@pytest.mark.parametrize("second", ["complete", "suspect", "failed", "missed"])
@pytest.mark.parametrize("first", ["complete", "suspect", "failed", "missed"])
async def test_an_end_gives_way_only_to_a_better_one(database: Dsn, first: str, second: str) -> None:
    better = {
        ("failed", "complete"), ("failed", "suspect"), ("failed", "failed"),
        ("missed", "complete"), ("missed", "suspect"), ("missed", "failed"),
        ("suspect", "complete"),
    }  # fmt: skip
    rows = {1: snapshots(110), 2: snapshots(50, price=5)}
    async with storing(database) as store:
        for number, status in ((1, first), (2, second)):
            walk = reading(KOSPI, SLOT, rows[number], attempts=number)
            match status:
                case "complete":
                    await store.save_walk(walk, COMPLETE)
                case "suspect":
                    await store.save_walk(walk, SUSPECT)
                case "failed":
                    await store.save_failure(SLOT, KOSPI, error=f"try {number}", attempts=number)
                case _:
                    await SlotAccounting(store.database, store.registry).record_missed(
                        [SLOT], "all", [KOSPI], f"reason {number}"
                    )
    winner = 2 if (first, second) in better else 1
    held = (first, second)[winner - 1]
    assert (await ended(database))[0] == held
    expected = plain(rows[winner]) if held in ("complete", "suspect") else []
    assert await stored(database, SLOT, KOSPI) == expected


async def test_a_walk_that_follows_a_failure_counts_the_attempts_of_both(database: Dsn) -> None:
    async with storing(database) as store:
        await store.save_failure(SLOT, KOSPI, error="Unavailable: no answer in time", attempts=3)
        assert await ended(database) == ("failed", 0, 0, [], "Unavailable: no answer in time", 3)
        await store.save_walk(reading(KOSPI, SLOT, snapshots(120), attempts=2), COMPLETE)
    assert await ended(database) == ("complete", 2, 120, [], None, 5)


async def test_what_was_in_quarantine_goes_with_the_suspect_walk(database: Dsn) -> None:
    bad = Page(columns(snapshots(9)), None, [BadRow("{}", "stk_cd is missing")])
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, snapshots(9), pages=[bad]), SUSPECT)
        await store.save_walk(reading(KOSPI, SLOT, snapshots(10)), COMPLETE)
    assert await fetch(database, "SELECT * FROM quarantine") == []
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(10))


@pytest.mark.parametrize("heard", [True, False], ids=["committed", "not committed"])
async def test_a_lost_answer_to_commit_is_looked_up(database: Dsn, heard: bool) -> None:
    async with proxied(database) as proxy, storing(proxy.address) as store:
        await store.registry.listing_ids(columns(snapshots(150)).listings, SLOT)
        proxy.last_words, proxy.are_heard = b"COMMIT;", heard
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(150)), COMPLETE)
        assert not proxy.last_words
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))
    assert (await ended(database))[0] == "complete"


async def test_a_walk_that_another_program_stored_is_not_taken_for_ours(database: Dsn) -> None:
    """It has our slot and target, and other rows: only the time of its first request tells it from ours."""
    async with storing(database) as ours, storing(database) as theirs:
        mine = reading(KOSPI, SLOT, snapshots(150))
        other = reading(KOSPI, SLOT, snapshots(120), requested_at=SLOT + timedelta(seconds=1, microseconds=1))
        await ours.registry.register_targets([KOSPI])
        await theirs.save_walk(other, COMPLETE)
        assert not await ours._was_committed(mine, Status.COMPLETE)
        assert await ours._was_committed(other, Status.COMPLETE)


async def test_a_listing_stays_seen_when_an_older_slot_is_stored_after_a_newer_one(database: Dsn) -> None:
    later, rows = SLOT + timedelta(minutes=5), snapshots(3)
    async with storing(database) as store:
        for slot in (later, SLOT):
            await store.begin_sweep(slot, "all", [KOSPI])
            await store.save_walk(reading(KOSPI, slot, rows), COMPLETE)
            await store.end_sweep(slot, "all")
        assert await fetch(database, "SELECT DISTINCT last_seen FROM listing") == [(later,)]
        await execute(database, "UPDATE collector.listing SET board = NULL")
        await store.record_sightings(SLOT, [KOSPI])
    assert await fetch(database, "SELECT DISTINCT last_seen, board FROM collector.listing") == [
        (later, "KOSPI")
    ]


async def test_a_connection_cut_in_mid_copy_is_made_good(database: Dsn) -> None:
    async with proxied(database) as proxy, storing(proxy.address) as store:
        proxy.last_words, proxy.are_heard = b"PGCOPY", False
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(150)), COMPLETE)
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))


async def test_a_failure_is_noted_although_the_connection_was_lost(database: Dsn) -> None:
    async with proxied(database) as proxy, storing(proxy.address) as store:
        proxy.cut()
        await store.save_failure(SLOT, KOSPI, error="Rejected: no", attempts=1)
    assert await ended(database) == ("failed", 0, 0, [], "Rejected: no", 1)


async def test_a_database_that_is_away_for_a_second_costs_nothing(database: Dsn) -> None:
    away = f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS"
    elsewhere = replace(database, database="postgres")
    async with storing(database) as store:
        walk = reading(KOSPI, SLOT, snapshots(150))
        await store.registry.listing_ids(columns(snapshots(150)).listings, SLOT)
        await execute(elsewhere, f"{away} false")
        await execute(
            elsewhere, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            database.database,
        )  # fmt: skip
        entering = asyncio.ensure_future(store.save_walk(walk, COMPLETE))
        await asyncio.sleep(1)  # it is to be away for a while, and be asked meanwhile
        await execute(elsewhere, f"{away} true")
        assert await entering
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))


async def failing(address: Dsn, state: str, *, times: int) -> None:
    """Let each entry into the ledger fail with this state, as often as this."""
    await execute(address, "CREATE SEQUENCE public.tries")
    await execute(
        address,
        "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('public.tries') <= {times} THEN RAISE 'made to fail' USING ERRCODE = '{state}'; END IF;"
        " RETURN NEW; END $$",
    )
    await execute(
        address,
        "CREATE TRIGGER fail BEFORE INSERT ON collector.walk FOR EACH ROW EXECUTE FUNCTION public.fail()",
    )


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03", "57P01", "53300"])
async def test_what_passes_is_waited_for(database: Dsn, state: str) -> None:
    async with storing(database) as store:
        await failing(database, state, times=1)
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(120)), COMPLETE)
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(120))


async def test_a_full_disk_ends_at_once_and_leaves_nothing(database: Dsn) -> None:
    async with storing(database) as store:
        await failing(database, "53100", times=1)
        with pytest.raises(StoreError, match="its disk is full") as caught:
            await store.save_walk(reading(KOSPI, SLOT, snapshots(120)), COMPLETE)
        assert await fetch(database, "SELECT last_value FROM public.tries") == [(1,)]
        assert "free space" in caught.value.hint
        assert await store.ledger(SLOT) == {}
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(120)), COMPLETE)
    assert await count(database) == 120


async def test_a_missing_partition_is_made(database: Dsn) -> None:
    async with storing(database) as store:
        await execute(database, "DROP TABLE collector.snapshot_20261120")
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(120)), COMPLETE)
    assert await count(database) == 120


async def test_a_sweep_finds_its_day_and_the_next_ones_prepared(database: Dsn) -> None:
    async with storing(database):
        pass
    found = await fetch(
        database,
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'collector.snapshot'::regclass ORDER BY 1",
    )
    days = [SLOT + timedelta(days=number) for number in range(8)]
    assert found == [(f"collector.snapshot_{day:%Y%m%d}",) for day in days]


@pytest.mark.parametrize("clock", ["00:00:00", "08:59:59", "09:00:00", "23:59:59"])
async def test_a_day_is_koreas_day(database: Dsn, clock: str) -> None:
    slot = datetime.fromisoformat(f"2026-11-20T{clock}+09:00")
    async with storing(database, slot=slot) as store:
        await store.save_walk(reading(KOSPI, slot, snapshots(3)), COMPLETE)
    assert await fetch(database, "SELECT DISTINCT tableoid::regclass::text FROM collector.snapshot") == [
        ("collector.snapshot_20261120",)
    ]


@pytest.mark.extended
async def test_a_cancelled_entry_is_there_whole_or_not_at_all(database: Dsn) -> None:
    chance = random.Random(1)
    async with storing(database) as store:
        for number in range(30):
            slot = SLOT + timedelta(seconds=number)
            entering = asyncio.ensure_future(store.save_walk(reading(KOSPI, slot, snapshots(300)), COMPLETE))
            await asyncio.sleep(chance.random() * 0.02)  # any moment will do
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
        assert await store.save_walk(reading(KOSDAQ, SLOT, snapshots(300)), COMPLETE)
    torn = await fetch(
        database,
        "SELECT w.slot, w.rows, count(s.slot) FROM collector.walk AS w"
        " FULL JOIN collector.snapshot AS s USING (slot, target)"
        " GROUP BY w.slot, w.target, w.rows HAVING count(s.slot) IS DISTINCT FROM w.rows",
    )
    assert torn == []


async def test_the_ledger_is_read_back_as_outcomes(database: Dsn) -> None:
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, snapshots(120), attempts=4), SUSPECT)
        await store.save_failure(SLOT, KOSDAQ, error="Rejected: no", attempts=1)
        assert await store.ledger(SLOT) == {
            KOSPI: Outcome(KOSPI, SLOT, Status.SUSPECT, 2, 120, ("short_page", "row_count"), "", 4),
            KOSDAQ: Outcome(KOSDAQ, SLOT, Status.FAILED, error="Rejected: no", attempts=1),
        }
        assert await store.ledger(SLOT + timedelta(seconds=1)) == {}


async def test_what_is_known_of_a_target_comes_from_its_last_complete_walk(database: Dsn) -> None:
    def days_before(number: int, rows: int) -> WalkResult:
        return reading(KOSPI, SLOT - timedelta(days=number), snapshots(rows))

    async with storing(database, slot=SLOT - timedelta(days=11)) as store:
        await store.begin_sweep(SLOT - timedelta(days=3), "all", [KOSPI])
        await store.save_walk(days_before(11, 5), COMPLETE)
        assert (await store.baselines(SLOT, [KOSPI]))[KOSPI].rows is None
        await store.save_walk(days_before(2, 7), COMPLETE)
        await store.save_walk(days_before(1, 9), SUSPECT)
        known = (await store.baselines(SLOT, [KOSDAQ, KOSPI]))[KOSPI]
        assert (known.rows, known.day) == (7, (SLOT - timedelta(days=2)).date())
        await store.save_walk(reading(KOSPI, SLOT, snapshots(8)), COMPLETE)
        assert (await store.baselines(SLOT, [KOSPI]))[KOSPI] == known


def undecoded(rows: Sequence[Quote], *symbols: str) -> list[Page]:
    """Pages of 100 on which the rows of these symbols do not decode."""
    parts = [rows[start : start + 100] for start in range(0, len(rows), 100)]
    return [
        Page(
            columns(row for row in part if row.symbol not in symbols),
            f"N{number}" if number < len(parts) else None,
            [BadRow("{}", "cur_prc is no whole number", row.symbol) for row in part if row.symbol in symbols],
        )
        for number, part in enumerate(parts, 1)
    ]


async def test_the_history_of_a_list_goes_back_to_the_last_complete_walk(database: Dsn) -> None:
    minute, old, new = timedelta(minutes=1), snapshots(130), snapshots(90)
    mark = Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))
    async with storing(database, slot=SLOT - timedelta(days=2)) as store:
        await store.save_walk(reading(KOSPI, SLOT - timedelta(days=2, minutes=5), new), COMPLETE)
        await store.save_walk(reading(KOSPI, SLOT - timedelta(days=2), old), COMPLETE)
        await store.save_walk(reading(KOSPI, SLOT - timedelta(days=1), new), mark)
        await store.save_failure(SLOT - 2 * minute, KOSPI, error="Rejected: no", attempts=1)
        pages = undecoded(new, "000007")
        await store.save_walk(reading(KOSPI, SLOT - minute, new, pages=pages), mark)
        await store.save_walk(reading(KOSPI, SLOT, new), mark)
        history = await store.history(SLOT, KOSPI)
    assert [(SLOT - walk.slot, walk.status, walk.bad) for walk in history.walks] == [
        (minute, Status.SUSPECT, 1),
        (timedelta(days=1), Status.SUSPECT, 0),
        (timedelta(days=2), Status.COMPLETE, 0),
    ]
    assert [set(walk.symbols) for walk in history.walks] == [
        {row.symbol for row in rows} for rows in (new, new, old)
    ]
    assert history.walks[2].symbols == tuple(row.symbol for row in old)
    assert (history.walks[0].remarks, history.krx) == (["row_count"], None)


async def test_the_history_tells_an_empty_page_inside_from_one_at_the_end(database: Dsn) -> None:
    rows, mark = snapshots(150), Certificate(Status.SUSPECT, (Remark.EMPTY_PAGE,))
    full, rest, empty = columns(rows[:100]), columns(rows[100:]), columns([])
    inside = [Page(full, "a"), Page(empty, "b"), Page(rest, None)]
    last = [Page(full, "a"), Page(rest, "b"), Page(empty, None)]
    times = [SLOT] * 3
    async with storing(database) as store:
        for number, pages in enumerate((inside, last)):
            at = SLOT - timedelta(minutes=2 - number)
            await store.save_walk(reading(KOSPI, at, rows, pages=pages, page_times=times), mark)
        assert [walk.has_gap for walk in (await store.history(SLOT, KOSPI)).walks] == [False, True]


async def test_the_history_on_nxt_comes_with_the_list_of_krx(database: Dsn) -> None:
    krx = KOSDAQ._replace(exchange=Exchange.KRX)
    async with storing(database) as store:
        await store.registry.register_targets([krx])
        await store.save_walk(reading(krx, SLOT - timedelta(days=1), snapshots(3)), COMPLETE)
        assert (await store.history(SLOT, KOSDAQ)).krx is None
        await store.save_walk(reading(krx, SLOT, snapshots(5)), COMPLETE)
        assert (await store.history(SLOT, KOSDAQ)).krx == tuple(row.symbol for row in snapshots(5))
        assert (await store.history(SLOT, krx)).krx is None


async def test_the_list_of_krx_last_evening_says_nothing_this_morning(database: Dsn) -> None:
    """Both lie on one day of UTC, and on two of Korea."""
    morning = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    evening = morning - timedelta(hours=12)
    krx = KOSDAQ._replace(exchange=Exchange.KRX)
    async with storing(database, slot=evening) as store:
        await store.registry.register_targets([krx])
        await store.save_walk(reading(krx, evening, snapshots(5)), COMPLETE)
        assert (await store.history(evening + timedelta(minutes=5), KOSDAQ)).krx is not None
        assert (await store.history(morning, KOSDAQ)).krx is None


async def test_walks_that_are_borne_out_become_complete_with_the_walk_that_does_so(database: Dsn) -> None:
    mark = Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))
    before, long_before = SLOT - timedelta(minutes=5), SLOT - timedelta(minutes=10)
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, long_before, snapshots(80)), mark)
        await store.save_walk(reading(KOSPI, before, snapshots(90)), mark, expected=120)
        stamps = await fetch(database, "SELECT committed_at FROM walk WHERE slot = $1", before)
        assert await store.save_walk(reading(KOSPI, SLOT, snapshots(90)), COMPLETE, borne_out=[before])
        assert (await store.baselines(SLOT + timedelta(minutes=5), [KOSPI]))[KOSPI].rows == 90
    lines = "SELECT status, remarks FROM walk ORDER BY slot"
    assert await fetch(database, lines) == [
        ("suspect", ["row_count"]),
        ("complete", ["row_count", "borne_out"]),
        ("complete", []),
    ]
    assert await fetch(database, "SELECT committed_at FROM walk WHERE slot = $1", before) == stamps
    assert await fetch(
        database, "SELECT slot, market, judged_by, verdict, status, remarks FROM judgement"
    ) == [(before, "KOSPI", f"walk of {SLOT.isoformat()}", "borne_out", "suspect", ["row_count"])]
    assert await fetch(database, "SELECT expected FROM collector.walk WHERE slot = $1", before) == [(120,)]
    assert await fetch(
        database,
        "SELECT count(DISTINCT x) FROM (SELECT xmin::text AS x FROM collector.walk WHERE slot = ANY ($1)"
        " UNION ALL SELECT xmin::text FROM collector.judgement) AS written",
        [before, SLOT],
    ) == [(1,)]


async def test_the_members_of_an_earlier_day_are_known_from_when_it_was_borne_out(database: Dsn) -> None:
    yesterday = SLOT - timedelta(days=1)
    async with storing(database, slot=SLOT - timedelta(days=2)) as store:
        await store.save_walk(reading(KOSPI, SLOT - timedelta(days=2), snapshots(120)), COMPLETE)
        await store.end_sweep(SLOT - timedelta(days=2), "all")
        await store.save_walk(reading(KOSPI, yesterday, snapshots(90)), SUSPECT)
        await store.end_sweep(yesterday, "all")
        await store.save_walk(reading(KOSPI, SLOT, snapshots(90)), COMPLETE, borne_out=[yesterday])
        await store.end_sweep(SLOT, "all")
    assert await fetch(
        database, "SELECT as_of, cardinality(symbols) FROM collector.membership ORDER BY as_of"
    ) == [((SLOT - timedelta(days=2)).date(), 120), (yesterday.date(), 90)]


async def test_a_listing_whose_row_does_not_decode_stays_a_member(database: Dsn) -> None:
    rows, later = snapshots(120), SLOT + timedelta(minutes=5)
    noted = Certificate(Status.COMPLETE, (Remark.UNDECODED,))
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, rows), COMPLETE)
        await store.end_sweep(SLOT, "all")
        await store.save_walk(reading(KOSPI, later, rows, pages=undecoded(rows, "000007")), noted)
        await store.end_sweep(later, "all")
        assert (await store.baselines(later + timedelta(minutes=5), [KOSPI]))[KOSPI] == Baseline(
            rows=120, day=SLOT.date(), members=members_digest(reading(KOSPI, SLOT, rows))
        )
        assert (await store.ledger(later))[KOSPI].bad == 1
    shown = "SELECT symbol, valid_to FROM membership WHERE symbol = '000007'"
    assert await fetch(database, shown) == [("000007", None)]
    assert await fetch(database, "SELECT count(*) FROM latest") == [(119,)]
    assert await fetch(database, "SELECT symbol, reason FROM quarantine") == [
        ("000007", "cur_prc is no whole number")
    ]


async def test_a_first_list_with_a_row_that_does_not_decode_has_it_among_its_members(
    database: Dsn,
) -> None:
    noted = Certificate(Status.COMPLETE, (Remark.UNDECODED,))
    async with storing(database) as store:
        pages = undecoded(snapshots(120), "000007")
        await store.save_walk(reading(KOSPI, SLOT, [], pages=pages, page_times=[SLOT] * 2), noted)
        await store.end_sweep(SLOT, "all")
    assert await fetch(database, "SELECT cardinality(symbols) FROM collector.membership") == [(120,)]


async def test_a_row_without_a_readable_code_tells_nothing_of_the_members(database: Dsn) -> None:
    rows, later = snapshots(120), SLOT + timedelta(minutes=5)
    pages = [
        replace(page, bad=[BadRow("{}", "stk_cd is no stock code") for _ in page.bad])
        for page in undecoded(rows, "000007")
    ]
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, rows), COMPLETE)
        await store.end_sweep(SLOT, "all")
        noted = Certificate(Status.COMPLETE, (Remark.UNDECODED,))
        await store.save_walk(reading(KOSPI, later, rows, pages=pages), noted)
        await store.end_sweep(later, "all")
    assert await fetch(database, "SELECT cardinality(symbols) FROM collector.membership") == [(120,)]
    assert await fetch(database, "SELECT symbol FROM quarantine") == [(None,)]


async def test_the_ledger_bears_what_another_program_has_brought(database: Dsn) -> None:
    unknown = Target.of("KOSPI", "013", "KRX")
    async with storing(database) as first, storing(database) as second:
        await second.registry.register_targets([unknown])
        await second.save_walk(reading(unknown, SLOT, snapshots(3)), COMPLETE)
        await first.save_walk(reading(KOSPI, SLOT, snapshots(3)), COMPLETE)
        assert KOSPI in await first.ledger(SLOT)
        assert set(await second.ledger(SLOT)) == {KOSPI, unknown}


async def test_an_empty_sector_of_nxt_is_believed_by_a_list_that_it_belongs_to_alone(
    database: Dsn,
) -> None:
    def target(sector: str, exchange: str) -> Target:
        return Target.of("KOSPI", sector, exchange)

    asked = target("013", "NXT")
    lists = {  # the sector has 0–9; 027 is another industry; 001 holds both, of which NXT trades 100–149
        target("013", "KRX"): snapshots(10),
        target("027", "KRX"): snapshots(100, first=100),
        target("027", "NXT"): snapshots(50, first=100),
    }
    boards = {target("001", "KRX"): snapshots(200), target("001", "NXT"): snapshots(60, first=100)}
    async with storing(database) as store:
        await store.registry.register_targets([*lists, *boards, asked])
        for one, rows in lists.items():
            await store.save_walk(reading(one, SLOT, rows), COMPLETE)
        assert not await store.has_no_nxt_members(SLOT, asked)
        for one, rows in boards.items():
            await store.save_walk(reading(one, SLOT, rows), COMPLETE)
        assert await store.has_no_nxt_members(SLOT, asked)
        later = SLOT + timedelta(minutes=5)
        await store.save_walk(reading(target("001", "NXT"), later, snapshots(60, first=9)), COMPLETE)
        assert not await store.has_no_nxt_members(later, asked)


@pytest.mark.extended
async def test_programs_that_end_one_slot_at_one_moment_do_not_wait_for_each_other(database: Dsn) -> None:
    """Each has seen listings of one board, and locks what the other has seen as well."""
    slots = [SLOT + timedelta(seconds=number) for number in range(30)]
    kosdaq = Target.of("KOSDAQ", "101", "KRX")
    async with storing(database) as one, storing(database) as other:
        await one.registry.register_targets([kosdaq])
        await other.registry.register_targets([kosdaq])
        for slot in slots:
            await one.save_walk(reading(KOSPI, slot, snapshots(200)), COMPLETE)
            await other.save_walk(reading(kosdaq, slot, snapshots(200, first=200)), COMPLETE)
            await asyncio.gather(
                one.end_sweep(slot, "all", [kosdaq]), other.end_sweep(slot, "everything", [KOSPI])
            )
    assert await fetch(
        database, "SELECT DISTINCT board, last_seen FROM collector.listing ORDER BY board"
    ) == [
        ("KOSDAQ", slots[-1]),
        ("KOSPI", slots[-1]),
    ]


async def test_the_newest_complete_walk_is_the_latest(database: Dsn) -> None:
    async with storing(database) as store:
        for minutes, certificate in ((0, COMPLETE), (1, COMPLETE), (2, SUSPECT)):
            walk = reading(KOSPI, SLOT + timedelta(minutes=minutes), snapshots(5, price=100 * minutes))
            await store.save_walk(walk, certificate)
    found = await fetch(database, "SELECT DISTINCT slot FROM latest")
    assert found == [(SLOT + timedelta(minutes=1),)]


async def test_a_sweep_that_stored_something_and_did_not_end_is_found(database: Dsn) -> None:
    async with storing(database) as store:
        later = SLOT + timedelta(minutes=5)
        await store.begin_sweep(later, "other", [KOSPI])
        assert await store.find_unfinished_sweep("all", SLOT - timedelta(minutes=1)) is None
        await store.save_walk(reading(KOSPI, SLOT, []), COMPLETE)
        await store.save_failure(later, KOSPI, error="Rejected: no", attempts=1)
        assert await store.find_unfinished_sweep("all", SLOT - timedelta(minutes=1)) == SLOT
        assert await store.find_unfinished_sweep("all", SLOT) is None
        await store.end_sweep(SLOT, "all")
        assert await store.find_unfinished_sweep("all", SLOT - timedelta(minutes=1)) is None
        assert await store.find_unfinished_sweep("other", SLOT) == later


@pytest.fixture
async def three_days(database: Dsn) -> Dsn:
    """Rows of three days and two targets."""
    async with storing(database, slot=SLOT - timedelta(days=2)) as store:
        for day in range(3):
            for target in (KOSPI, KOSDAQ):
                for minute in range(5):
                    slot = SLOT - timedelta(days=day, minutes=minute)
                    await store.save_walk(reading(target, slot, snapshots(300)), COMPLETE)
    await execute(database, "ANALYZE")
    return database


QUERIES = {
    "one walk": (
        "SELECT * FROM snapshot WHERE slot = '2026-11-20T11:00+09'"
        " AND market = 'KOSPI' AND sector = '001' AND exchange = 'KRX'"
    ),
    "one listing's day": (
        "SELECT * FROM snapshot WHERE slot >= '2026-11-20T00:00+09' AND slot < '2026-11-21T00:00+09'"
        " AND symbol = '000042'"
    ),
}


@pytest.mark.extended
@pytest.mark.parametrize(
    ("query", "index"), [("one walk", "slot_target_idx"), ("one listing's day", "listing_idx")]
)
async def test_a_query_touches_its_own_day_only_and_by_an_index(
    three_days: Dsn, query: str, index: str
) -> None:
    lines = await fetch(three_days, f"EXPLAIN {QUERIES[query]}")
    text = "\n".join(line for [line] in lines)
    assert "snapshot_20261119" not in text
    assert f"snapshot_20261120_{index}" in text


def traded(count: int, *, price: int = 1000, volume: int = 5000, still: int = 0) -> list[Quote]:
    """Rows of which the first `still` have not traded."""
    return [
        row._replace(price=price + number, volume=0 if number < still else volume + number)
        for number, row in enumerate(snapshots(count))
    ]


async def judged(
    database: Dsn, walks: Sequence[tuple[str, timedelta, Sequence[Quote]]]
) -> tuple[set[str], dict[tuple[str, timedelta], str]]:
    """Which exchanges are reported as copies of KRX, and how each walk stands afterwards."""
    targets = {exchange: KOSPI._replace(exchange=Exchange(exchange)) for exchange in Exchange}
    async with storing(database) as store:
        await store.registry.register_targets(targets.values())
        for exchange, ago, rows in walks:
            await store.save_walk(reading(targets[Exchange(exchange)], SLOT - ago, rows), COMPLETE)
        copies = await store.suspect_copies(SLOT, list(targets.values()))
        assert await store.suspect_copies(SLOT, list(targets.values())) == set()
    lines = await fetch(database, "SELECT exchange, slot, status, remarks FROM walk")
    assert all((status == "suspect") is ("same_as_krx" in remarks) for *_, status, remarks in lines)
    return {str(target.exchange) for target in copies}, {
        (exchange, SLOT - slot): status for exchange, slot, status, _ in lines
    }


NOW, EARLIER = timedelta(0), timedelta(minutes=5)
ON_KRX, ON_NXT, ON_BOTH = traded(60), traded(40, volume=70), traded(60, volume=5070)


@pytest.mark.parametrize(
    ("walks", "copies"),
    [
        pytest.param([("KRX", NOW, ON_KRX), ("NXT", NOW, ON_NXT)], set(), id="its own rows"),
        pytest.param([("KRX", NOW, ON_KRX), ("NXT", NOW, ON_KRX)], {"NXT"}, id="the rows of KRX"),
        pytest.param([("NXT", NOW, ON_KRX[:40]), ("KRX", NOW, ON_KRX)], {"NXT"}, id="KRX comes later"),
        pytest.param(
            [("KRX", EARLIER, ON_KRX), ("NXT", NOW, ON_KRX)], {"NXT"}, id="KRX came at another slot"
        ),
        pytest.param(
            [("KRX", timedelta(hours=1), ON_KRX), ("NXT", NOW, ON_KRX)], set(), id="too long ago to compare"
        ),
        pytest.param(
            [("KRX", NOW, ON_KRX), ("NXT", NOW, [*ON_KRX[:50], *traded(60, volume=9)[50:]])],
            {"NXT"},
            id="some have traded on in between",
        ),
        pytest.param(
            [("KRX", NOW, traded(60, still=60)), ("NXT", NOW, traded(60, still=60))],
            set(),
            id="nothing traded",
        ),
        pytest.param(
            [("KRX", NOW, traded(60, still=58)), ("NXT", NOW, traded(60, still=58))],
            set(),
            id="too few traded",
        ),
        pytest.param(
            [("KRX", NOW, ON_KRX), ("NXT", NOW, ON_NXT), ("CONSOLIDATED", NOW, ON_KRX)],
            {"CONSOLIDATED"},
            id="CONSOLIDATED lacks what NXT traded",
        ),
        pytest.param(
            [("KRX", NOW, ON_KRX), ("NXT", NOW, ON_NXT), ("CONSOLIDATED", NOW, ON_BOTH)],
            set(),
            id="both together",
        ),
        pytest.param([("KRX", NOW, ON_KRX), ("CONSOLIDATED", NOW, ON_KRX)], set(), id="NXT is not known"),
        pytest.param(
            [("KRX", NOW, ON_KRX), ("NXT", NOW, traded(40, still=40)), ("CONSOLIDATED", NOW, ON_KRX)],
            set(),
            id="NXT has not traded",
        ),
        pytest.param(
            [("KRX", NOW, traded(60, still=60)), ("NXT", NOW, ON_NXT), ("CONSOLIDATED", NOW, ON_NXT)],
            set(),
            id="before KRX opens",
        ),
        pytest.param(
            [("KRX", NOW, ON_KRX), ("NXT", NOW, ON_KRX), ("CONSOLIDATED", NOW, ON_KRX)],
            {"NXT"},
            id="NXT is a copy",
        ),
    ],
)
async def test_a_walk_with_the_rows_of_krx_is_suspect(
    database: Dsn, walks: list[tuple[str, timedelta, list[Quote]]], copies: set[str]
) -> None:
    found, states = await judged(database, walks)
    assert found == copies
    assert {exchange for (exchange, _), status in states.items() if status == "suspect"} == copies


async def test_a_walk_of_nxt_is_judged_by_a_later_slot_of_krx(database: Dsn) -> None:
    copies, states = await judged(database, [("NXT", EARLIER, ON_KRX), ("KRX", NOW, ON_KRX)])
    assert copies == set()
    assert states == {("NXT", EARLIER): "suspect", ("KRX", NOW): "complete"}
