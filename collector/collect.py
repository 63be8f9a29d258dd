"""The one path: a slot and targets in, committed walks out. `once`, `daemon` and `backfill` all end here.

A few targets at a time are walked with each key: bounding requests instead lets all targets finish together at
the end, and a kill at half time would keep none of them. Which target is next stands on a list that other
programs may take from as well; see `claims`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from collector.certify import certify
from collector.claims import Alone, Claim, ClaimLost, Taken, Work, Worklist
from collector.errors import ApiError, Denied, Rejected, TokenExpired, Unavailable
from collector.kiwoom import Kiwoom, Trace
from collector.log import logger
from collector.model import Exchange, Known, Outcome, Page, Reading, Remark, Sector, Status, Sweep, Target
from collector.patience import WALK_ATTEMPTS
from collector.plan import estimate
from collector.store import Store
from collector.together import together

PAGE_CAP = 200
ROW_CAP = 20_000
EMPTY_PAGES = 2
"""Empty pages with a next key that are followed before the walk is broken off."""
_GLANCE = 0.2
"""Seconds between two looks at what others still walk, when nothing is left to take."""


@dataclass
class Tally:
    """How far a sweep has come: written here, read by whoever draws it. `units` is what its targets are called."""

    units: str = "targets"
    targets: int = 0
    done: int = 0
    pages: int = 0
    rows: int = 0
    requests: int = 0
    expected_pages: int = 0
    surplus: int = 0
    """Fields that no document knows: they are not stored, and the API has changed."""
    decorated: int = 0
    """Numbers that are not written plainly: they are read, and the API may be about to write something else."""
    outcomes: list[Outcome] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Since the sweep began."""
        return time.monotonic() - self._began


@dataclass(frozen=True)
class Collector:
    """What a sweep needs: the API, the store, the sector table, and how many targets each key walks at once.

    `others` are the API with further keys: sweeps are spread over all of them. `worklist` is where other
    programs find what is left to walk.
    """

    kiwoom: Kiwoom
    store: Store
    sectors: Mapping[str, Sector]
    concurrency: int = 4
    others: Sequence[Kiwoom] = ()
    worklist: Worklist = field(default_factory=Alone)
    underway: dict[tuple[datetime, str], Tally] = field(default_factory=dict)
    """The sweeps that run, by slot and universe, for whoever shows them."""

    async def sweep(
        self,
        slot: datetime,
        universe: str,
        targets: Sequence[Target],
        tally: Tally | None = None,
        *,
        may_begin: Callable[[], bool] = lambda: True,
        shown_until: datetime | None = None,
        remarks: Sequence[Remark] = (),
    ) -> Sweep:
        """Walk the targets that the ledger does not have at this slot; its walks that are there stay.

        Denied and StoreError end the sweep: what was stored until then stays, the rest is not tried. Any
        other failure is its target's own and stands in the outcomes, which are in the order of the targets.
        `may_begin` is asked before each walk; a target that it keeps from one comes out as missed, and the
        ledger says nothing of it: that is left to whoever kept it.

        `shown_until` makes it a late sweep of a slot that has passed while what it stands for is still on
        show: a walk that ends after that moment fails, since it may have seen another session, and suspect
        ones of the ledger are walked again. `remarks` are put beside those of the certificates.
        """
        self.underway[slot, universe] = tally = tally or Tally()
        try:
            return await self._sweep(
                slot, universe, targets, tally, may_begin=may_begin, late=_Late(shown_until, tuple(remarks))
            )
        finally:
            del self.underway[slot, universe]

    async def _sweep(
        self,
        slot: datetime,
        universe: str,
        targets: Sequence[Target],
        tally: Tally,
        *,
        may_begin: Callable[[], bool],
        late: "_Late",
    ) -> Sweep:
        self._refresh()
        await self.store.begin_sweep(slot, universe, targets)
        stay = (Status.COMPLETE,) if late.until is not None else (Status.COMPLETE, Status.SUSPECT)
        stored = {at: one for at, one in (await self.store.ledger(slot)).items() if one.status in stay}
        todo = [target for target in targets if target not in stored]
        tally.targets, tally.done = len(targets), len(targets) - len(todo)
        known = await self.store.known(slot, todo)
        tally.expected_pages = estimate(todo, self.sectors, known).requests
        if todo:
            async with self.worklist.work(slot, todo, stay) as work:
                await _Pass(self, slot, known, tally, late=late, may_begin=may_begin).run(work)
        ours = {outcome.target for outcome in tally.outcomes}
        await self.store.end_sweep(slot, universe, [target for target in targets if target not in ours])
        outcomes = await self._outcomes(slot, targets, stored, tally)
        requests = sum(kiwoom.requests for kiwoom in self.keys)
        sweep = Sweep(slot, outcomes, requests, tally.seconds())
        _log_sweep(sweep, universe, resumed=len(targets) - len(todo))
        if tally.surplus:
            logger.warning("answers.widened", slot=slot.isoformat(), universe=universe, fields=tally.surplus)
        if tally.decorated:
            logger.warning(
                "answers.decorated", slot=slot.isoformat(), universe=universe, numbers=tally.decorated
            )
        return sweep

    async def help(self, slot: datetime, targets: Sequence[Target], work: Work) -> Tally:
        """Walk what is free of a sweep that another program has begun; how much of it that was."""
        self._refresh()
        tally = Tally(targets=len(targets))
        known = await self.store.known(slot, targets)
        await _Pass(self, slot, known, tally).run(work, helping=True)
        await self.store.end_help(slot)
        return tally

    @property
    def keys(self) -> Sequence[Kiwoom]:
        """The API with each key."""
        return (self.kiwoom, *self.others)

    def _refresh(self) -> None:
        for kiwoom in self.keys:
            kiwoom.refresh()

    async def _outcomes(
        self, slot: datetime, targets: Sequence[Target], stored: Mapping[Target, Outcome], tally: Tally
    ) -> list[Outcome]:
        """How each target ended; what others walked stands in the ledger, and what nobody did is missed."""
        ended = {**stored, **{outcome.target: outcome for outcome in tally.outcomes}}
        if not ended.keys() >= set(targets):
            ended = await self.store.ledger(slot) | ended
        return [ended.get(target) or Outcome(target, slot, Status.MISSED) for target in targets]


class _Pass:
    """One pass over what is left of a sweep, until nothing of it is left to anybody."""

    def __init__(
        self,
        collector: Collector,
        slot: datetime,
        known: Mapping[Target, Known],
        tally: Tally,
        *,
        late: "_Late | None" = None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._collector = collector
        self._store = collector.store
        self._slot = slot
        self._known = known
        self._tally = tally
        self._late = late or _Late(None, ())
        self._may_begin = may_begin
        self._put_off: list[_Walk] = []
        self._keys = list(collector.keys)

    async def run(self, work: Work, *, helping: bool = False) -> None:
        """`helping`: what others walk is not waited for."""
        while True:
            await self._walk_what_is_free(work)
            if not self._may_begin():
                await work.withdraw()
            standing = await work.standing()
            self._tally.done = max(self._tally.done, self._tally.targets - standing.open)
            if standing.free == standing.elsewhere == 0:
                await self._judge_the_rest()
                if standing.open == 0 or helping:
                    return
            elif helping and not (standing.free or self._put_off):
                return
            if standing.open:
                await asyncio.sleep(_GLANCE)

    async def _walk_what_is_free(self, work: Work) -> None:
        async with together() as group:
            for kiwoom in self._keys:
                for _ in range(self._collector.concurrency):
                    group.create_task(self._walk_on(work, kiwoom))

    async def _walk_on(self, work: Work, kiwoom: Kiwoom) -> None:
        """Walk one target after the other, with one key, as long as there are any."""
        while self._may_begin() and kiwoom in self._keys and (taken := await work.take(kiwoom.key)):
            walk = _Walk(kiwoom, self._slot, taken, self._tally, self._late)
            try:
                is_read = await self._read(walk)
            except Denied as error:
                self._go_on_without(kiwoom, error)
                await work.give_back(taken)
                return
            if is_read and walk.is_doubtful(self._known[walk.target]):
                self._put_off.append(walk)
                await work.put_off(taken)
            else:
                await self._settle(walk, self._known[walk.target])

    def _go_on_without(self, kiwoom: Kiwoom, error: Denied) -> None:
        """The error itself if there is no other key."""
        if self._keys == [kiwoom]:
            raise error
        if kiwoom in self._keys:
            self._keys.remove(kiwoom)
            logger.error("key.denied", key=kiwoom.name, reason=str(error))

    async def _judge_the_rest(self) -> None:
        while self._put_off:
            walk = self._put_off.pop()
            none_there = await self._store.none_there(self._slot, walk.target)
            await self._settle(walk, replace(self._known[walk.target], none_there=none_there))

    async def _read(self, walk: "_Walk") -> bool:
        try:
            await walk.read()
        except ApiError as error:
            walk.error = error
        if walk.is_outlived():
            walk.error = Rejected("the next session had begun before the last page came")
        walk.ended = walk.tally.seconds()
        return walk.error is None

    async def _settle(self, walk: "_Walk", known: Known) -> None:
        """Judge a walk that has ended, however, and write it down."""
        try:
            if walk.error is not None:
                outcome = await self._failed(walk, walk.error)
            else:
                assert walk.reading is not None
                outcome = await self._entered(walk.reading, known, walk)
        except ClaimLost as lost:
            logger.warning("walk.lost", target=str(walk.target), reason=str(lost))
            return
        outcome = replace(outcome, began=walk.began, ended=walk.ended)
        self._tally.done += 1
        self._tally.outcomes.append(outcome)
        _log_walk(outcome)

    async def _entered(self, reading: Reading, known: Known, walk: "_Walk") -> Outcome:
        sector = self._collector.sectors.get(reading.target.sector)
        certificate = certify(reading, known, sector=sector, boards=self._store.registry.boards)
        certificate = replace(certificate, remarks=(*certificate.remarks, *walk.late.remarks))
        if not await self._store.enter(reading, certificate, walk.claim):
            return await self._standing(reading.slot, reading.target)
        return Outcome(
            target=reading.target,
            slot=reading.slot,
            status=certificate.status,
            pages=len(reading.pages),
            rows=reading.row_count,
            remarks=certificate.remarks,
            attempts=reading.attempts,
        )

    async def _failed(self, walk: "_Walk", error: ApiError) -> Outcome:
        text = f"{type(error).__name__}: {error}"
        if not await self._store.enter_failure(
            walk.slot, walk.target, error=text, attempts=walk.attempts, claim=walk.claim
        ):
            return await self._standing(walk.slot, walk.target)
        return Outcome(
            target=walk.target, slot=walk.slot, status=Status.FAILED, error=text, attempts=walk.attempts
        )

    async def _standing(self, slot: datetime, target: Target) -> Outcome:
        """What the ledger has: another program that sweeps the same slot stored a walk as good or better."""
        return (await self._store.ledger(slot))[target]


@dataclass(frozen=True, slots=True)
class _Late:
    """Until when a late sweep sees what it is to see (None: it is not late), and what to remark of its walks."""

    until: datetime | None
    remarks: tuple[Remark, ...]


class _Walk:
    """The reading of one target, page by page; started over once if the token dies between two pages."""

    def __init__(self, kiwoom: Kiwoom, slot: datetime, taken: Taken, tally: Tally, late: "_Late") -> None:
        self.slot = slot
        self.late = late
        self.target = taken.target
        self.claim: Claim | None = taken.claim
        self.began = self.ended = 0.0
        self.reading: Reading | None = None
        self.error: ApiError | None = None
        self._trace = Trace()
        self._kiwoom = kiwoom
        self.tally = tally

    @property
    def attempts(self) -> int:
        """Requests sent for this walk so far, retries included."""
        return self._trace.sent

    async def read(self) -> None:
        """Read from the first page to the last; ApiError where a page is not to be had."""
        self.began = self.tally.seconds()
        for _ in range(WALK_ATTEMPTS - 1):
            try:
                self.reading = await self._pages()
                return
            except TokenExpired:
                logger.info("walk.started_over", target=str(self.target), reason="token renewed")
        self.reading = await self._pages()

    def is_outlived(self) -> bool:
        """Whether its last page may already show another session than it is to show."""
        until = self.late.until
        return self.reading is not None and until is not None and self.reading.page_times[-1] >= until

    def is_doubtful(self, known: Known) -> bool:
        """Whether it says that a sector has no member on NXT.

        That is so for many small ones, and it is also what a glitch looks like: it is judged when the
        sweep's other walks have shown who is listed on KRX, and who trades on NXT at all.
        """
        empty = self.reading is not None and not self.reading.row_count
        return empty and self.target.exchange is Exchange.NXT and known.rows != 0

    async def _pages(self) -> Reading:
        requested_at = datetime.now(UTC)
        pages: list[Page] = []
        times: list[datetime] = []
        keys: set[str] = set()
        stopped: Remark | None = None
        key: str | None = None
        while True:
            page, arrived = await self._page(key)
            pages.append(page)
            times.append(arrived)
            key = page.next_key
            stopped = _why_stop(pages, keys)
            if key is None or stopped:
                break
            keys.add(key)
        return Reading(self.target, self.slot, pages, requested_at, times, self.attempts, stopped)

    async def _page(self, key: str | None) -> tuple[Page, datetime]:
        before = self._trace.sent
        try:
            page, arrived = await self._kiwoom.prices(self.target, key, trace=self._trace)
        finally:
            self.tally.requests += self._trace.sent - before
        self.tally.pages += 1
        self.tally.rows += len(page.rows)
        self.tally.surplus += page.surplus
        self.tally.decorated += page.decorated
        return page, arrived


def _why_stop(pages: Sequence[Page], keys: set[str]) -> Remark | None:
    """Why the newest page may not be followed by another, None if it may (or says that it is the last)."""
    key = pages[-1].next_key
    if key is None:
        return None
    if key in keys:
        return Remark.REPEATED_KEY
    if sum(page.size == 0 for page in pages) > EMPTY_PAGES:
        return Remark.EMPTY_PAGE
    if len(pages) >= PAGE_CAP or sum(page.size for page in pages) >= ROW_CAP:
        return Remark.PAGE_CAP
    return None


def _log_walk(outcome: Outcome) -> None:
    facts = {
        "target": str(outcome.target),
        "status": str(outcome.status),
        "pages": outcome.pages,
        "rows": outcome.rows,
        "seconds": round(outcome.ended - outcome.began, 3),
    }
    if outcome.remarks:
        facts["remarks"] = ",".join(outcome.remarks)
    if outcome.error.startswith(Unavailable.__name__):
        # The line of this walk; whether the API is away is said once, by whoever sees more than one walk.
        logger.info("walk.failed", **facts, error=outcome.error)
    elif outcome.error:
        logger.warning("walk.failed", **facts, error=outcome.error)
    elif outcome.status is not Status.COMPLETE:
        logger.warning("walk.stored", **facts)
    else:
        logger.info("walk.stored", **facts)


def _log_sweep(sweep: Sweep, universe: str, *, resumed: int) -> None:
    logger.info(
        "sweep.ended",
        slot=sweep.slot.isoformat(),
        universe=universe,
        **{str(status): sweep.count(status) for status in Status},
        resumed=resumed,
        rows=sum(outcome.rows for outcome in sweep.outcomes),
        requests=sweep.requests,
        seconds=round(sweep.seconds, 3),
    )
