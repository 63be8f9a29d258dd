"""Plans a backfill and runs it: slots still on display, then members, daily bars, index levels and flows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random

from collector.backfill import estimate, gaps
from collector.backfill.certify_bars import ListingFacts
from collector.backfill.estimate import Cost, Plan
from collector.backfill.fetch import Fetch
from collector.backfill.index_history import HistoryGaps, IndexHistory, find_gaps
from collector.backfill.period import Period
from collector.backfill.report import Report
from collector.db.bars import BarStore, Members, MissingRange
from collector.db.index_history import IndexHistoryStore
from collector.db.snapshots import SnapshotStore
from collector.log import logger
from collector.market.timetable import Timetable
from collector.market.visibility import closings, trading_days, visible_day
from collector.model import KST, Sector, Target
from collector.sweep.progress import SweepProgress
from collector.sweep.sweeper import Collector

ProgressFactory = Callable[[str, SweepProgress], AbstractAsyncContextManager[None]]


Judge = Callable[[datetime, Sequence[Target]], Awaitable[object]]
"""Marks walks of a slot in the ledger as stale if they show the session before: nothing was traded on that day."""


async def no_stale_check(slot: datetime, targets: Sequence[Target]) -> None:
    """Skips the check, if the calendar is certain."""


def no_progress(title: str, progress: SweepProgress) -> AbstractAsyncContextManager[None]:
    """Shows no progress."""
    return nullcontext()


@dataclass(frozen=True)
class BackfillRunner:
    """The backfill of a period for the universes of a timetable.

    `now` returns the time. `order` shuffles the listings, see `Fetch`. `judge` checks each late sweep.
    """

    store: SnapshotStore
    sectors: Mapping[str, Sector]
    timetable: Timetable
    period: Period
    adjusted: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    order: Random = field(default_factory=Random)
    judge: Judge = no_stale_check
    with_indices: bool = False
    with_flows: bool = False

    async def plan(self) -> Plan:
        """Returns the gaps of the period and the cost of filling them; asks only the database."""
        store, sectors, now = self.store, self.sectors, self.now()
        targets = self._targets()
        await store.registry.register_targets(targets)
        members = await self._members()
        known = await store.baselines(now, targets)
        overdue = self.timetable.overdue(self.period.first, self.period.last, now)
        late = await gaps.find_late_slots(store, self.timetable, overdue, now)
        missing_ranges = await self._missing_ranges(members)
        unknown = [target for target in targets if target not in members]
        guessed = estimate.guess_listings(unknown, sectors)
        history = await self._history_gaps()
        unwalked = tuple(set(unknown) - {target for late_slot in late for target in late_slot.targets})
        return Plan(
            period=self.period,
            adjusted=self.adjusted,
            unknown=unwalked,
            sweep=estimate.cost_of_walks(unwalked, sectors, known),
            late=[
                (late_slot, estimate.cost_of_walks(late_slot.targets, sectors, known)) for late_slot in late
            ],
            missing_ranges=missing_ranges,
            guessed=guessed,
            bars=self._cost(missing_ranges, guessed),
            indices=history.index_cost,
            flows=history.flow_cost,
            lost=await gaps.find_unrecoverable_gaps(
                store.database, self.timetable, overdue, store.registry.targets, late
            ),
        )

    async def run(
        self,
        planned: Plan,
        collector: Collector,
        report: Report,
        show_progress: ProgressFactory = no_progress,
    ) -> None:
        """Fills the gaps and writes the results into the report.

        Denied and StoreError end it; committed parts stay. Any other failure concerns one listing or target,
        and is in the report.
        """
        for late, _ in planned.late:
            await self._walk_late(late, collector, report, show_progress)
        members = await self._known_members(collector, report, show_progress)
        await self._bars.keep_days(list(closings(self.timetable.calendar, self.period.days)))
        missing_ranges = await self._missing_ranges(members)
        if missing_ranges:
            await self._fetch(missing_ranges, collector, report, show_progress)
        await self._fetch_history(collector, report, show_progress)

    async def _history_gaps(self) -> HistoryGaps:
        if not (self.with_indices or self.with_flows):
            return HistoryGaps()
        lacking = await find_gaps(self._history, self._targets(), self.period.days)
        return HistoryGaps(
            lacking.indices if self.with_indices else {}, lacking.flows if self.with_flows else {}
        )

    async def _fetch_history(
        self, collector: Collector, report: Report, show_progress: ProgressFactory
    ) -> None:
        lacking = await self._history_gaps()
        requests = lacking.index_cost.requests + lacking.flow_cost.requests
        if not requests:
            return
        kiwoom = collector.kiwoom
        kiwoom.reset_retry_budget()
        parts = len(lacking.indices) + lacking.flow_cost.requests
        report.histories.append(progress := SweepProgress(units="parts", targets=parts))
        progress.expected_pages = requests
        async with show_progress("indices and flows", progress):
            await IndexHistory(
                kiwoom, self._history, self.timetable.calendar, collector.concurrency, report, progress
            ).fetch(lacking)
        report.requests += kiwoom.requests
        seconds = round(progress.seconds(), 3)
        logger.info(
            "backfill.indices_ended",
            index_days=report.index_days,
            flow_days=report.flow_days,
            seconds=seconds,
        )

    @property
    def _history(self) -> IndexHistoryStore:
        return IndexHistoryStore(self.store.database)

    async def _walk_late(
        self, late: gaps.LateSlot, collector: Collector, report: Report, show_progress: ProgressFactory
    ) -> None:
        report.late.append(progress := SweepProgress())
        when = f"{late.slot.astimezone(KST):%Y-%m-%d %H:%M}"
        async with show_progress(f"slot {when}", progress):
            sweep = await collector.sweep(
                late.slot, late.universe, late.targets, progress, shown_until=late.until, remarks=late.remarks
            )
        report.requests += sweep.requests
        await self.judge(late.slot, late.targets)
        judged = await self.store.ledger(late.slot)
        report.note(f"slot {when} ", (judged.get(outcome.target, outcome) for outcome in sweep.outcomes))

    @property
    def _bars(self) -> BarStore:
        return BarStore(self.store.database)

    def _targets(self) -> tuple[Target, ...]:
        return self.timetable.universe("+".join(self.timetable.targets))

    def _numbers(self) -> dict[Target, int]:
        numbers = self.store.registry.targets
        return {target: numbers[target] for target in self._targets()}

    async def _members(self) -> dict[Target, Members]:
        return await self._bars.members(self._numbers())

    async def _known_members(
        self, collector: Collector, report: Report, show_progress: ProgressFactory
    ) -> dict[Target, Members]:
        """Returns and stores the members of every target; sweeps targets without known members."""
        members = await self._members()
        unknown = [target for target in self._targets() if target not in members]
        if unknown:
            report.members.append(progress := SweepProgress())
            slot = self.now().replace(microsecond=0)
            async with show_progress("members", progress):
                sweep = await collector.sweep(slot, "+".join(self.timetable.targets), unknown, progress)
            report.requests += sweep.requests
            report.note("members of ", sweep.outcomes)
            members = await self._members()
        await self._bars.keep_members(self._numbers(), members)
        for slot in {known.slot for known in members.values()}:
            await self.store.record_sightings(
                slot, [known_target for known_target, known in members.items() if known.slot == slot]
            )
        return members

    async def _missing_ranges(self, members: Mapping[Target, Members]) -> dict[str, MissingRange]:
        symbols = sorted({symbol for known in members.values() for symbol in known.symbols})
        return await self._bars.missing_ranges(symbols, self.period.days, adjusted=self.adjusted)

    async def _fetch(
        self,
        missing_ranges: Mapping[str, MissingRange],
        collector: Collector,
        report: Report,
        show_progress: ProgressFactory,
    ) -> None:
        kiwoom = collector.kiwoom
        kiwoom.reset_retry_budget()
        report.histories.append(progress := SweepProgress(units="listings", targets=len(missing_ranges)))
        progress.expected_pages = self._cost(missing_ranges, 0).requests
        trading = self._trading(min(missing_range.oldest for missing_range in missing_ranges.values()))
        async with show_progress("daily bars", progress):
            await Fetch(
                kiwoom=kiwoom,
                bars=self._bars,
                period=self.period,
                adjusted=self.adjusted,
                trading=trading,
                seen=await self._listing_facts(),
                concurrency=collector.concurrency,
                report=report,
                progress=progress,
                order=self.order,
            ).all(list(missing_ranges))
        report.requests += kiwoom.requests
        seconds = round(progress.seconds(), 3)
        logger.info("backfill.ended", listings=report.listings, bars=report.bars, seconds=seconds)

    async def _listing_facts(self) -> dict[str, ListingFacts]:
        rows = await self._bars.sightings(self._numbers().values())
        return {
            symbol: ListingFacts(
                since.astimezone(KST).date(), visible_day(self.timetable.calendar, slot), base, traded
            )
            for symbol, slot, base, traded, since in rows
        }

    def _cost(self, missing_ranges: Mapping[str, MissingRange], guessed: int) -> Cost:
        days = self.period.days
        oldest = min(
            [missing_range.oldest for missing_range in missing_ranges.values()] + list(days[:1]), default=None
        )
        trading = self._trading(oldest) if oldest else []
        return estimate.cost_of_bars(
            missing_ranges.values(), trading, adjusted=self.adjusted, guessed=guessed, days=len(days)
        )

    def _trading(self, oldest: date) -> list[date]:
        """Returns the trading days histories are read over and judged by."""
        return trading_days(
            self.timetable.calendar, oldest, self.period.newest if self.adjusted else self.period.days[-1]
        )
