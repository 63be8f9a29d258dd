"""Sweeps: takes a slot and targets, stores walks. `once`, `daemon` and `backfill` all use this one path.

A few targets at a time are walked with each key. A limit on requests instead would let all targets finish
together at the end, and a kill at half time would keep none of them (docs/decisions/0003). The next target
comes from a worklist shared with other programs, see `collector.db.worklist`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from collector.base.aio import task_group
from collector.db.snapshots import SnapshotStore
from collector.db.worklist import ClaimLost, LocalWorklist, Worklist, WorkQueue
from collector.errors import ApiError, Denied, Rejected, Unavailable
from collector.kiwoom.client import KiwoomClient
from collector.log import logger
from collector.model import Baseline, Certificate, Outcome, Remark, Sector, Status, Sweep, Target, WalkResult
from collector.sweep.certify import Verdict, bear_out, certify, is_doubtful
from collector.sweep.estimate import estimate, sort_walks
from collector.sweep.progress import SweepProgress
from collector.sweep.reader import LateWindow, TargetReader
from collector.sweep.witness import SweepWitness, WitnessDesk, apply_judgement
from collector.sweep.witness_requests import WITNESSES_AT_ONCE

_POLL_SECONDS = 0.2
"""Seconds between two looks at the walks of other programs, when nothing is left to claim."""


@dataclass(frozen=True)
class Collector:
    """Everything a sweep needs: API, store, sector table, and the number of targets walked at once with each
    key.

    `others` are API clients with further keys; sweeps spread over all of them. `worklist` shares the walks
    with other programs.
    """

    kiwoom: KiwoomClient
    store: SnapshotStore
    sectors: Mapping[str, Sector]
    concurrency: int = 4
    others: Sequence[KiwoomClient] = ()
    worklist: Worklist = field(default_factory=LocalWorklist)
    keeps_answers: bool = False
    """Whether the answers of each walk are stored as they came, for `collector replay`."""
    underway: dict[tuple[datetime, str], SweepProgress] = field(default_factory=dict)
    """Running sweeps by slot and universe, for display."""
    counts: Counter[str] = field(default_factory=Counter)
    """Ended walks by status, and `rows`: those that were stored; since the start of the process."""
    sorted_exchanges: frozenset[str] = frozenset()
    """Exchanges of which it was learned that each page is in the order of codes."""
    witness: WitnessDesk | None = None
    """The requests to second sources beside each sweep; None: no walk is checked by them."""

    async def sweep(
        self,
        slot: datetime,
        universe: str,
        targets: Sequence[Target],
        progress: SweepProgress | None = None,
        *,
        may_begin: Callable[[], bool] = lambda: True,
        shown_until: datetime | None = None,
        remarks: Sequence[Remark] = (),
    ) -> Sweep:
        """Walks the targets without a walk in the ledger at this slot; stored walks stay.

        Denied and StoreError end the sweep; walks stored before stay, the rest is not tried. Any other
        failure concerns one target and is in the outcomes, in the order of the targets. `may_begin` is asked
        before each walk; a target refused by it is returned as missed but not written to the ledger; the
        caller does this.

        `shown_until` makes the sweep late: the slot has passed, and its state is still shown. A walk ending
        after this moment fails, since it may have seen the next session, and suspect walks of the ledger are
        walked again. `remarks` are added to the remarks of the certificates.
        """
        self.underway[slot, universe] = progress = progress or SweepProgress()
        try:
            return await self._sweep(
                slot,
                universe,
                targets,
                progress,
                may_begin=may_begin,
                late=LateWindow(shown_until, tuple(remarks)),
            )
        finally:
            del self.underway[slot, universe]

    async def warm(self, targets: int) -> None:
        """Open connections for a sweep of so many targets.

        Each connection rests after a walk. Walks of one page, ending at the rate limit, need all that may rest.
        Second sources have connections of their own, so they take none from a walk.
        """
        from collector.kiwoom.transport import RESTING  # noqa: PLC0415 - aiohttp takes half a second

        beside = WITNESSES_AT_ONCE if self.witness else 0
        await self.kiwoom.warm(min(targets, (self.concurrency + RESTING) * len(self.keys)) + beside)

    async def _sweep(
        self,
        slot: datetime,
        universe: str,
        targets: Sequence[Target],
        progress: SweepProgress,
        *,
        may_begin: Callable[[], bool],
        late: LateWindow,
    ) -> Sweep:
        self._reset_retry_budgets()
        await self.store.begin_sweep(slot, universe, targets)
        keep = (Status.COMPLETE,) if late.until is not None else (Status.COMPLETE, Status.SUSPECT)
        ledger = await self.store.ledger(slot)
        stored = {
            at: item
            for at, item in ledger.items()
            if item.status in keep and Remark.AHEAD_OF_TIME not in item.remarks
        }
        todo = [target for target in targets if target not in stored]
        progress.targets, progress.done = len(targets), len(targets) - len(todo)
        known = await self.store.baselines(slot, todo)
        progress.expected_pages = estimate(todo, self.sectors, known).requests
        witness = self.witness.attend(slot, todo) if self.witness and todo else None
        try:
            if todo:
                walks = sort_walks(todo, self.sectors, known)
                async with self.worklist.work(slot, walks, keep) as work:
                    run = _SweepRun(
                        self, slot, known, progress, late=late, may_begin=may_begin, witness=witness
                    )
                    await run.run(work)
            judgements = await witness.conclude() if witness else {}
        finally:
            if witness:
                await witness.stop()
        progress.outcomes = [
            apply_judgement(outcome, judgements.get(outcome.target)) for outcome in progress.outcomes
        ]
        copies = await self.store.suspect_copies(slot, targets)
        progress.outcomes = [_as_judged(outcome, copies) for outcome in progress.outcomes]
        ours = {outcome.target for outcome in progress.outcomes}
        await self.store.end_sweep(slot, universe, [target for target in targets if target not in ours])
        outcomes = await self._outcomes(slot, targets, stored, progress)
        requests = sum(kiwoom.requests for kiwoom in self.keys)
        sweep = Sweep(slot, outcomes, requests, progress.seconds(), witness.session if witness else None)
        _log_sweep(sweep, universe, resumed=len(targets) - len(todo))
        if progress.unknown_fields:
            logger.warning(
                "api.unknown_fields", slot=slot.isoformat(), universe=universe, fields=progress.unknown_fields
            )
        if progress.noncanonical_numbers:
            logger.warning(
                "api.noncanonical_numbers",
                slot=slot.isoformat(),
                universe=universe,
                numbers=progress.noncanonical_numbers,
            )
        return sweep

    async def assist(self, slot: datetime, targets: Sequence[Target], work: WorkQueue) -> SweepProgress:
        """Walks free targets of another program's sweep; returns the progress."""
        self._reset_retry_budgets()
        progress = SweepProgress(targets=len(targets))
        known = await self.store.baselines(slot, targets)
        await _SweepRun(self, slot, known, progress).run(work, helping=True)
        await self.store.end_assist(slot)
        return progress

    @property
    def keys(self) -> Sequence[KiwoomClient]:
        """The API clients, one for each key."""
        return (self.kiwoom, *self.others)

    def _reset_retry_budgets(self) -> None:
        for kiwoom in self.keys:
            kiwoom.reset_retry_budget()

    async def _outcomes(
        self,
        slot: datetime,
        targets: Sequence[Target],
        stored: Mapping[Target, Outcome],
        progress: SweepProgress,
    ) -> list[Outcome]:
        """Returns the outcome of each target: our own, else the ledger's, else missed."""
        ended = {**stored, **{outcome.target: outcome for outcome in progress.outcomes}}
        if not ended.keys() >= set(targets):
            ended = await self.store.ledger(slot) | ended
        return [ended.get(target) or Outcome(target, slot, Status.MISSED) for target in targets]


class _SweepRun:
    """One run over the worklist of a sweep, until nothing is left to any program."""

    def __init__(
        self,
        collector: Collector,
        slot: datetime,
        known: Mapping[Target, Baseline],
        progress: SweepProgress,
        *,
        late: LateWindow | None = None,
        may_begin: Callable[[], bool] = lambda: True,
        witness: SweepWitness | None = None,
    ) -> None:
        self._witness = witness
        self._collector = collector
        self._store = collector.store
        self._slot = slot
        self._known = known
        self._progress = progress
        self._late = late or LateWindow(None, ())
        self._may_begin = may_begin
        self._deferred: list[TargetReader] = []
        self._keys = list(collector.keys)

    async def run(self, work: WorkQueue, *, helping: bool = False) -> None:
        """Runs until the worklist is done; with `helping`, does not wait for walks of other programs."""
        while True:
            await self._run_workers(work)
            if not self._may_begin():
                await work.cancel_unclaimed()
            counts = await work.count_open()
            self._progress.done = max(self._progress.done, self._progress.targets - counts.open)
            if counts.free == counts.elsewhere == 0:
                await self._judge_deferred()
                if counts.open == 0 or helping:
                    return
            elif helping and not (counts.free or self._deferred):
                return
            if counts.open:
                await asyncio.sleep(_POLL_SECONDS)

    async def _run_workers(self, work: WorkQueue) -> None:
        async with task_group() as group:
            for kiwoom in self._keys:
                for _ in range(self._collector.concurrency):
                    group.create_task(self._worker(work, kiwoom))

    async def _worker(self, work: WorkQueue, kiwoom: KiwoomClient) -> None:
        """Walks one target after another with one key, as long as there are any."""
        while self._may_begin() and kiwoom in self._keys and (taken := await work.take(kiwoom.key_digest)):
            walk = TargetReader(
                kiwoom,
                self._slot,
                taken,
                self._progress,
                self._late,
                keeps_answers=self._collector.keeps_answers,
            )
            try:
                is_read = await self._read(walk)
            except Denied as error:
                self._drop_client(kiwoom, error)
                await work.release(taken)
                return
            if self._goes_on_without_token(kiwoom, walk):
                await work.release(taken)
                return
            if is_read and self._needs_deferral(walk):
                self._deferred.append(walk)
                await work.defer(taken)
            else:
                await self._finish(walk, self._known[walk.target])

    def _needs_deferral(self, walk: TargetReader) -> bool:
        """Whether a walk is judged when the others have been read.

        So is the first walk of a target whose witness has not answered yet: nothing else could speak against it.
        """
        known = self._known[walk.target]
        is_awaited = (
            known.rows is None and self._witness is not None and self._witness.is_pending(walk.target)
        )
        return is_awaited or walk.needs_deferred_judgement(known)

    def _drop_client(self, kiwoom: KiwoomClient, error: Denied) -> None:
        """Drops a denied key; raises the error if it is the last key."""
        if self._keys == [kiwoom]:
            raise error
        if kiwoom in self._keys:
            self._keys.remove(kiwoom)
            logger.error("key.denied", key=kiwoom.name, reason=str(error), hint=error.hint)

    def _goes_on_without_token(self, kiwoom: KiwoomClient, walk: TargetReader) -> bool:
        """Drops a key without a token, if other keys are left; returns True if the walk must be released."""
        if not (isinstance(walk.error, Unavailable) and kiwoom.lacks_token):
            return False
        if self._keys == [kiwoom]:
            return False
        if kiwoom in self._keys:
            self._keys.remove(kiwoom)
            logger.warning("key.without_token", key=kiwoom.name, reason=str(walk.error))
        return True

    async def _judge_deferred(self) -> None:
        """Judge the walks that waited: first those with rows, since empty ones are judged by what those show."""
        if self._deferred and self._witness:
            await self._witness.wait_for_lists()
        self._deferred.sort(
            key=lambda walk: walk.needs_deferred_judgement(self._known[walk.target]), reverse=True
        )
        while self._deferred:
            walk = self._deferred.pop()
            known = self._known[walk.target]
            if walk.needs_deferred_judgement(known):
                none_there = await self._store.has_no_nxt_members(self._slot, walk.target)
                known = replace(known, none_there=none_there)
            await self._finish(walk, known)

    async def _read(self, walk: TargetReader) -> bool:
        try:
            await walk.read()
        except ApiError as error:
            walk.error = error
        if walk.ended_too_late():
            walk.error = Rejected("the next session began before the last page arrived")
        walk.ended = walk.progress.seconds()
        return walk.error is None

    async def _finish(self, walk: TargetReader, known: Baseline) -> None:
        """Judges a finished walk and stores its result or failure."""
        try:
            if walk.error is not None:
                outcome = await self._save_failure(walk, walk.error)
            else:
                assert walk.reading is not None
                outcome = await self._save_walk(walk.reading, known, walk)
        except ClaimLost as lost:
            logger.warning("walk.lost", target=str(walk.target), reason=str(lost))
            return
        outcome = replace(outcome, began=walk.began, ended=walk.ended)
        self._progress.done += 1
        self._progress.outcomes.append(outcome)
        self._collector.counts.update({str(outcome.status): 1, "rows": outcome.rows})
        _log_walk(outcome)

    async def _save_walk(self, reading: WalkResult, known: Baseline, walk: TargetReader) -> Outcome:
        sector = self._collector.sectors.get(reading.target.sector)
        certificate = certify(
            reading,
            known,
            sector=sector,
            boards=self._store.registry.boards,
            is_sorted=reading.target.exchange in self._collector.sorted_exchanges,
        )
        verdict = await self._judge_doubt(reading, certificate)
        certificate = verdict.certificate
        certificate = replace(certificate, remarks=(*certificate.remarks, *walk.late.remarks))
        if self._witness:
            certificate = self._witness.certify(reading, known, certificate)
        if not await self._store.save_walk(
            reading,
            certificate,
            walk.claim,
            borne_out=verdict.borne_out,
            expected=known.rows,
            log=walk.log,
        ):
            return await self._stored_outcome(reading.slot, reading.target)
        _log_borne_out(reading.target, verdict.borne_out)
        if self._witness:
            self._witness.note(reading, known, certificate.status)
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

    async def _judge_doubt(self, reading: WalkResult, certificate: Certificate) -> Verdict:
        if not is_doubtful(reading, certificate):
            return Verdict(certificate)
        return bear_out(reading, certificate, await self._store.history(reading.slot, reading.target))

    async def _save_failure(self, walk: TargetReader, error: ApiError) -> Outcome:
        text = f"{type(error).__name__}: {error}"
        if not await self._store.save_failure(
            walk.slot, walk.target, error=text, attempts=walk.attempts, claim=walk.claim, log=walk.log
        ):
            return await self._stored_outcome(walk.slot, walk.target)
        return Outcome(
            target=walk.target, slot=walk.slot, status=Status.FAILED, error=text, attempts=walk.attempts
        )

    async def _stored_outcome(self, slot: datetime, target: Target) -> Outcome:
        """Returns the ledger's outcome, after another program stored a walk as good or better."""
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
        # Only the line of this walk. The outage of the API is reported once, by the caller seeing all walks.
        logger.info("walk.failed", **facts, error=outcome.error)
    elif outcome.error:
        logger.warning("walk.failed", **facts, error=outcome.error)
    elif outcome.status is not Status.COMPLETE:
        logger.warning("walk.stored", **facts)
    else:
        logger.info("walk.stored", **facts)


def _as_judged(outcome: Outcome, copies: Collection[Target]) -> Outcome:
    """Applies the comparison with KRX to an outcome."""
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
