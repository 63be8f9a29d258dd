"""Index levels and flows of past days: asked once, stored whole, and what the functions make of them."""

from collections.abc import Sequence
from datetime import date, datetime

import pytest

from collector.backfill.index_history import HistoryGaps, closing_levels
from collector.db.dsn import Dsn
from collector.kiwoom.protocol.indices import IndexBar
from collector.model import KST, Exchange, Market, Target
from tests.backfill.test_backfill import FRIDAY, MEDICAL, TELECOM, carried_out, market, work
from tests.support.harness import execute, fetch

MONDAY = date(2026, 11, 16)
ON_NXT = Target.of("KOSPI", "020", "NXT")
BOTH = {"with_indices": True, "with_flows": True}
DAYS = """
SELECT sector, (slot AT TIME ZONE 'Asia/Seoul')::date, to_char(slot AT TIME ZONE 'Asia/Seoul', 'HH24:MI'), source
FROM index_level
ORDER BY sector, slot
"""


def bar(day: int, close: int) -> IndexBar:
    return IndexBar(date(2026, 11, day), close, close, close, close, 1_000, 2_000_000)


def levels(*bars: IndexBar) -> Sequence[tuple[int | None, int | None, int | None]]:
    found = closing_levels(bars, lambda day: datetime.combine(day, datetime.min.time(), KST))
    return [(level.change, level.change_bp, level.sign) for level in found]


def test_a_change_is_against_the_bar_before_and_unknown_without_one() -> None:
    assert levels(bar(20, 101_00), bar(19, 100_00), bar(18, 100_00), bar(17, 200_00)) == [
        (100, 100, 2), (0, 0, 3), (-10_000, -5_000, 5), (None, None, None),
    ]  # fmt: skip
    assert levels(bar(20, 100), bar(19, 0)) == [(None, None, None), (None, None, None)]


@pytest.mark.extended
async def test_a_period_is_filled_once_and_then_nothing_is_missing(database: Dsn) -> None:
    async with market(database, TELECOM, ON_NXT, MEDICAL) as (simulator, collector):
        targets = (TELECOM, ON_NXT, MEDICAL)
        await collector.sweep(datetime(2026, 11, 20, 15, 40, tzinfo=KST), "all", targets)
        filling = work(collector, *targets, first=MONDAY, **BOTH)
        planned = await filling.plan()
        assert (planned.indices.requests, planned.indices.rows, planned.flows.requests) == (2, 10, 10)
        report = await carried_out(filling, collector)
        assert (report.index_days, report.flow_days, report.unfilled) == (10, 10, [])
        assert planned.total.requests == report.requests
        asked = simulator.api.book.count
        again = await filling.plan()
        assert (again.indices.requests, again.flows.requests) == (0, 0)
        assert (await carried_out(filling, collector)).requests == 0
        assert simulator.api.book.count == asked
    stored = await fetch(database, DAYS)
    assert [(sector, source) for sector, _, _, source in stored] == [("014", "ka20006")] * 5 + [
        ("020", "ka20006")
    ] * 5
    # The day of the entrance examination closes an hour later.
    assert [time for _, day, time, _ in stored[:5]] == ["15:30", "15:30", "15:30", "16:30", "15:30"]


@pytest.mark.extended
async def test_a_longer_period_asks_only_for_what_it_lacks(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await carried_out(work(collector, TELECOM, first=date(2026, 11, 19), **BOTH), collector)
        planned = await work(collector, TELECOM, first=MONDAY, **BOTH).plan()
        assert (planned.indices.rows, planned.flows.requests) == (3, 3)
        only = await work(collector, TELECOM, first=MONDAY, with_flows=True).plan()
        assert (only.indices.requests, only.flows.requests) == (0, 3)


@pytest.mark.extended
async def test_a_history_of_years_takes_several_pages(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        filling = work(collector, TELECOM, first=date(2023, 1, 2), with_indices=True)
        report = await carried_out(filling, collector)
        assert (report.index_days, report.unfilled) == (len(filling.period.days), [])


@pytest.mark.extended
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("rejected_15xx:api=ka20006", "index 020"),
        ("list_null:api=ka20006", "index 020"),
        ("rejected_15xx:api=ka10051", "flows KOSPI/KRX 2026-11-20"),
        ("http_5xx:api=ka10051", "flows KOSPI/KRX 2026-11-20"),
    ],
)
async def test_a_failure_is_named_loses_nothing_else_and_is_made_good_later(
    database: Dsn, fault: str, what: str
) -> None:
    async with market(database, TELECOM, faults=(fault,)) as (simulator, collector):
        filling = work(collector, TELECOM, **BOTH)
        report = await carried_out(filling, collector)
        assert [unfilled.what for unfilled in report.unfilled] == [what]
        assert report.index_days + report.flow_days == 1
        simulator.api.faults.put(())
        later = await carried_out(filling, collector)
        assert (later.unfilled, later.index_days + later.flow_days) == ([], 1)


@pytest.mark.extended
async def test_an_empty_day_of_flows_is_asked_for_twice_and_then_settled(database: Dsn) -> None:
    async with market(database, TELECOM, faults=("empty_list:api=ka10051",)) as (simulator, collector):
        filling = work(collector, TELECOM, with_flows=True)
        report = await carried_out(filling, collector)
        assert (report.flow_days, report.unfilled) == (0, [])
        answers = simulator.api.book.answers()["ka10051"]
        assert answers == {"empty_list": 2}
        assert (await filling.plan()).flows.requests == 0


@pytest.mark.extended
async def test_a_bar_missing_among_others_is_named_and_stays_missing(database: Dsn) -> None:
    async with market(database, TELECOM, faults=("dropped_rows:api=ka20006,rows=1",)) as (_, collector):
        filling = work(collector, TELECOM, first=MONDAY, with_indices=True)
        report = await carried_out(filling, collector)
        assert [str(unfilled) for unfilled in report.unfilled] == [
            "index 020 suspect: ka20006 has no bar of 1 trading days, the first 2026-11-20"
        ]
        assert (await filling.plan()).indices.rows == 1


@pytest.mark.extended
async def test_bars_in_another_order_are_not_believed(database: Dsn) -> None:
    fault = "duplicated_rows:api=ka20006,rows=2"
    async with market(database, TELECOM, faults=(fault,)) as (_, collector):
        report = await carried_out(work(collector, TELECOM, with_indices=True), collector)
    assert "the dates of the bars do not fall" in report.unfilled[0].reason
    assert await fetch(database, "SELECT count(*) FROM index_level") == [(0,)]


@pytest.mark.extended
async def test_flows_add_up_over_a_period_by_sector_and_investor(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        await carried_out(work(collector, TELECOM, first=MONDAY, with_flows=True), collector)
    [(days, total)] = await fetch(
        database,
        "SELECT days, net_amount FROM flows_between('2026-11-16', '2026-11-20')"
        " WHERE sector = '020' AND investor = 'foreigner'",
    )
    [(expected,)] = await fetch(
        database,
        "SELECT sum(net_amount) FROM investor_flow WHERE sector = '020' AND investor = 'foreigner'",
    )
    assert (days, total) == (5, expected)
    assert await fetch(database, "SELECT count(*) FROM flows_between('2025-01-01', '2025-01-31')") == [(0,)]


@pytest.mark.extended
async def test_a_value_of_a_moment_goes_before_the_closing_level(database: Dsn) -> None:
    async with market(database, TELECOM) as (_, collector):
        slot = datetime(2026, 11, 20, 15, 30, tzinfo=KST)
        await collector.sweep(slot, "all", [TELECOM])
        await carried_out(work(collector, TELECOM, with_indices=True), collector)
        against = "SELECT level, index_members FROM index_against_members($1, '020')"
        [(level, members)] = await fetch(database, against, slot)
        assert (level is not None, members) == (True, None)
        await execute(
            database,
            "INSERT INTO collector.index_level (slot, market, sector, level, volume, turnover, members, received_at)"
            " VALUES ($1, 'KOSPI', '020', 123, 1, 1, 5, $1)",
            slot,
        )
        [(_, members)] = await fetch(database, against, slot)
        assert members == 5


def test_the_cost_counts_pages_and_rows() -> None:
    days = [date(2020, 1, 2), FRIDAY]
    gaps = HistoryGaps({"020": days}, {(Market.KOSPI, Exchange.KRX): days})
    assert (gaps.index_cost.requests, gaps.index_cost.rows) == (3, 2)
    assert gaps.flow_cost.requests == 2
