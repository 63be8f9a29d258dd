"""Asks the witnesses of a sweep beside it, and judges its walks by what they say.

All requests go out in the lanes of their own api-ids, at most six a sweep; none is asked again but within that number.
Nothing here fails a sweep: a witness that cannot be had, or a database that does not take its words, leaves walks
unchecked and is logged once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any, NamedTuple, TypeVar

from collector.db.lease import LeaseLost
from collector.db.witness import Ruling, StoredOffset, Testimony, WitnessStore
from collector.errors import CollectorError, StoreError, Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.client import KiwoomClient
from collector.kiwoom.protocol import ApiRequest, ApiResponse, IndexPage, ListingPage
from collector.kiwoom.protocol.indices import IndexDays
from collector.kiwoom.protocol.requests import BOARD_SECTOR
from collector.log import logger
from collector.market.calendar import kst
from collector.market.witness_values import IndexLevel
from collector.model import (
    KST,
    Baseline,
    Certificate,
    Exchange,
    Market,
    Outcome,
    Sector,
    Status,
    Target,
    WalkResult,
)
from collector.sweep.board_list import BoardList, boards_of, expected_members
from collector.sweep.corroborate import (
    REMARKS,
    Corroboration,
    Judgement,
    Offset,
    SectorCounts,
    WalkContext,
    WalkCounts,
    WitnessFinding,
    WitnessSource,
    combine,
    count_walk,
    is_same_session,
    judge_counts,
    judge_date,
    judge_members,
    learn,
)

T = TypeVar("T")

MOST_REQUESTS = 6
"""Requests of witnesses a sweep: a tenth of what a sweep of 65 sectors costs."""
PATIENCE = 30.0
"""Seconds that the end of a sweep waits for its witnesses: three requests of the default timeout of ten seconds."""
NOON = time(12)
"""The listings of a board are asked for by the first sweep before noon and the first one after it."""


class RequestPlan(NamedTuple):
    """Which boards are asked for what in one sweep; the date is asked once besides."""

    lists: Sequence[Market]
    before: Sequence[Market]
    after: Sequence[Market]

    @property
    def spare(self) -> int:
        """Requests that may be asked a second time."""
        return MOST_REQUESTS - len(self.lists) - len(self.before) - len(self.after) - 1


def plan_requests(boards: Sequence[Market], due: Sequence[Market]) -> RequestPlan:
    """Lists that are due, counts after the walks, and counts before them as far as six requests allow."""
    room = MOST_REQUESTS - len(due) - len(boards) - 1
    return RequestPlan(due, boards[: max(0, room)], boards)


def is_due(asked_at: datetime | None, slot: datetime) -> bool:
    """Whether the listings of a board are to be asked for: once before noon and once after it."""
    if asked_at is None:
        return True
    last, now = kst(asked_at), kst(slot)
    return (last.date(), last.time() >= NOON) < (now.date(), now.time() >= NOON)


@dataclass(frozen=True, slots=True)
class NotedWalk:
    """A walk of this sweep that was stored, as far as a witness needs it."""

    target: Target
    counts: WalkCounts
    standing: WalkContext
    status: Status


@dataclass(frozen=True)
class WitnessDesk:
    """What it takes to ask witnesses. `has_opened`: whether the calendar says that KRX has opened by an instant."""

    keys: Sequence[KiwoomClient]
    store: WitnessStore
    sectors: Mapping[str, Sector]
    has_opened: Callable[[datetime], bool]

    @property
    def kiwoom(self) -> KiwoomClient:
        """The API with the first key that can get a token."""
        return next((kiwoom for kiwoom in self.keys if not kiwoom.lacks_token), self.keys[0])

    async def attend(self, slot: datetime, targets: Sequence[Target]) -> "SweepWitness":
        """Begin to ask beside a sweep. StoreError if the database does not tell what is known."""
        boards = boards_of(targets)
        midnight = datetime.combine(kst(slot).date(), time(), KST)
        witness = SweepWitness(self, slot, boards)
        for board in boards:
            stored = await self.store.newest_list(board, midnight)
            if stored is not None:
                witness.lists[board] = BoardList(board, *stored)
        offsets = await self.store.offsets(targets)
        witness.offsets.update({key: _offset(stored) for key, stored in offsets.items()})
        witness.start()
        return witness


@dataclass
class SweepWitness:
    """The witnesses of one sweep, from its first page to its end."""

    desk: WitnessDesk
    slot: datetime
    boards: Sequence[Market]
    lists: dict[Market, BoardList] = field(default_factory=dict)
    offsets: dict[tuple[Target, str], Offset] = field(default_factory=dict)
    date_finding: WitnessFinding | None = None
    requests: int = 0
    _levels: dict[tuple[Market, bool], tuple[Sequence[IndexLevel], datetime]] = field(default_factory=dict)
    _days: IndexDays | None = None
    _walks: dict[Target, NotedWalk] = field(default_factory=dict)
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _spare: int = 0

    @property
    def session(self) -> date | None:
        """The day of the session that the API shows; None if no witness said so, or an odd one."""
        if self._days is None or self.date_finding is None:
            return None
        is_odd = self.date_finding.verdict is Corroboration.UNCHECKED
        return None if is_odd else self._days.session

    def start(self) -> None:
        """Ask for the lists that are due and for the counts before the walks, without waiting."""
        due = [board for board in self.boards if is_due(self._list_time(board), self.slot)]
        plan = plan_requests(self.boards, due)
        self._spare = max(0, plan.spare)
        for board in plan.lists:
            self._begin(f"list {board}", self._ask_list(board))
        for board in plan.before:
            self._begin(f"before {board}", self._ask_counts(board, is_after=False))

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.ensure_future(self._guard(name, work))

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CollectorError as error:
            logger.info("witness.silent", question=name, reason=f"{type(error).__name__}: {error}")

    def is_pending(self, target: Target) -> bool:
        """Whether the list that could speak against the first walk of a target is still under way."""
        tasks = [self._tasks.get(f"list {board}") for board in boards_of([target])]
        return any(task is not None and not task.done() for task in tasks)

    async def wait_for_lists(self) -> None:
        """Until the lists are there, or are given up."""
        pending = [task for name, task in self._tasks.items() if name.startswith("list ")]
        if pending:
            await asyncio.wait(pending, timeout=PATIENCE)

    def certify(self, reading: WalkResult, known: Baseline, certificate: Certificate) -> Certificate:
        """The certificate of a walk that is about to be stored.

        The first walk of a target has no earlier one to be judged by, so a list that contradicts it makes it suspect at
        once. All others are judged when the sweep ends.
        """
        if known.rows is not None:
            return certificate
        finding = self._judge_list(count_walk(reading), reading.target, WalkContext(is_first=True))
        if finding.verdict is not Corroboration.CONTRADICTED:
            return certificate
        return Certificate(Status.SUSPECT, (*certificate.remarks, REMARKS[finding.source]))

    def note(self, reading: WalkResult, known: Baseline, status: Status) -> None:
        """Remember a walk of this sweep that was stored."""
        is_overnight = known.day is not None and known.day < kst(self.slot).date()
        standing = WalkContext(known.rows is None, is_overnight)
        self._walks[reading.target] = NotedWalk(reading.target, count_walk(reading), standing, status)

    async def conclude(self) -> dict[Target, Judgement]:
        """Ask what is to be asked after the walks, judge them, and write it down; {} if that did not work."""
        if not self._walks:
            return {}
        for board in self.boards:
            self._begin(f"after {board}", self._ask_counts(board, is_after=True))
        if self.boards:
            self._begin("date", self._ask_days(self.boards[0]))
        await self._settle()
        findings = self._judge()
        if await self._ask_again(findings):
            findings = self._judge()
        judgements = {target: combine(said) for target, said in findings.items()}
        judgements = self._judge_unlisted(judgements)
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
        running = [task for task in self._tasks.values() if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _settle(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=PATIENCE)
        await self.stop()

    async def _ask(self, request: ApiRequest, read: Callable[[ApiResponse], T]) -> tuple[T, datetime]:
        """Ask once; once more if the answer is empty or unreadable and six requests leave room for it."""
        try:
            self.requests += 1
            return await self.desk.kiwoom.ask_beside(request, read)
        except Unreadable:
            if self._spare <= 0:
                raise
            self._spare -= 1
            self.requests += 1
            return await self.desk.kiwoom.ask_beside(request, read)

    async def _ask_list(self, board: Market) -> None:
        page, arrived = await self._ask(protocol.ask_listings(board), protocol.read_listings)
        _log_oddities(board, page)
        is_whole = not page.bad and not page.repeats
        self.lists[board] = BoardList(board, arrived, page.facts, is_whole)
        await self.desk.store.keep_list(board, kst(self.slot).date(), arrived, page.facts, is_whole=is_whole)

    async def _ask_counts(self, board: Market, *, is_after: bool) -> None:
        page, arrived = await self._ask(protocol.ask_indices(board), protocol.read_indices)
        if page.bad:
            logger.warning(
                "witness.odd",
                source="ka20003",
                board=board,
                undecoded=len(page.bad),
                reason=page.bad[0].reason,
            )
        self._levels[board, is_after] = _of_board(page, board, self.desk.sectors), arrived

    async def _ask_days(self, board: Market) -> None:
        self._days, _ = await self._ask(protocol.ask_index_days(board), protocol.read_index_days)

    async def _ask_again(self, findings: Mapping[Target, Sequence[WitnessFinding]]) -> bool:
        """Ask for the list of a board anew where a walk differs from one that is older than the sweep."""
        for board in self.boards:
            old = f"list {board}" not in self._tasks
            if self._spare > 0 and old and self._differs(board, findings):
                self._spare -= 1
                await self._guard(f"list {board}", self._ask_list(board))
                return True
        return False

    def _differs(self, board: Market, findings: Mapping[Target, Sequence[WitnessFinding]]) -> bool:
        return any(
            finding.source is WitnessSource.MEMBERS
            and finding.difference
            and finding.verdict is not Corroboration.CORROBORATED
            for target, said in findings.items()
            if board in boards_of([target])
            for finding in said
        )

    def _judge(self) -> dict[Target, list[WitnessFinding]]:
        self.date_finding = self._judge_date()
        on_krx: dict[str, frozenset[str]] = {}
        findings: dict[Target, list[WitnessFinding]] = {}
        for target in sorted(self._walks, key=lambda target: target.exchange is not Exchange.KRX):
            walk = self._walks[target]
            counts = self._judge_counts(walk)
            members = self._judge_list(walk.counts, target, walk.standing, on_krx.get(target.sector))
            findings[target] = [members, counts, self.date_finding]
            is_sound = walk.status is Status.COMPLETE and counts.verdict is Corroboration.CORROBORATED
            if target.exchange is Exchange.KRX and is_sound:
                on_krx[target.sector] = walk.counts.members
        return findings

    def _judge_list(
        self,
        counts: WalkCounts,
        target: Target,
        standing: WalkContext,
        on_krx: frozenset[str] | None = None,
    ) -> WitnessFinding:
        boards = boards_of([target])
        listed = self.lists.get(boards[0]) if len(boards) == 1 else None
        sector = self.desk.sectors.get(target.sector)
        if listed is None or sector is None:
            return WitnessFinding(WitnessSource.MEMBERS, Corroboration.UNCHECKED, "ka10099 did not answer")
        expected = expected_members(listed, sector, target.exchange, on_krx)
        return judge_members(counts, expected, self._offset_of(target, WitnessSource.MEMBERS), standing)

    def _judge_counts(self, walk: NotedWalk) -> WitnessFinding:
        if walk.target.sector == BOARD_SECTOR[Market.KOSPI]:
            return WitnessFinding(
                WitnessSource.COUNTS, Corroboration.UNCHECKED, "ka20003 leaves ETF and ETN out of 001"
            )
        if walk.target.exchange is Exchange.NXT:
            return WitnessFinding(WitnessSource.COUNTS, Corroboration.UNCHECKED, "ka20003 counts KRX alone")
        before, after = (self._counts_of(walk.target, is_after=is_after) for is_after in (False, True))
        return judge_counts(
            walk.counts,
            before,
            after,
            self._offset_of(walk.target, WitnessSource.COUNTS),
            walk.standing,
            on_krx=walk.target.exchange is Exchange.KRX,
        )

    def _judge_date(self) -> WitnessFinding:
        shown = self._days.session if self._days else None
        is_confirmed = False
        if self._days and self.boards:
            whole = Target(self.boards[0], BOARD_SECTOR[self.boards[0]], Exchange.KRX)
            before, after = (self._counts_of(whole, is_after=is_after) for is_after in (False, True))
            is_confirmed = is_same_session(self._days.days[0][2], before, after)
        is_open = self.desk.has_opened(self.slot)
        return judge_date(shown, kst(self.slot).date(), is_open=is_open, is_confirmed=is_confirmed)

    def _judge_unlisted(self, judgements: Mapping[Target, Judgement]) -> dict[Target, Judgement]:
        """First walks that end with a full page, and for which no witness lists members, fall with that of KRX."""
        fallen = {
            target.sector
            for target, judgement in judgements.items()
            if target.exchange is Exchange.KRX and judgement.corroboration is Corroboration.CONTRADICTED
        }
        return {
            target: Judgement(
                Corroboration.CONTRADICTED,
                (REMARKS[WitnessSource.COUNTS],),
                "the walk of KRX lacks members, and this list ends with a full page",
            )
            if target.sector in fallen and self._is_unvouched(target, judgement)
            else judgement
            for target, judgement in judgements.items()
        }

    def _is_unvouched(self, target: Target, judgement: Judgement) -> bool:
        walk = self._walks[target]
        is_first_cut = walk.standing.is_first and walk.counts.ends_full
        return is_first_cut and judgement.corroboration is Corroboration.UNCHECKED

    def _counts_of(self, target: Target, *, is_after: bool) -> SectorCounts | None:
        for board in boards_of([target]):
            levels, arrived = self._levels.get((board, is_after), ((), None))
            for level in levels:
                if level.sector == target.sector and arrived is not None:
                    return SectorCounts(
                        *(level.members, level.traded_count, level.advancers, level.unchanged),
                        *(level.decliners, level.volume, arrived),
                    )
        return None

    def _list_time(self, board: Market) -> datetime | None:
        listed = self.lists.get(board)
        return listed.asked_at if listed else None

    def _offset_of(self, target: Target, source: WitnessSource) -> Offset:
        return self.offsets.get((target, source), Offset())

    async def _write(
        self, findings: Mapping[Target, Sequence[WitnessFinding]], judgements: Mapping[Target, Judgement]
    ) -> None:
        day = kst(self.slot).date()
        taught = {
            (target, finding.source): learn(
                self._offset_of(target, finding.source), finding, self._walks[target].counts, day
            )
            for target, said in findings.items()
            if REMARKS[WitnessSource.DATE] not in judgements[target].remarks
            for finding in said
            if finding.difference is not None
        }
        levels = [
            (level, board, arrived) for (board, _), (rows, arrived) in self._levels.items() for level in rows
        ]
        if levels:
            await self.desk.store.keep_levels(self.slot, levels)
        await self.desk.store.conclude(
            self.slot,
            [line for target, said in findings.items() for line in self._testimonies(target, said)],
            [_ruling(target, judgement) for target, judgement in judgements.items()],
            {key: _offset_row(offset) for key, offset in taught.items() if offset != self.offsets.get(key)},
        )

    def _testimonies(self, target: Target, said: Iterable[WitnessFinding]) -> Iterable[Testimony]:
        """One line for each witness that answered."""
        listed = [self.lists.get(board) for board in boards_of([target])]
        for finding in said:
            verdict, detail = str(finding.verdict), finding.detail
            if finding.source is WitnessSource.MEMBERS and listed[0]:
                members = _listed_members(self._walks[target].counts, finding)
                yield Testimony(target, finding.source, listed[0].asked_at, verdict, detail, members)
            elif finding.source is WitnessSource.COUNTS:
                counts = self._counts_of(target, is_after=True) or self._counts_of(target, is_after=False)
                if counts is not None:
                    yield Testimony(target, finding.source, counts.received_at, verdict, detail, *counts[:6])
            elif finding.source is WitnessSource.DATE and self._days is not None:
                yield Testimony(target, finding.source, self._answer_time(), verdict, detail)

    def _answer_time(self) -> datetime:
        return max((arrived for _, arrived in self._levels.values()), default=self.slot)

    def _log_odd(self, findings: Iterable[Sequence[WitnessFinding]]) -> None:
        """Name each witness that is not believed once, with the first reason."""
        odd = {finding.source: finding.detail for said in findings for finding in said if finding.is_odd}
        for source, reason in odd.items():
            logger.warning("witness.odd", source=str(source), slot=self.slot.isoformat(), reason=reason)

    def _log(self, judgements: Mapping[Target, Judgement]) -> None:
        count = {
            str(verdict): sum(judgement.corroboration is verdict for judgement in judgements.values())
            for verdict in Corroboration
        }
        logger.info("witness.heard", slot=self.slot.isoformat(), requests=self.requests, **count)
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


def _of_board(page: IndexPage, board: Market, sectors: Mapping[str, Sector]) -> list[IndexLevel]:
    """The levels of sectors that the board has; those of another board are left out, and said."""
    first = BOARD_SECTOR[board][0]
    own = [level for level in page.levels if level.sector[0] in (first, "6")]
    if len(own) < len(page.levels):
        logger.warning("witness.odd", source="ka20003", board=board, foreign=len(page.levels) - len(own))
    return own


def _log_oddities(board: Market, page: ListingPage) -> None:
    if page.bad or page.repeats:
        logger.warning(
            "witness.odd",
            source="ka10099",
            board=board,
            undecoded=len(page.bad),
            repeats=page.repeats,
        )


def _offset(stored: StoredOffset) -> Offset:
    settled = None if stored.settled is None else frozenset(stored.settled)
    return Offset(settled, frozenset(stored.candidate), stored.seen, stored.days, stored.last_day)


def _offset_row(offset: Offset) -> StoredOffset:
    settled = None if offset.settled is None else sorted(offset.settled)
    return StoredOffset(settled, sorted(offset.candidate), offset.seen, offset.days, offset.last_day)
