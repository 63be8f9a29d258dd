"""Planning a backfill and carrying it out: what is still on show first, then members, then the daily past."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random

from collector.backfill import missing, plan
from collector.backfill.fetch import Fetch
from collector.backfill.period import Period
from collector.backfill.plan import Cost, Plan
from collector.backfill.report import Report
from collector.bar_store import BarStore, Members, Stretch
from collector.calendar import Calendar
from collector.calendar.shown import closings, day_shown, trading_days
from collector.certify_bars import Sighting
from collector.collect import Collector
from collector.log import logger
from collector.model import KST, Sector, Target
from collector.schedule import Schedule
from collector.store import Store
from collector.tally import Tally

Drawn = Callable[[str, Tally], AbstractAsyncContextManager[None]]


Judge = Callable[[datetime, Sequence[Target]], Awaitable[object]]
"""Marks the walks of a slot in the ledger that show the session before: nothing was traded on that day."""


async def unjudged(slot: datetime, targets: Sequence[Target]) -> None:
    """For whoever is sure of the calendar."""


def undrawn(title: str, tally: Tally) -> AbstractAsyncContextManager[None]:
    """For whoever watches no progress."""
    return nullcontext()


@dataclass(frozen=True)
class Backfill:
    """A period of some universes, by name with their targets, and what is known before anything is fetched.

    `now` is asked for the time. `order` shuffles the listings, see `Fetch`. `judge` looks at each late sweep.
    """

    store: Store
    sectors: Mapping[str, Sector]
    calendar: Calendar
    schedules: Sequence[Schedule]
    universes: Mapping[str, Sequence[Target]]
    period: Period
    adjusted: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    order: Random = field(default_factory=Random)
    judge: Judge = unjudged

    async def plan(self) -> Plan:
        """What the period lacks, and what it takes to fill it; asks nobody but the database."""
        store, sectors, now = self.store, self.sectors, self.now()
        targets = self._targets()
        await store.registry.number(targets)
        members = await self._members()
        known = await store.known(now, targets)
        wanted = missing.expected(self.schedules, self.calendar, self.period, self.universes, now)
        late = await missing.late(store, wanted, self.calendar, now)
        stretches = await self._stretches(members)
        unknown = [target for target in targets if target not in members]
        guessed = plan.guess_listings(unknown, sectors)
        unwalked = tuple(set(unknown) - {target for each in late for target in each.targets})
        return Plan(
            period=self.period,
            adjusted=self.adjusted,
            unknown=unwalked,
            sweep=plan.cost_of_walks(unwalked, sectors, known),
            late=[(each, plan.cost_of_walks(each.targets, sectors, known)) for each in late],
            stretches=stretches,
            guessed=guessed,
            bars=self._cost(stretches, guessed),
            lost=await missing.lost(store.database, wanted, store.registry.targets, late),
        )

    async def run(self, planned: Plan, collector: Collector, report: Report, drawn: Drawn = undrawn) -> None:
        """Fill what can be filled, and write into the report what came of it.

        Denied and StoreError end it, and what was committed stays. Every other failure is one listing's or
        one target's, and in the report.
        """
        for late, _ in planned.late:
            await self._walk_late(late, collector, report, drawn)
        members = await self._known_members(collector, report, drawn)
        await self._bars.keep_days(list(closings(self.calendar, self.period.days)))
        stretches = await self._stretches(members)
        if stretches:
            await self._fetch(stretches, collector, report, drawn)

    async def _walk_late(
        self, late: missing.Late, collector: Collector, report: Report, drawn: Drawn
    ) -> None:
        report.late.append(tally := Tally())
        when = f"{late.slot.astimezone(KST):%Y-%m-%d %H:%M}"
        async with drawn(f"slot {when}", tally):
            sweep = await collector.sweep(
                late.slot, late.universe, late.targets, tally, shown_until=late.until, remarks=late.remarks
            )
        report.requests += sweep.requests
        await self.judge(late.slot, late.targets)
        judged = await self.store.ledger(late.slot)
        report.note(f"slot {when} ", (judged.get(one.target, one) for one in sweep.outcomes))

    @property
    def _bars(self) -> BarStore:
        return BarStore(self.store.database)

    def _targets(self) -> tuple[Target, ...]:
        return tuple(dict.fromkeys(target for found in self.universes.values() for target in found))

    def _numbers(self) -> dict[Target, int]:
        numbers = self.store.registry.targets
        return {target: numbers[target] for target in self._targets()}

    async def _members(self) -> dict[Target, Members]:
        return await self._bars.members(self._numbers())

    async def _known_members(
        self, collector: Collector, report: Report, drawn: Drawn
    ) -> dict[Target, Members]:
        """The members of every target, swept now where no complete walk tells them; kept for the view `daily`."""
        members = await self._members()
        unknown = [target for target in self._targets() if target not in members]
        if unknown:
            report.members.append(tally := Tally())
            slot = self.now().replace(microsecond=0)
            async with drawn("members", tally):
                sweep = await collector.sweep(slot, "+".join(self.universes), unknown, tally)
            report.requests += sweep.requests
            report.note("members of ", sweep.outcomes)
            members = await self._members()
        await self._bars.keep_members(self._numbers(), members)
        for slot in {held.slot for held in members.values()}:
            await self.store.keep_sight(slot, [one for one, held in members.items() if held.slot == slot])
        return members

    async def _stretches(self, members: Mapping[Target, Members]) -> dict[str, Stretch]:
        symbols = sorted({symbol for held in members.values() for symbol in held.symbols})
        return await self._bars.lacking(symbols, self.period.days, adjusted=self.adjusted)

    async def _fetch(
        self, stretches: Mapping[str, Stretch], collector: Collector, report: Report, drawn: Drawn
    ) -> None:
        kiwoom = collector.kiwoom
        kiwoom.refresh()
        report.histories.append(tally := Tally(units="listings", targets=len(stretches)))
        tally.expected_pages = self._cost(stretches, 0).requests
        trading = self._trading(min(stretch.oldest for stretch in stretches.values()))
        async with drawn("daily bars", tally):
            await Fetch(
                kiwoom=kiwoom,
                bars=self._bars,
                period=self.period,
                adjusted=self.adjusted,
                trading=trading,
                seen=await self._seen(),
                concurrency=collector.concurrency,
                report=report,
                tally=tally,
                order=self.order,
            ).all(list(stretches))
        report.requests += kiwoom.requests
        seconds = round(tally.seconds(), 3)
        logger.info("backfill.ended", listings=report.listings, bars=report.bars, seconds=seconds)

    async def _seen(self) -> dict[str, Sighting]:
        found = await self._bars.sightings(self._numbers().values())
        return {
            symbol: Sighting(since.astimezone(KST).date(), day_shown(self.calendar, slot), base, traded)
            for symbol, slot, base, traded, since in found
        }

    def _cost(self, stretches: Mapping[str, Stretch], guessed: int) -> Cost:
        days = self.period.days
        oldest = min([stretch.oldest for stretch in stretches.values()] + list(days[:1]), default=None)
        trading = self._trading(oldest) if oldest else []
        return plan.cost_of_bars(
            stretches.values(), trading, adjusted=self.adjusted, guessed=guessed, days=len(days)
        )

    def _trading(self, oldest: date) -> list[date]:
        """The trading days that histories are read over and judged by."""
        return trading_days(
            self.calendar, oldest, self.period.newest if self.adjusted else self.period.days[-1]
        )
