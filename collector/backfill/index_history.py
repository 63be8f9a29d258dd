"""Fetches the closing levels of indices (ka20006) and the flows of investors (ka10051) of past days."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import partial
from itertools import pairwise
from math import ceil

from collector.backfill.estimate import Cost
from collector.backfill.report import Report, Unfilled
from collector.base.aio import task_group
from collector.db.index_history import FLOWS, INDEX_BARS, ClosingLevel, IndexHistoryStore, flow_subject
from collector.errors import ApiError, Unreadable
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.protocol.indices import IndexBar
from collector.market import sectors
from collector.market.calendar import Calendar
from collector.market.membership import board
from collector.model import KST, Exchange, Market, Status, Target
from collector.sweep.progress import SweepProgress

PAGE_BARS = 600
"""Bars of one answer of ka20006, as of ka10081."""
MOST_PAGES = 40
LEVEL_BYTES, FLOW_BYTES = 140, 90
"""Bytes of a row with its share of the index."""
_USUAL_CLOSE = time(15, 30)
_FLOW_ROWS = 30 * 13
"""Sectors of a board times kinds of investors."""


@dataclass(frozen=True)
class HistoryGaps:
    """What a period lacks: days of each sector's index, and days of the flows of each board and exchange."""

    indices: Mapping[str, Sequence[date]] = field(default_factory=dict)
    flows: Mapping[tuple[Market, Exchange], Sequence[date]] = field(default_factory=dict)

    @property
    def index_cost(self) -> Cost:
        rows = sum(len(days) for days in self.indices.values())
        requests = sum(ceil(_span(days) / PAGE_BARS) for days in self.indices.values())
        return Cost(requests, rows, rows * LEVEL_BYTES)

    @property
    def flow_cost(self) -> Cost:
        requests = sum(len(days) for days in self.flows.values())
        return Cost(requests, requests * _FLOW_ROWS, requests * _FLOW_ROWS * FLOW_BYTES)


def _span(days: Sequence[date]) -> float:
    """About so many trading days lie between the oldest and the newest of some days, both included."""
    return max(len(days), (days[-1] - days[0]).days * 5 / 7)


async def find_gaps(store: IndexHistoryStore, targets: Iterable[Target], days: Sequence[date]) -> HistoryGaps:
    """The gaps of a period for the sectors of these targets; asks only the database."""
    if not days:
        return HistoryGaps()
    wanted = list(targets)
    codes = sorted({target.sector for target in wanted})
    boards = {
        flow_subject(market, target.exchange): (market, target.exchange)
        for target in wanted
        for market in _boards(target)
    }
    flows = await store.missing_days(FLOWS, sorted(boards), days)
    indices = await store.missing_days(INDEX_BARS, codes, days)
    return HistoryGaps(indices, {boards[subject]: lacking for subject, lacking in flows.items()})


def _boards(target: Target) -> list[Market]:
    own = board(target.market)
    return [Market.KOSPI, Market.KOSDAQ] if own is None else [own]


@dataclass(frozen=True)
class IndexHistory:
    """Fetches gaps. Each index and each day of flows is stored whole; a failed one is in the report."""

    kiwoom: KiwoomClient
    store: IndexHistoryStore
    calendar: Calendar
    concurrency: int
    report: Report
    progress: SweepProgress

    async def fetch(self, gaps: HistoryGaps) -> None:
        """Fetch all gaps. Denied and StoreError end it; what was stored stays."""
        work: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            (f"index {code}", partial(self._fetch_index, code, days)) for code, days in gaps.indices.items()
        ]
        work += [
            (f"flows {flow_subject(*key)} {day}", partial(self._fetch_flows, key, day))
            for key, days in gaps.flows.items()
            for day in reversed(days)
        ]
        at_once = asyncio.Semaphore(self.concurrency)

        async def attempt(what: str, fetch: Callable[[], Awaitable[None]]) -> None:
            async with at_once:
                await self._attempt(what, fetch)

        async with task_group() as group:
            for what, fetch in work:
                group.create_task(attempt(what, fetch))

    async def _attempt(self, what: str, fetch: Callable[[], Awaitable[None]]) -> None:
        try:
            await fetch()
        except ApiError as error:
            text = f"{type(error).__name__}: {error}"
            self.report.unfilled.append(Unfilled(what, Status.FAILED, text))
        self.progress.done += 1

    async def _fetch_index(self, code: str, days: Sequence[date]) -> None:
        bars = await self._read_bars(code, days[0], days[-1])
        oldest = bars[-1].trading_date if bars else days[-1]
        levels = {level.slot.astimezone(KST).date(): level for level in closing_levels(bars, self._close_of)}
        absent = [day for day in days if day not in levels and day > oldest]
        if absent:
            reason = f"ka20006 has no bar of {len(absent)} trading days, the first {absent[0]}"
            self.report.unfilled.append(Unfilled(f"index {code}", Status.SUSPECT, reason))
        market = sectors.market_of(code)
        assert market is not None
        await self.store.save_levels(
            market, code, {day: levels.get(day) for day in days if day not in absent}
        )
        self.report.index_days += sum(day in levels for day in days)

    async def _read_bars(self, code: str, oldest: date, newest: date) -> list[IndexBar]:
        """Bars from the newest day backwards, to the first one before the oldest; Unreadable if dates do not fall."""
        bars: list[IndexBar] = []
        with RequestCounter() as counter:
            key = None
            for _ in range(MOST_PAGES):
                page, _ = await self.kiwoom.index_bars(code, newest, page_key=key, counter=counter)
                if page.bad:
                    raise Unreadable(f"{len(page.bad)} bars do not decode: {page.bad[0].reason}")
                bars += page.bars
                self.progress.pages += 1
                if page.next_key is None or (bars and bars[-1].trading_date < oldest):
                    break
                key = page.next_key
        dates = [newest, *(bar.trading_date for bar in bars)]
        if any(later < earlier for later, earlier in pairwise(dates)) or len(set(dates[1:])) < len(bars):
            raise Unreadable("the dates of the bars do not fall from the day asked for")
        return bars

    async def _fetch_flows(self, key: tuple[Market, Exchange], day: date) -> None:
        """Ask once more for an empty day: calls of this kind were seen to answer empty for no reason."""
        for _ in range(2):
            flows, bad = await self.kiwoom.flows(*key, day)
            self.progress.pages += 1
            if flows:
                break
        if bad:
            raise Unreadable(f"{len(bad)} rows do not decode: {bad[0].reason}")
        amounts = [
            (flow.sector, investor, amount) for flow in flows for investor, amount in flow.net_amounts.items()
        ]
        await self.store.save_flows(day, *key, amounts)
        self.report.flow_days += bool(amounts)

    def _close_of(self, day: date) -> datetime:
        """The close of KRX; of a day before the calendar knows hours, the usual one."""
        regular = self.calendar.session(day, "KRX.regular")
        return regular.closes if regular else datetime.combine(day, _USUAL_CLOSE, KST)


def closing_levels(bars: Sequence[IndexBar], close_of: Callable[[date], datetime]) -> list[ClosingLevel]:
    """The closing level of each bar, newest first; the change is against the next older bar."""
    older: list[IndexBar | None] = [*bars[1:], None]
    return [_level(bar, before, close_of(bar.trading_date)) for bar, before in zip(bars, older, strict=True)]


def _level(bar: IndexBar, before: IndexBar | None, closes: datetime) -> ClosingLevel:
    if before is None or before.close == 0:
        return ClosingLevel(closes, bar.close, None, None, None, bar.volume, bar.turnover)
    change = bar.close - before.close
    sign = 2 if change > 0 else 5 if change < 0 else 3
    change_bp = round(change * 10_000 / before.close)
    return ClosingLevel(closes, bar.close, change, change_bp, sign, bar.volume, bar.turnover)
