"""Second sources beside a sweep: asks them, judges the walks by their answers, and stores both.

Nothing here fails a sweep. A witness without an answer, or a database that does not take the answers, leaves walks
unchecked and is logged once. `witness_requests` asks, `witness_verdicts` judges.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from collector.base.days import day_start
from collector.db.lease import LeaseLost
from collector.db.witness import Ruling, StoredOffset, Testimony, WitnessStore
from collector.errors import StoreError
from collector.kiwoom.client import KiwoomClient
from collector.log import logger
from collector.market.calendar import kst
from collector.model import (
    Baseline,
    Certificate,
    Market,
    Outcome,
    Sector,
    Status,
    Target,
    WalkResult,
)
from collector.sweep.board_list import BoardList, boards_of
from collector.sweep.corroborate import (
    REMARKS,
    Corroboration,
    Judgement,
    WitnessFinding,
    WitnessSource,
    combine,
)
from collector.sweep.walk_counts import WalkCounts, count_walk
from collector.sweep.witness_offsets import Offset, WalkContext, learn
from collector.sweep.witness_requests import WitnessAnswers, WitnessRequests
from collector.sweep.witness_verdicts import NotedWalk, WitnessJudge, contradict_unlisted

Findings = Mapping[Target, Sequence[WitnessFinding]]


@dataclass(frozen=True)
class WitnessDesk:
    """What it takes to ask witnesses. `has_opened`: whether the calendar says that KRX has opened by an instant.

    `lists` are the newest lists of this process: reading 4,300 listings from the database costs a tenth of a sweep.
    """

    keys: Sequence[KiwoomClient]
    store: WitnessStore
    sectors: Mapping[str, Sector]
    has_opened: Callable[[datetime], bool]
    lists: dict[Market, BoardList] = field(default_factory=dict)

    @property
    def kiwoom(self) -> KiwoomClient:
        """The API with the first key that can get a token."""
        return next((kiwoom for kiwoom in self.keys if not kiwoom.lacks_token), self.keys[0])

    def attend(self, slot: datetime, targets: Sequence[Target]) -> "SweepWitness":
        """Begin to ask beside a sweep. The sweep waits for nothing: what is known is read meanwhile."""
        boards, answers = boards_of(targets), WitnessAnswers()
        offsets: dict[tuple[Target, str], Offset] = {}
        judge = WitnessJudge(slot, boards, self.sectors, answers, offsets, self.has_opened(slot))
        requests = WitnessRequests(self.kiwoom, self.store, self.sectors, slot, boards, answers)

        async def open_all() -> None:
            answers.lists.update(await self._todays_lists(slot, boards))
            stored = await self.store.offsets(targets)
            offsets.update((key, _offset(value)) for key, value in stored.items())
            requests.start()

        return SweepWitness(self, judge, requests, asyncio.ensure_future(open_all()))

    async def _todays_lists(self, slot: datetime, boards: Sequence[Market]) -> dict[Market, BoardList]:
        """The newest list of each board that is of the day of the slot."""
        midnight = day_start(kst(slot).date())
        for board in boards:
            known = self.lists.get(board)
            if known is None or known.asked_at < midnight:
                stored = await self.store.lists.newest_list(board, midnight)
                if stored is not None:
                    self.lists[board] = BoardList(board, *stored)
        return {
            board: self.lists[board]
            for board in boards
            if board in self.lists and self.lists[board].asked_at >= midnight
        }


@dataclass
class SweepWitness:
    """The witnesses of one sweep, from its first page to its end."""

    desk: WitnessDesk
    judge: WitnessJudge
    requests: WitnessRequests
    opening: "asyncio.Task[None]"
    """Reads what is known, and begins to ask. StoreError if the database does not tell it."""
    date_finding: WitnessFinding | None = None
    _walks: dict[Target, NotedWalk] = field(default_factory=dict)

    @property
    def session(self) -> date | None:
        """The day of the session that the API shows; None if no witness said so, or an odd one."""
        days = self.judge.answers.days
        if days is None or self.date_finding is None:
            return None
        is_odd = self.date_finding.verdict is Corroboration.UNCHECKED
        return None if is_odd else days.session

    def is_pending(self, target: Target) -> bool:
        """Whether the list that could speak against the first walk of a target is still under way."""
        return not self.opening.done() or self.requests.is_list_pending(target)

    async def wait_for_lists(self) -> None:
        """Until the lists are there, or are given up."""
        await asyncio.wait([self.opening])
        await self.requests.wait_for_lists()

    def certify(self, reading: WalkResult, known: Baseline, certificate: Certificate) -> Certificate:
        """The certificate of a walk that is about to be stored.

        The first walk of a target has no earlier one to be judged by, so a list that contradicts it makes it suspect at
        once. All others are judged when the sweep ends.
        """
        if known.rows is not None:
            return certificate
        finding = self.judge.judge_list(count_walk(reading), reading.target, WalkContext(is_first=True))
        if finding.verdict is not Corroboration.CONTRADICTED:
            return certificate
        return Certificate(Status.SUSPECT, (*certificate.remarks, REMARKS[finding.source]))

    def note(self, reading: WalkResult, known: Baseline, status: Status) -> None:
        """Remember a walk of this sweep that was stored."""
        is_overnight = known.day is not None and known.day < kst(self.judge.slot).date()
        context = WalkContext(known.rows is None, is_overnight)
        self._walks[reading.target] = NotedWalk(reading.target, count_walk(reading), context, status)

    async def conclude(self) -> dict[Target, Judgement]:
        """Ask after the walks, judge them, and store the judgements; {} if that did not work."""
        if not self._walks or not await self._is_open():
            return {}
        await self.requests.ask_after()
        self.desk.lists.update(self.judge.answers.lists)
        findings = self.judge.judge_all(self._walks)
        if await self._ask_again(findings):
            findings = self.judge.judge_all(self._walks)
            self.desk.lists.update(self.judge.answers.lists)
        self.date_finding = self.judge.judge_date()
        judgements = contradict_unlisted(
            {target: combine(said) for target, said in findings.items()}, self._walks
        )
        try:
            await self._write(findings, judgements)
        except LeaseLost:
            raise
        except StoreError as error:
            logger.warning("witness.unstored", reason=str(error))
            return {}
        self._log(judgements)
        self._log_odd(findings.values())
        return judgements

    async def stop(self) -> None:
        """Give up what is under way."""
        if not self.opening.done():
            self.opening.cancel()
        await asyncio.wait([self.opening])
        if not self.opening.cancelled():
            self.opening.exception()  # `conclude` reports it, unless the sweep ended with an error of its own
        await self.requests.stop()

    async def _is_open(self) -> bool:
        """Whether the database told what is known; LeaseLost if this program lost its lease."""
        try:
            await self.opening
        except LeaseLost:
            raise
        except StoreError as error:
            logger.warning("witness.unasked", slot=self.judge.slot.isoformat(), reason=str(error))
            return False
        return True

    async def _ask_again(self, findings: Findings) -> bool:
        """Ask for the list of a board anew where a walk differs from one that is older than the sweep."""
        for board in self.judge.boards:
            if self._differs(board, findings) and await self.requests.ask_list_again(board):
                return True
        return False

    def _differs(self, board: Market, findings: Findings) -> bool:
        return any(
            finding.source is WitnessSource.MEMBERS
            and finding.difference
            and finding.verdict is not Corroboration.CORROBORATED
            for target, said in findings.items()
            if board in boards_of([target])
            for finding in said
        )

    async def _write(self, findings: Findings, judgements: Mapping[Target, Judgement]) -> None:
        answers, slot = self.judge.answers, self.judge.slot
        levels = [
            (level, board, arrived)
            for (board, _), (rows, arrived) in answers.levels.items()
            for level in rows
        ]
        await self.desk.store.conclude(
            slot,
            levels,
            [line for target, said in findings.items() for line in self._testimonies(target, said)],
            [_ruling(target, judgement) for target, judgement in judgements.items()],
            {key: _offset_row(offset) for key, offset in self._learn(findings, judgements).items()},
        )

    def _learn(
        self, findings: Findings, judgements: Mapping[Target, Judgement]
    ) -> dict[tuple[Target, str], Offset]:
        """The offsets that this sweep has changed. A walk of another session teaches nothing."""
        day = kst(self.judge.slot).date()
        taught = {
            (target, str(finding.source)): learn(
                self.judge.offset_of(target, finding.source),
                finding.difference,
                self._walks[target].counts,
                day,
            )
            for target, said in findings.items()
            if REMARKS[WitnessSource.DATE] not in judgements[target].remarks
            for finding in said
            if finding.difference is not None
        }
        return {key: offset for key, offset in taught.items() if offset != self.judge.offsets.get(key)}

    def _testimonies(self, target: Target, said: Iterable[WitnessFinding]) -> Iterable[Testimony]:
        """One line for each witness that answered."""
        answers = self.judge.answers
        listed = answers.list_of(target)
        for finding in said:
            verdict, detail = str(finding.verdict), finding.detail
            if finding.source is WitnessSource.MEMBERS and listed:
                members = _listed_members(self._walks[target].counts, finding)
                yield Testimony(target, finding.source, listed.asked_at, verdict, detail, members)
            elif finding.source is WitnessSource.COUNTS:
                counts = answers.counts_of(target, is_after=True) or answers.counts_of(target, is_after=False)
                if counts is not None:
                    yield Testimony(target, finding.source, counts.received_at, verdict, detail, *counts[:6])
            elif finding.source is WitnessSource.DATE and answers.days is not None:
                yield Testimony(target, finding.source, self._answer_time(), verdict, detail)

    def _answer_time(self) -> datetime:
        arrivals = (arrived for _, arrived in self.judge.answers.levels.values())
        return max(arrivals, default=self.judge.slot)

    def _log_odd(self, findings: Iterable[Sequence[WitnessFinding]]) -> None:
        """Name each witness that is not believed once, with the first reason."""
        odd = {finding.source: finding.detail for said in findings for finding in said if finding.is_odd}
        for source, reason in odd.items():
            if not self.requests.is_unnamed(str(source)):
                continue
            logger.warning("witness.odd", source=str(source), slot=self.judge.slot.isoformat(), reason=reason)

    def _log(self, judgements: Mapping[Target, Judgement]) -> None:
        count = {
            str(verdict): sum(judgement.corroboration is verdict for judgement in judgements.values())
            for verdict in Corroboration
        }
        logger.info("witness.heard", slot=self.judge.slot.isoformat(), requests=self.requests.sent, **count)
        for target, judgement in judgements.items():
            if judgement.corroboration is Corroboration.CONTRADICTED:
                logger.warning(
                    "walk.contradicted",
                    target=str(target),
                    remarks=",".join(judgement.remarks),
                    reason=judgement.detail,
                )


def apply_judgement(outcome: Outcome, judgement: Judgement | None) -> Outcome:
    """The outcome after the witnesses were heard."""
    if judgement is None or judgement.corroboration is not Corroboration.CONTRADICTED:
        return outcome
    if outcome.status not in (Status.COMPLETE, Status.SUSPECT):
        return outcome
    news = [remark for remark in judgement.remarks if remark not in outcome.remarks]
    remarks = (*outcome.remarks, *news)
    return replace(outcome, status=Status.SUSPECT, remarks=remarks, testimony=judgement.detail)


def _listed_members(walk: WalkCounts, finding: WitnessFinding) -> int | None:
    """How many members a witness lists; None where it was not compared."""
    if finding.difference is None:
        return None
    lacking = sum(code.startswith("-") for code in finding.difference)
    return len(walk.members) + 2 * lacking - len(finding.difference)


def _ruling(target: Target, judgement: Judgement) -> Ruling:
    by = " ".join(source for source, remark in REMARKS.items() if remark in judgement.remarks)
    return Ruling(target, judgement.corroboration, judgement.remarks, by)


def _offset(stored: StoredOffset) -> Offset:
    settled = None if stored.settled is None else frozenset(stored.settled)
    return Offset(settled, frozenset(stored.candidate), stored.seen, stored.days, stored.last_day)


def _offset_row(offset: Offset) -> StoredOffset:
    settled = None if offset.settled is None else sorted(offset.settled)
    return StoredOffset(settled, sorted(offset.candidate), offset.seen, offset.days, offset.last_day)
