"""A whole backfill against the simulator: the ledger first, what is on show, the daily past, the view over both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from json import loads
from typing import Any

import pytest

from collector.backfill import BackfillRunner, Plan, Report, parse_period
from collector.cli.backfill_job import stale_check
from collector.db.dsn import Dsn
from collector.kiwoom.protocol import bars as wire
from collector.market.schedule import Schedule, parse
from collector.market.timetable import Timetable
from collector.model import KST, Exchange, Target
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Options, Simulator
from kiwoom_simulator.market import history
from tests.support.bar_histories import CALENDAR, NOW
from tests.support.harness import collecting, execute, fetch

MEDICAL = Target.of("KOSPI", "014", "KRX")
"""Eight listings, one of which split its shares ten for one in September 2025."""
SPLIT = "225340"
TELECOM = Target.of("KOSPI", "020", "KRX")
YOUNG = Target.of("KOSPI", "028", "KRX")
"""Six listings, one of which came in January 2026."""
FRIDAY = date(2026, 11, 20)
SUNDAY = Options(quota=0, freeze=NOW)
CLOSE = datetime(2026, 11, 20, 15, 40, tzinfo=KST)
TABLE = """
SELECT symbol, adjusted, trading_date, open, high, low, close, volume, change
FROM collector.bar
ORDER BY symbol COLLATE "C", adjusted, trading_date
"""


def closing(universe: str = "all") -> Schedule:
    return parse("close", universe=universe, at="KRX.regular.close + 10m")


def intraday(universe: str = "all") -> Schedule:
    return parse("intraday", universe=universe, every="30m", during="KRX.regular")


def work(
    collector: Collector,
    *targets: Target,
    first: date = FRIDAY,
    last: date = FRIDAY,
    schedules: tuple[Schedule, ...] = (),
    now: datetime = NOW,
    **options: Any,
) -> BackfillRunner:
    return BackfillRunner(
        store=collector.store,
        sectors=collector.sectors,
        timetable=Timetable(schedules, CALENDAR, {"all": targets}),
        period=parse_period(first, last, CALENDAR, now),
        now=lambda: now,
        **options,
    )


@asynccontextmanager
async def market(
    address: Dsn, *targets: Target, **options: Any
) -> AsyncIterator[tuple[Simulator, Collector]]:
    async with (
        Simulator(replace(SUNDAY, **options)) as simulator,
        collecting(address, simulator.url, *targets) as collector,
    ):
        yield simulator, collector


async def carried_out(filling: BackfillRunner, collector: Collector) -> Report:
    report = Report()
    await filling.run(await filling.plan(), collector, report)
    return report


def served(simulator: Simulator, symbol: str, *, adjusted: bool = False) -> dict[date, tuple[int, ...]]:
    """The bars of a listing as the simulator has them: close, open, high, low, volume."""
    found = history.bars(
        simulator.market,
        simulator.market.listings[symbol],
        Exchange.KRX,
        newest=FRIDAY.toordinal(),
        adjusted=adjusted,
        now=simulator.clock.moments(),
    )
    rows, _ = history.page(found, 1)
    parsed = [_row(row) for row in rows]
    return {row.pop("dt"): tuple(row.values()) for row in parsed}


def _row(text: str) -> dict[Any, Any]:
    row = loads(text)
    names = ("cur_prc", "open_pric", "high_pric", "low_pric", "trde_qty")
    return {"dt": wire.day(row["dt"]), **{name: int(row[name]) for name in names}}


@pytest.mark.extended
async def test_bars_are_what_the_api_has_adjusted_or_not(database: Dsn) -> None:
    first = date(2025, 9, 1)
    async with market(database, MEDICAL) as (simulator, collector):
        for adjusted in (False, True):
            report = await carried_out(work(collector, MEDICAL, first=first, adjusted=adjusted), collector)
            assert report.is_whole, report.unfilled
        truth = {adjusted: served(simulator, SPLIT, adjusted=adjusted) for adjusted in (False, True)}
    for view, adjusted in (("bar", False), ("bar_adjusted", True)):
        rows = await fetch(
            database,
            f"SELECT trading_date, close, open, high, low, volume FROM {view} WHERE symbol = $1 ORDER BY 1",
            SPLIT,
        )
        wanted = {day: values for day, values in truth[adjusted].items() if day >= first}
        assert {row[0]: row[1:] for row in rows} == wanted
    assert truth[False] != truth[True]


@pytest.mark.extended
async def test_members_that_nobody_knows_are_swept_first(database: Dsn) -> None:
    async with market(database, TELECOM) as (simulator, collector):
        filling = work(collector, TELECOM)
        planned = await filling.plan()
        assert (planned.unknown, dict(planned.missing_ranges), planned.guessed) == ((TELECOM,), {}, 60)
        report = await carried_out(filling, collector)
        assert (report.listings, report.bars) == (5, 5)
        again = await filling.plan()
        assert (again.unknown, dict(again.missing_ranges), again.total.requests) == ((), {}, 0)
        # A token, a sweep of one page, five histories.
        assert report.requests == simulator.api.book.count == 7


@pytest.mark.extended
async def test_what_a_dead_backfill_had_seen_of_its_listings_is_kept_by_the_next(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await carried_out(work(collector, TELECOM), collector)
        await execute(
            database, "UPDATE collector.listing SET board = NULL, last_seen = first_seen - interval '1 day'"
        )
        await carried_out(work(collector, TELECOM), collector)
    assert await fetch(database, "SELECT DISTINCT board, last_seen < first_seen FROM listing") == [
        ("KOSPI", False)
    ]


@pytest.mark.extended
async def test_a_younger_listing_is_settled_with_what_there_is(database: Dsn) -> None:
    async with market(database, YOUNG) as (_, collector):
        report = await carried_out(work(collector, YOUNG, first=date(2025, 12, 1)), collector)
    assert report.is_whole, report.unfilled
    assert await fetch(database, "SELECT symbol, remarks FROM bar_walk WHERE 'younger' = ANY (remarks)") == [
        ("454790", ["younger"])
    ]


@pytest.mark.extended
async def test_the_missing_closing_slot_of_the_last_session_is_walked_late(database: Dsn) -> None:
    begun = datetime.now(UTC)
    far = CLOSE + timedelta(days=100_000)
    async with market(database, TELECOM) as (_, collector):
        filling = work(collector, TELECOM, schedules=(closing(), intraday()))
        planned = await filling.plan()
        [(late, cost)] = [pair for pair in planned.late if pair[0].slot == CLOSE]
        assert (late.targets, cost.requests) == ((TELECOM,), 1)
        shown = replace(planned, late=[(replace(late, until=far), cost)])
        report = Report()
        await filling.run(shown, collector, report)
    assert (report.late_walks, report.is_whole) == (1, True)
    [(status, remarks, received_at)] = await fetch(
        database, "SELECT status, remarks, received_at FROM walk WHERE slot = $1", CLOSE
    )
    assert (status, remarks) == ("complete", ["late", "after_hours"])
    assert received_at >= begun


@pytest.mark.extended
@pytest.mark.parametrize("moves", [False, True])
async def test_a_closing_walked_after_the_after_market_says_so_for_its_prices_may_have_moved(
    database: Dsn, *, moves: bool
) -> None:
    """Which of both readings is true nobody documents: the remark is what tells such a closing from another one."""
    async with market(database, TELECOM, after_market_moves=moves) as (simulator, collector):
        filling = work(collector, TELECOM, schedules=(closing(),))
        planned = await filling.plan()
        [(late, cost)] = planned.late
        far = late.slot + timedelta(days=100_000)
        await filling.run(replace(planned, late=[(replace(late, until=far), cost)]), collector, Report())
        closed = simulator.rows(TELECOM, CLOSE)
    found = await fetch(
        database, "SELECT symbol, volume FROM snapshot WHERE slot = $1 ORDER BY position", CLOSE
    )
    assert (found != [(row["stk_cd"], int(row["now_trde_qty"])) for row in closed]) is moves
    assert await fetch(database, "SELECT remarks FROM walk WHERE slot = $1", CLOSE) == [
        (["late", "after_hours"],)
    ]


@pytest.mark.extended
async def test_a_late_walk_that_shows_the_session_before_is_suspect(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await collector.sweep(CLOSE - timedelta(days=1), "all", [TELECOM])
        filling = work(
            collector, TELECOM, schedules=(closing(),), judge=stale_check(collector.store, CALENDAR)
        )
        planned = await filling.plan()
        [(late, cost)] = planned.late
        report = Report()
        far = replace(late, until=CLOSE + timedelta(days=100_000))
        await filling.run(replace(planned, late=[(far, cost)]), collector, report)
        [line] = map(str, report.unfilled)
        said = line.removeprefix("slot 2026-11-20 15:40 KOSPI/020/KRX suspect: ")
        assert [part.partition(":")[0] for part in said.split(" · ")] == ["late", "after_hours", "stale"]
        assert (await filling.plan()).late == []


async def test_a_slot_within_the_session_is_not_to_be_had(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        planned = await work(collector, TELECOM, schedules=(intraday(),)).plan()
    [lost] = planned.lost
    assert (lost.schedule, lost.status, lost.pairs, lost.slots) == ("intraday", "absent", 13, 13)
    assert [late.slot.hour for late, _ in planned.late] == [15]  # at the closing, 15:30, it stands still


async def test_once_the_next_session_has_begun_a_late_walk_fails(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        past = datetime.now(UTC) - timedelta(seconds=1)
        sweep = await collector.sweep(CLOSE, "all", [TELECOM], shown_until=past)
    assert [outcome.error for outcome in sweep.outcomes] == [
        "Rejected: the next session began before the last page arrived"
    ]
    assert await fetch(database, "SELECT status, rows FROM walk") == [("failed", 0)]
    assert await fetch(database, "SELECT count(*) FROM snapshot") == [(0,)]


async def test_a_suspect_closing_slot_is_walked_again_and_a_complete_one_is_not(database: Dsn) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    async with market(database, TELECOM) as (_, collector):
        await collector.sweep(CLOSE, "all", [TELECOM])
        [whole] = (await collector.sweep(CLOSE, "all", [TELECOM], shown_until=later)).outcomes
        assert whole.remarks == ()
        await execute(database, "UPDATE collector.walk SET status = 'suspect'")
        [mended] = (await collector.sweep(CLOSE, "all", [TELECOM], shown_until=later)).outcomes
        assert (mended.status, mended.attempts) == ("complete", 1)
    assert await fetch(database, "SELECT count(*) FROM snapshot") == [(5,)]


async def test_a_closing_slot_of_a_day_that_nothing_traded_on_stays_suspect(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await collector.sweep(CLOSE, "all", [TELECOM])
        await execute(database, "UPDATE collector.walk SET status = 'suspect', remarks = '{stale}'")
        planned = await work(collector, TELECOM, schedules=(closing(),)).plan()
    assert planned.late == []
    assert [(lost.status, lost.pairs) for lost in planned.lost] == [("suspect", 1)]


@pytest.mark.extended
async def test_the_view_daily_prefers_the_closing_walk_and_names_its_source(database: Dsn) -> None:
    thursday = date(2026, 11, 19)
    async with market(database, TELECOM) as (_, collector):
        await collector.sweep(CLOSE, "all", [TELECOM])
        await carried_out(work(collector, TELECOM, first=thursday), collector)
    days = await fetch(
        database,
        "SELECT trading_date, source, members_as_of, count(*) FROM daily WHERE sector = '020'"
        " GROUP BY 1, 2, 3 ORDER BY 1",
    )
    assert days == [(thursday, "ka10081", FRIDAY, 5), (FRIDAY, "ka20002", FRIDAY, 5)]
    same = await fetch(
        database,
        "SELECT count(*) FROM daily AS d JOIN bar AS b USING (symbol, trading_date)"
        " WHERE (d.open, d.high, d.low, d.close, d.volume) = (b.open, b.high, b.low, b.close, b.volume)",
    )
    assert same == [(10,)]
    changes = await fetch(
        database,
        "SELECT count(*) FROM daily AS d JOIN daily AS e USING (symbol)"
        " WHERE d.trading_date = $1 AND e.trading_date = $2 AND d.close + e.change = e.close",
        thursday,
        FRIDAY,
    )
    assert changes == [(5,)]


@pytest.mark.extended
@pytest.mark.parametrize(
    ("fault", "remarks"),
    [
        ("price_absurd", ["absurd"]),
        pytest.param("garbage_number:field=trde_qty,text=-5", ["absent_days", "undecoded"]),
        ("missing_field:field=dt", ["absent_days", "undecoded"]),
        pytest.param("duplicated_rows:api=ka10081", ["date_order"]),
        ("early_end:api=ka10081", []),
    ],
)
async def test_a_bent_history_is_suspect_or_harmless_never_whole_and_wrong(
    database: Dsn, fault: str, remarks: list[str]
) -> None:
    symbol = "032640"
    name, colon, settings = fault.partition(":")
    spec = f"{name}:symbol={symbol},{settings}" if colon else f"{name}:symbol={symbol}"
    async with market(database, TELECOM, faults=(spec,)) as (_, collector):
        report = await carried_out(work(collector, TELECOM, first=date(2024, 11, 1)), collector)
    found = await fetch(database, "SELECT remarks FROM bar_walk WHERE symbol = $1", symbol)
    assert [sorted(each) for (each,) in found] == [remarks]
    assert [each.what for each in report.unfilled] == ([symbol] if remarks else [])
    assert await fetch(database, "SELECT count(DISTINCT symbol) FROM bar") == [(4 if remarks else 5,)]


@pytest.mark.extended
async def test_a_plan_counts_what_the_backfill_then_does(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await collector.sweep(CLOSE, "all", [TELECOM])
        filling = work(collector, TELECOM, first=date(2023, 11, 1))
        planned: Plan = await filling.plan()
        report = await carried_out(filling, collector)
    assert planned.total.requests == report.requests == 10
    assert abs(planned.bars.rows - report.bars) < 20  # suspensions have no bars
