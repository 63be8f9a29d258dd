"""The one path: a slot and targets in, committed walks out. `once`, `daemon` and `backfill` all end here.

A few targets at a time are walked with each key: bounding requests instead lets all targets finish together at
the end, and a kill at half time would keep none of them. Which target is next stands on a list that other
programs may take from as well; see `claims`.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from collector.certify import Verdict, bear_out, certify, is_doubtful
from collector.claims import Alone, ClaimLost, Work, Worklist
from collector.errors import ApiError, Denied, Rejected, Unavailable
from collector.kiwoom import Kiwoom
from collector.log import logger
from collector.model import Certificate, Known, Outcome, Reading, Remark, Sector, Status, Sweep, Target
from collector.plan import estimate
from collector.store import Store
from collector.tally import Tally
from collector.together import together
from collector.walk import Late, Walk

_GLANCE = 0.2
"""Seconds between two looks at what others still walk, when nothing is left to take."""


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
                slot, universe, targets, tally, may_begin=may_begin, late=Late(shown_until, tuple(remarks))
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
        late: Late,
    ) -> Sweep:
        self._refresh()
        await self.store.begin_sweep(slot, universe, targets)
        stay = (Status.COMPLETE,) if late.until is not None else (Status.COMPLETE, Status.SUSPECT)
        ledger = await self.store.ledger(slot)
        stored = {
            at: one
            for at, one in ledger.items()
            if one.status in stay and Remark.AHEAD_OF_TIME not in one.remarks
        }
        todo = [target for target in targets if target not in stored]
        tally.targets, tally.done = len(targets), len(targets) - len(todo)
        known = await self.store.known(slot, todo)
        tally.expected_pages = estimate(todo, self.sectors, known).requests
        if todo:
            async with self.worklist.work(slot, todo, stay) as work:
                await _Pass(self, slot, known, tally, late=late, may_begin=may_begin).run(work)
        copies = await self.store.suspect_copies(slot, targets)
        tally.outcomes = [_as_judged(outcome, copies) for outcome in tally.outcomes]
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
        late: Late | None = None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._collector = collector
        self._store = collector.store
        self._slot = slot
        self._known = known
        self._tally = tally
        self._late = late or Late(None, ())
        self._may_begin = may_begin
        self._put_off: list[Walk] = []
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
            walk = Walk(kiwoom, self._slot, taken, self._tally, self._late)
            try:
                is_read = await self._read(walk)
            except Denied as error:
                self._go_on_without(kiwoom, error)
                await work.give_back(taken)
                return
            if self._goes_on_without_token(kiwoom, walk):
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
            logger.error("key.denied", key=kiwoom.name, reason=str(error), hint=error.hint)

    def _goes_on_without_token(self, kiwoom: Kiwoom, walk: Walk) -> bool:
        """Whether a walk failed for want of a token, and keys are left that may have one."""
        if not (isinstance(walk.error, Unavailable) and kiwoom.lacks_token):
            return False
        if self._keys == [kiwoom]:
            return False
        if kiwoom in self._keys:
            self._keys.remove(kiwoom)
            logger.warning("key.without_token", key=kiwoom.name, reason=str(walk.error))
        return True

    async def _judge_the_rest(self) -> None:
        while self._put_off:
            walk = self._put_off.pop()
            none_there = await self._store.none_there(self._slot, walk.target)
            await self._settle(walk, replace(self._known[walk.target], none_there=none_there))

    async def _read(self, walk: Walk) -> bool:
        try:
            await walk.read()
        except ApiError as error:
            walk.error = error
        if walk.is_outlived():
            walk.error = Rejected("the next session had begun before the last page came")
        walk.ended = walk.tally.seconds()
        return walk.error is None

    async def _settle(self, walk: Walk, known: Known) -> None:
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

    async def _entered(self, reading: Reading, known: Known, walk: Walk) -> Outcome:
        sector = self._collector.sectors.get(reading.target.sector)
        certificate = certify(reading, known, sector=sector, boards=self._store.registry.boards)
        verdict = await self._judge_doubt(reading, certificate)
        certificate = verdict.certificate
        certificate = replace(certificate, remarks=(*certificate.remarks, *walk.late.remarks))
        if not await self._store.enter(
            reading, certificate, walk.claim, borne_out=verdict.borne_out, expected=known.rows
        ):
            return await self._standing(reading.slot, reading.target)
        _log_borne_out(reading.target, verdict.borne_out)
        return Outcome(
            target=reading.target,
            slot=reading.slot,
            status=certificate.status,
            pages=len(reading.pages),
            rows=reading.row_count,
            remarks=certificate.remarks,
            attempts=reading.attempts,
            expected=known.rows,
            bad=reading.bad_count,
        )

    async def _judge_doubt(self, reading: Reading, certificate: Certificate) -> Verdict:
        if not is_doubtful(reading, certificate):
            return Verdict(certificate)
        return bear_out(reading, certificate, await self._store.history(reading.slot, reading.target))

    async def _failed(self, walk: Walk, error: ApiError) -> Outcome:
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


def _as_judged(outcome: Outcome, copies: Collection[Target]) -> Outcome:
    """The outcome after the comparison with KRX."""
    if outcome.target not in copies or outcome.status is not Status.COMPLETE:
        return outcome
    logger.warning("walk.suspected", target=str(outcome.target), remarks=str(Remark.SAME_AS_KRX))
    return replace(outcome, status=Status.SUSPECT, remarks=(*outcome.remarks, Remark.SAME_AS_KRX))


def _log_borne_out(target: Target, slots: Sequence[datetime]) -> None:
    if slots:
        logger.warning("walks.borne_out", target=str(target), count=len(slots), since=slots[0].isoformat())


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
