"""Histories into the database: what is lacking, once; in any order of ranges, and whatever ends it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.backfill.fetch import Fetch
from collector.backfill.period import parse_period
from collector.backfill.report import Report
from collector.db.bars import BarStore
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.errors import (
    CollectorError,
    Denied,
    Rejected,
    Throttled,
    TokenExpired,
    Unavailable,
    Unreadable,
)
from collector.model import BadRow, BarPage
from collector.sweep.progress import SweepProgress
from tests.support.bar_histories import CALENDAR, DAYS, NEWEST, NOW, Histories, closes, history
from tests.support.harness import execute, fetch

PLAIN, YOUNG, IDLE, SPLIT, UNKNOWN = "000010", "000020", "000030", "000040", "0126Z0"
SPLIT_DAY = DAYS[-8]
TRADED = {
    PLAIN: DAYS,
    YOUNG: DAYS[14:],
    IDLE: [*DAYS[:9], *DAYS[12:]],
    SPLIT: DAYS,
}
KNOWN = {symbol: history(symbol, closes(days)) for symbol, days in TRADED.items()}
BARS = """
SELECT symbol, adjusted, trading_date, open, high, low, close, volume, change
FROM collector.bar
ORDER BY symbol COLLATE "C", adjusted, trading_date
"""
Table = list[tuple[Any, ...]]


@asynccontextmanager
async def storing(address: Dsn) -> AsyncIterator[BarStore]:
    async with open_pool(address, size=5) as pool:
        yield BarStore(Database(pool, address))


async def backfill(
    bars: BarStore,
    api: Histories,
    first: date,
    last: date,
    *,
    adjusted: bool = False,
    symbols: Sequence[str] = tuple(KNOWN),
) -> Report:
    report = Report()
    await Fetch(
        kiwoom=api,  # type: ignore[arg-type]
        bars=bars,
        period=parse_period(first, last, CALENDAR, NOW),
        adjusted=adjusted,
        trading=DAYS if adjusted else [day for day in DAYS if day <= last],
        seen={},
        concurrency=3,
        report=report,
        progress=SweepProgress(),
        order=Random(1),
    ).all(list(symbols))
    return report


def expected(days: Sequence[date], symbols: Sequence[str] = tuple(KNOWN)) -> Table:
    """The rows of the bars as traded, of these days."""
    return sorted(
        (symbol, False, *bar[1:])
        for symbol in symbols
        for bar in KNOWN[symbol]
        if days[0] <= bar.trading_date <= days[-1]
    )


async def table(address: Dsn) -> Table:
    return await fetch(address, BARS)


async def test_what_is_stored_is_what_the_api_said(database: Dsn) -> None:
    async with storing(database) as bars:
        report = await backfill(bars, Histories(KNOWN), DAYS[0], NEWEST)
    assert await table(database) == expected(DAYS)
    assert (report.listings, report.bars, report.unfilled) == (len(KNOWN), len(expected(DAYS)), [])


async def test_a_second_call_asks_for_nothing(database: Dsn) -> None:
    api = Histories(KNOWN)
    async with storing(database) as bars:
        await backfill(bars, api, DAYS[0], NEWEST)
        api.asked.clear()
        report = await backfill(bars, api, DAYS[0], NEWEST)
    assert (api.asked, report.listings) == ([], 0)
    assert report.by_others == len(KNOWN)


async def test_only_the_days_that_are_lacking_are_asked_for(database: Dsn) -> None:
    api = Histories(KNOWN)
    async with storing(database) as bars:
        await backfill(bars, api, DAYS[20], NEWEST, symbols=[PLAIN])
        api.asked.clear()
        await backfill(bars, api, DAYS[0], NEWEST, symbols=[PLAIN])
        assert await bars.missing_ranges([PLAIN], DAYS, adjusted=False) == {}
    assert api.asked == [(PLAIN, DAYS[19], None)]
    assert await table(database) == expected(DAYS, [PLAIN])


async def test_a_long_history_is_read_down_to_the_first_day_and_no_further(database: Dsn) -> None:
    api = Histories(KNOWN, page=10)
    async with storing(database) as bars:
        await backfill(bars, api, DAYS[-15], NEWEST, symbols=[PLAIN])
    assert [key for *_, key in api.asked] == [None, "10"]


async def test_a_listing_that_the_api_does_not_know_is_recorded_and_the_rest_goes_on(
    database: Dsn,
) -> None:
    async with storing(database) as bars:
        report = await backfill(bars, Histories(KNOWN), DAYS[0], NEWEST, symbols=[UNKNOWN, *KNOWN])
    assert [(each.what, each.status) for each in report.unfilled] == [(UNKNOWN, "failed")]
    assert report.listings == len(KNOWN)
    [(error, rows)] = await fetch(
        database, "SELECT error, rows FROM bar_walk WHERE symbol = $1 AND status = 'failed'", UNKNOWN
    )
    assert "1902" in error
    assert rows == 0


class Moved(Histories):
    """Refuses the next-key `times` times, as after the list has changed."""

    def __init__(self, error: CollectorError, times: int) -> None:
        super().__init__(KNOWN, page=10)
        self._refusals = [error] * times

    async def bars(self, symbol: str, *arguments: Any, page_key: str | None = None, **options: Any) -> Any:
        answer = await super().bars(symbol, *arguments, page_key=page_key, **options)
        if page_key is not None and self._refusals:
            raise self._refusals.pop()
        return answer


CHANGED = Rejected("Kiwoom says: 조회 이후에 자료가 변경되었습니다.(다시 조회하세요)")


@pytest.mark.parametrize(
    ("error", "times", "keys", "status"),
    [
        (CHANGED, 1, [None, "10", None, "10"], "suspect"),
        (CHANGED, 2, [None, "10", None, "10"], "failed"),
        (TokenExpired("HTTP 401"), 1, [None, "10", None, "10"], "suspect"),
        (Unavailable("HTTP 503"), 1, [None, "10"], "failed"),
        (Throttled("HTTP 429"), 1, [None, "10"], "failed"),
        (Unreadable("the answer is no JSON"), 1, [None, "10"], "failed"),
    ],
    ids=["changed", "changed twice", "token", "away", "throttled", "unreadable"],
)
async def test_a_history_whose_key_is_refused_begins_anew_once(
    database: Dsn, error: CollectorError, times: int, keys: list[str | None], status: str
) -> None:
    api = Moved(error, times)
    async with storing(database) as bars:
        report = await backfill(bars, api, DAYS[-15], NEWEST, symbols=[PLAIN])
    assert [key for *_, key in api.asked] == keys
    # A history that was read to its end is suspect here for one thing only: pages of ten rows are short.
    assert [(str(each.status), each.reason.startswith("short_page")) for each in report.unfilled] == [
        (status, status == "suspect")
    ]


class Bent(Histories):
    """Serves one listing's page as a test has bent it."""

    def __init__(self, symbol: str, page: BarPage) -> None:
        super().__init__(KNOWN)
        self._bent = symbol, page

    async def bars(self, symbol: str, *arguments: Any, **options: Any) -> Any:
        page, arrived = await super().bars(symbol, *arguments, **options)
        return (self._bent[1] if symbol == self._bent[0] else page), arrived


async def test_a_gap_that_stays_the_same_is_settled_at_the_second_fetch(database: Dsn) -> None:
    gap = [bar for bar in KNOWN[PLAIN] if bar.trading_date not in DAYS[10:13]]
    bent = Bent(PLAIN, BarPage(gap, None))
    state = "SELECT status, remarks FROM bar_walk WHERE symbol = $1 ORDER BY committed_at"
    async with storing(database) as bars:
        report = await backfill(bars, bent, DAYS[0], NEWEST, symbols=[PLAIN])
        assert [each.status for each in report.unfilled] == ["suspect"]
        again = await backfill(bars, bent, DAYS[0], NEWEST, symbols=[PLAIN])
        assert again.unfilled == []
        bent.asked.clear()
        await backfill(bars, bent, DAYS[0], NEWEST, symbols=[PLAIN])
        assert bent.asked == []
    assert await fetch(database, state, PLAIN) == [
        ("suspect", ["absent_days"]),
        ("complete", ["absent_days", "borne_out"]),
    ]
    assert await fetch(database, "SELECT count(*) FROM bar") == [(len(DAYS) - 3,)]


async def test_bars_without_changes_are_stored_with_those_that_follow_from_them(database: Dsn) -> None:
    unsaid = [bar._replace(change=None) for bar in KNOWN[PLAIN]]
    async with storing(database) as bars:
        report = await backfill(bars, Bent(PLAIN, BarPage(unsaid, None)), DAYS[0], NEWEST, symbols=[PLAIN])
        assert report.unfilled == []
    stored = await fetch(database, "SELECT change FROM collector.bar ORDER BY trading_date DESC")
    *said, _first = [bar.change for bar in KNOWN[PLAIN]][: len(DAYS)]
    assert [change for [change] in stored][:-1] == said


async def test_a_suspect_history_stays_out_of_the_bars_until_a_good_one_comes(database: Dsn) -> None:
    crooked = [KNOWN[PLAIN][0]._replace(high=1), *KNOWN[PLAIN][1:]]
    bent = Bent(PLAIN, BarPage(crooked, None, bad=[BadRow('{"dt":"x"}', "dt is no date")]))
    async with storing(database) as bars:
        report = await backfill(bars, bent, DAYS[0], NEWEST)
        [line] = map(str, report.unfilled)
        assert line.startswith(f"{PLAIN} suspect: undecoded: 1 rows did not decode")
        assert " · absurd: " in line
        others = [symbol for symbol in KNOWN if symbol != PLAIN]
        assert await table(database) == expected(DAYS, others)
        assert await fetch(database, "SELECT count(*) FROM collector.bar_suspect") == [(len(DAYS),)]
        assert await fetch(database, "SELECT page, raw, reason FROM collector.bar_quarantine") == [
            (1, '{"dt":"x"}', "dt is no date")
        ]
        await backfill(bars, Histories(KNOWN), DAYS[0], NEWEST)
    assert await table(database) == expected(DAYS)
    assert await fetch(database, "SELECT count(*) FROM collector.bar_suspect") == [(0,)]


async def test_an_empty_page_is_asked_about_once_more_from_the_newest_day(database: Dsn) -> None:
    api = Histories(KNOWN)
    async with storing(database) as bars:
        report = await backfill(bars, api, DAYS[0], DAYS[10], symbols=[YOUNG])
    assert [newest for _, newest, _ in api.asked] == [DAYS[10], NEWEST]
    assert report.is_whole
    assert await fetch(database, "SELECT status, remarks, rows FROM bar_walk") == [
        ("complete", ["younger"], 0)
    ]


async def test_a_suspension_at_the_end_of_the_period_is_told_by_what_comes_after(database: Dsn) -> None:
    async with storing(database) as bars:
        report = await backfill(bars, Histories(KNOWN), DAYS[0], DAYS[10], symbols=[IDLE])
    assert report.is_whole
    assert await table(database) == expected(DAYS[:9], [IDLE])


async def test_denied_ends_it_and_what_was_stored_stays(database: Dsn) -> None:
    class Refusing(Histories):
        async def bars(self, *arguments: Any, **options: Any) -> Any:
            if self.requests == 2:
                raise Denied("Kiwoom says: no")
            return await super().bars(*arguments, **options)

    async with storing(database) as bars:
        with pytest.raises(Denied):
            await backfill(bars, Refusing(KNOWN), DAYS[0], NEWEST)
        await backfill(bars, Histories(KNOWN), DAYS[0], NEWEST)
    assert await table(database) == expected(DAYS)


async def test_two_at_once_share_the_work(database: Dsn) -> None:
    many = {f"{number:06}": history(f"{number:06}", closes(DAYS)) for number in range(1, 81)}
    api = Histories(many)
    async with storing(database) as one, storing(database) as other:
        reports = await asyncio.gather(
            *(
                Fetch(
                    kiwoom=api,  # type: ignore[arg-type]
                    bars=bars,
                    period=parse_period(DAYS[0], NEWEST, CALENDAR, NOW),
                    adjusted=False,
                    trading=DAYS,
                    seen={},
                    concurrency=4,
                    report=Report(),
                    progress=SweepProgress(),
                    order=Random(seed),
                ).all(list(many))
                for seed, bars in ((1, one), (2, other))
            )
        )
    assert reports == [None, None]
    assert len(await table(database)) == 80 * len(DAYS)
    assert await fetch(database, "SELECT count(*) FROM bar_walk") == [(80,)]
    assert api.requests < 150


async def test_adjusted_prices_are_kept_apart(database: Dsn) -> None:
    api = Histories(KNOWN, split=SPLIT_DAY)
    async with storing(database) as bars:
        await backfill(bars, api, DAYS[0], NEWEST, symbols=[SPLIT])
        await backfill(bars, api, DAYS[0], NEWEST, symbols=[SPLIT], adjusted=True)
    pairs = await fetch(
        database,
        "SELECT a.trading_date, a.close * 2 <= b.close, a.volume = 2 * b.volume, a.adjusted_as_of"
        " FROM bar_adjusted AS a JOIN bar AS b USING (symbol, trading_date) ORDER BY 1",
    )
    before = [day < SPLIT_DAY for day in DAYS]
    assert pairs == [(day, past, past, NEWEST) for day, past in zip(DAYS, before, strict=True)]


async def test_adjusted_prices_are_read_from_the_newest_day_whatever_was_asked_for(database: Dsn) -> None:
    api = Histories(KNOWN, split=SPLIT_DAY)
    async with storing(database) as bars:
        await backfill(bars, api, DAYS[0], DAYS[5], symbols=[SPLIT], adjusted=True)
    assert api.asked == [(SPLIT, NEWEST, None)]
    [(days, close)] = await fetch(database, "SELECT count(*), max(close) FROM bar_adjusted")
    assert days == 6
    assert close < 6_000


async def test_a_later_split_replaces_the_adjusted_prices_that_were_stored_before_it(
    database: Dsn,
) -> None:
    before = Histories(KNOWN)
    after = Histories(KNOWN, split=SPLIT_DAY)
    async with storing(database) as bars:
        await backfill(bars, before, DAYS[2], DAYS[5], symbols=[SPLIT], adjusted=True)
        await backfill(bars, after, DAYS[10], NEWEST, symbols=[SPLIT], adjusted=True)
    found = await fetch(database, "SELECT trading_date, close FROM bar_adjusted ORDER BY 1")
    kept = [*DAYS[2:6], *DAYS[10:]]
    traded = {bar.trading_date: bar.close or 0 for bar in KNOWN[SPLIT]}
    assert found == [(day, traded[day] // 2 if day < SPLIT_DAY else traded[day]) for day in kept]


ranges = st.tuples(*[st.integers(0, len(DAYS) - 1)] * 2).map(sorted)


def examples(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


async def fill_in_parts(database: Dsn, one: list[int], other: list[int], adjusted: bool) -> None:
    api = Histories(KNOWN, split=SPLIT_DAY)
    both = [min(one[0], other[0]), max(one[1], other[1])]
    async with storing(database) as bars:
        await empty(database)
        await backfill(bars, api, DAYS[both[0]], DAYS[both[1]], adjusted=adjusted)
        at_once = await table(database)
        await empty(database)
        for first, last in (one, other, both):
            await backfill(bars, api, DAYS[first], DAYS[last], adjusted=adjusted)
    assert await table(database) == at_once


@pytest.mark.extended
@examples(4)
@given(one=ranges, other=ranges, adjusted=st.booleans())
async def test_two_ranges_and_then_both_give_the_table_that_both_at_once_give(
    database: Dsn, one: list[int], other: list[int], adjusted: bool
) -> None:
    await fill_in_parts(database, one, other, adjusted)


@pytest.mark.extended
@examples(20)
@given(one=ranges, other=ranges, adjusted=st.booleans())
async def test_any_two_ranges_and_then_both_give_the_table_that_both_at_once_give(
    database: Dsn, one: list[int], other: list[int], adjusted: bool
) -> None:
    await fill_in_parts(database, one, other, adjusted)


steps_of_the_loop = st.lists(st.integers(1, 2_000), min_size=1, max_size=4)


async def stop_and_start_again(database: Dsn, steps: list[int], adjusted: bool) -> None:
    api = Histories(KNOWN)
    async with storing(database) as bars:
        await empty(database)
        await backfill(bars, api, DAYS[0], NEWEST, adjusted=adjusted)
        undisturbed = await table(database)
        await empty(database)
        for count in steps:
            under_way = asyncio.ensure_future(backfill(bars, api, DAYS[0], NEWEST, adjusted=adjusted))
            for _ in range(count):
                await asyncio.sleep(0)  # one turn of the loop: any moment will do
            under_way.cancel()
            with suppress(asyncio.CancelledError):
                await under_way
        await backfill(bars, api, DAYS[0], NEWEST, adjusted=adjusted)
    assert await table(database) == undisturbed


@pytest.mark.extended
@examples(4)
@given(steps=steps_of_the_loop, adjusted=st.booleans())
async def test_stopping_it_anywhere_and_starting_again_gives_the_same_table(
    database: Dsn, steps: list[int], adjusted: bool
) -> None:
    await stop_and_start_again(database, steps, adjusted)


@pytest.mark.extended
@examples(20)
@given(steps=steps_of_the_loop, adjusted=st.booleans())
async def test_stopping_it_often_and_starting_again_gives_the_same_table(
    database: Dsn, steps: list[int], adjusted: bool
) -> None:
    await stop_and_start_again(database, steps, adjusted)


async def empty(address: Dsn) -> None:
    await execute(
        address,
        "TRUNCATE collector.bar, collector.bar_suspect, collector.bar_walk, collector.bar_quarantine",
    )


def test_the_made_up_listings_differ_in_what_they_try() -> None:
    counts = {symbol: len(bars) for symbol, bars in KNOWN.items()}
    assert counts == {PLAIN: 35, YOUNG: 21, IDLE: 32, SPLIT: 35}
    assert replace(parse_period(DAYS[0], NEWEST, CALENDAR, NOW)).days == tuple(DAYS)
