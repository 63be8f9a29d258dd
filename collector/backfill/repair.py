"""Repairs missed slots: finds the missing listings of each day, and reconstructs them from minute bars."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from collector.backfill.period import Period
from collector.backfill.reconstruct import (
    CannotReconstruct,
    MinuteDay,
    ObservedQuote,
    minute_day,
    reconstruct,
)
from collector.base.aio import task_group
from collector.db.repairs import MissingWalk, RepairLine, RepairStore
from collector.errors import ApiError
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.protocol.minutes import MinuteBar, MinutePage
from collector.log import logger
from collector.market.calendar import kst
from collector.market.timetable import Timetable
from collector.model import Exchange, Target
from collector.sweep.progress import SweepProgress

SOURCE = "ka10080"
_PAGES = 3
"""Pages that are read for one day: NXT and KRX together have some 720 minutes, a page has 900."""


@dataclass(frozen=True)
class ListingDay:
    """One call to make: a listing on an exchange, with the slots of a day that it lacks."""

    day: date
    symbol: str
    exchange: Exchange
    slots: tuple[datetime, ...]


@dataclass(frozen=True)
class RepairPlan:
    """The missing walks of a period, and the listings to ask for. `unknown`: targets without known members."""

    walks: Sequence[MissingWalk]
    listings: Sequence[ListingDay]
    members: Mapping[tuple[date, Target], Sequence[str]]
    unknown: frozenset[Target]

    @property
    def rows(self) -> int:
        return sum(len(listing.slots) for listing in self.listings)


@dataclass
class RepairReport:
    """Counts of the outcome. `failed` names listings without usable bars."""

    repaired: int = 0
    rows: int = 0
    empty: int = 0
    failed: list[str] = field(default_factory=list)
    marked: int = 0


@dataclass(frozen=True)
class RepairRunner:
    """The repair of a period for the universes of a timetable."""

    store: RepairStore
    timetable: Timetable
    period: Period
    now: datetime

    async def plan(self) -> RepairPlan:
        """Returns the missing walks; asks only the database."""
        due = {
            MissingWalk(slot.at, target): None
            for slot in self.timetable.overdue(self.period.first, self.period.last, self.now)
            for target in self.timetable.targets[slot.universe]
            if kst(slot.at).date() in self.period.days
        }
        walks = await self.store.missing(list(due))
        return await self._plan_listings(walks)

    async def _plan_listings(self, walks: Sequence[MissingWalk]) -> RepairPlan:
        by_day: defaultdict[date, defaultdict[Target, list[datetime]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for walk in walks:
            slot = kst(walk.slot)  # instants of one zone are compared five times as fast
            by_day[slot.date()][walk.target].append(slot)
        listings: list[ListingDay] = []
        members: dict[tuple[date, Target], Sequence[str]] = {}
        unknown: set[Target] = set()
        for day, slots in by_day.items():
            known = await self.store.members(list(slots), day)
            unknown |= slots.keys() - known.keys()
            members |= {(day, target): symbols for target, symbols in known.items()}
            settled = await self.store.read_settled(day)
            listings += _lacking(day, slots, known, settled)
        return RepairPlan(walks, listings, members, frozenset(unknown))

    async def run(
        self, plan: RepairPlan, clients: Sequence[KiwoomClient], concurrency: int, tally: SweepProgress
    ) -> RepairReport:
        """Fetches and stores. Denied and StoreError end it; stored parts stay, and the next run continues there."""
        report = RepairReport()
        tally.targets = len(plan.listings)
        await self._keep_members(plan)
        waiting = iter(plan.listings)

        async def work(kiwoom: KiwoomClient) -> None:
            for listing in waiting:
                await self._repair(kiwoom, listing, report)
                tally.requests = sum(client.requests for client in clients)
                tally.done += 1

        for client in clients:
            client.reset_retry_budget()
        async with task_group() as group:
            for client in clients:
                for _ in range(concurrency):
                    group.create_task(work(client))
        if plan.walks:
            report.marked = await self.store.mark(plan.walks)
        return report

    async def _keep_members(self, plan: RepairPlan) -> None:
        slots: defaultdict[tuple[date, Target], list[datetime]] = defaultdict(list)
        for walk in plan.walks:
            slots[kst(walk.slot).date(), walk.target].append(walk.slot)
        for key, symbols in plan.members.items():
            await self.store.keep_members(slots[key], key[1], symbols)

    async def _repair(self, kiwoom: KiwoomClient, listing: ListingDay, report: RepairReport) -> None:
        """One listing of one day, from its call to its rows."""
        try:
            bars, is_last = await read_day(kiwoom, listing)
            day = minute_day(bars, listing.day, is_last_page=is_last)
        except ApiError as error:
            await self._save_without_rows(listing, "failed", f"{type(error).__name__}: {error}", report)
        except CannotReconstruct as error:
            outcome = "empty" if is_last and not bars else "failed"
            await self._save_without_rows(listing, outcome, str(error), report)
        else:
            await self._save(listing, day, report)

    async def _save(self, listing: ListingDay, day: MinuteDay, report: RepairReport) -> None:
        seen = await self.store.read_observed(listing.symbol, listing.exchange, listing.day)
        agreement = day.agree([ObservedQuote(*row) for row in seen])
        quotes = list(reconstruct(day, listing.slots))
        line = RepairLine(
            *(listing.day, listing.symbol, listing.exchange, "repaired", "", len(day.bars), len(quotes)),
            *(agreement.compared, agreement.prices, agreement.volumes, listing.slots),
        )
        await self.store.save(line, quotes, SOURCE)
        report.repaired += 1
        report.rows += len(quotes)

    async def _save_without_rows(
        self, listing: ListingDay, outcome: str, reason: str, report: RepairReport
    ) -> None:
        settled = listing.slots if outcome == "empty" else ()
        counts = (0, 0, 0, 0, 0)
        line = RepairLine(listing.day, listing.symbol, listing.exchange, outcome, reason, *counts, settled)
        await self.store.save(line, (), SOURCE)
        if outcome == "empty":
            report.empty += 1
        else:
            report.failed.append(f"{listing.day} {listing.symbol} {listing.exchange}: {reason}")
        logger.info("repair.no_rows", symbol=listing.symbol, day=listing.day.isoformat(), reason=reason)


async def read_day(kiwoom: KiwoomClient, listing: ListingDay) -> tuple[list[MinuteBar], bool]:
    """The bars of a day, and whether the server has none before them. One call, unless the page ends within the day."""
    bars: list[MinuteBar] = []
    key: str | None = None
    with RequestCounter() as counter:
        for _ in range(_PAGES):
            page, _ = await kiwoom.minutes(
                listing.symbol, listing.exchange, listing.day, page_key=key, counter=counter
            )
            bars += page.bars
            key = page.next_key
            if key is None or not page.size or _reaches_back(page, listing.day):
                break
    return bars, key is None


def _reaches_back(page: MinutePage, day: date) -> bool:
    """Whether a page has a bar before the day, so that the day is whole."""
    return bool(page.bars) and kst(page.bars[-1].starts_at).date() < day


def _lacking(
    day: date,
    slots: Mapping[Target, Sequence[datetime]],
    members: Mapping[Target, Sequence[str]],
    settled: Mapping[tuple[str, str], frozenset[datetime]],
) -> list[ListingDay]:
    """One call a listing and exchange, with the slots of all targets that lack it."""
    wanted: defaultdict[tuple[str, Exchange], set[datetime]] = defaultdict(set)
    for target, symbols in members.items():
        for symbol in symbols:
            wanted[symbol, target.exchange].update(slots[target])
    return [
        ListingDay(day, symbol, exchange, tuple(sorted(lacking)))
        for (symbol, exchange), due in sorted(wanted.items())
        if (lacking := due - settled.get((symbol, exchange), frozenset()))
    ]
