"""The requests to the witnesses of a sweep and their answers.

All requests go out in the lanes of their own api-ids, at most six a sweep. None is repeated beyond that number. A
failed request is logged, and fails nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, NamedTuple, TypeVar

from collector.db.witness import WitnessStore
from collector.errors import CollectorError, Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.client import KiwoomClient
from collector.kiwoom.protocol import ApiRequest, ApiResponse, IndexPage
from collector.kiwoom.protocol.indices import IndexDays
from collector.kiwoom.protocol.requests import BOARD_SECTOR
from collector.log import logger
from collector.market.calendar import kst
from collector.market.witness_values import IndexLevel
from collector.model import Market, Sector, Target
from collector.sweep.board_list import BoardList, boards_of
from collector.sweep.walk_counts import SectorCounts

T = TypeVar("T")

MOST_REQUESTS = 6
"""Requests of witnesses a sweep: a tenth of what a sweep of 65 sectors costs."""
WITNESSES_AT_ONCE = 3
"""Requests that are under way at once: both lists and one count, or both counts and the date."""
_CALLS = {"list": "ka10099", "before": "ka20003", "after": "ka20003", "date": "ka20009"}
"""The call of each question, by its first word."""
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


@dataclass
class WitnessAnswers:
    """What the witnesses of one sweep have answered so far."""

    lists: dict[Market, BoardList] = field(default_factory=dict)
    levels: dict[tuple[Market, bool], tuple[Sequence[IndexLevel], datetime]] = field(default_factory=dict)
    """Levels of the sectors of a board with their arrival, before (False) and after (True) the walks."""
    days: IndexDays | None = None
    by_sector: dict[tuple[Market, bool], Mapping[str, SectorCounts]] = field(default_factory=dict)

    def list_of(self, target: Target) -> BoardList | None:
        """The listings of the one board of a target; None if there are two, or no answer."""
        boards = boards_of([target])
        return self.lists.get(boards[0]) if len(boards) == 1 else None

    def add_levels(
        self, board: Market, levels: Sequence[IndexLevel], arrived: datetime, *, is_after: bool
    ) -> None:
        self.levels[board, is_after] = levels, arrived
        self.by_sector[board, is_after] = {level.sector: _counts(level, arrived) for level in levels}

    def counts_of(self, target: Target, *, is_after: bool) -> SectorCounts | None:
        """The counts of a target's sector; None if ka20003 did not give them."""
        for board in boards_of([target]):
            counts = self.by_sector.get((board, is_after), {}).get(target.sector)
            if counts is not None:
                return counts
        return None


def _counts(level: IndexLevel, arrived: datetime) -> SectorCounts:
    return SectorCounts(
        *(level.members, level.traded_count, level.advancers, level.unchanged),
        *(level.decliners, level.volume, arrived),
    )


@dataclass
class WitnessRequests:
    """Asks the witnesses of one sweep. Each answer goes to `answers` as soon as it is there."""

    kiwoom: KiwoomClient
    store: WitnessStore
    sectors: Mapping[str, Sector]
    slot: datetime
    boards: Sequence[Market]
    answers: WitnessAnswers
    sent: int = 0
    named: set[str] = field(default_factory=set)
    """Calls that were odd or silent, and are in the log already: each is named once a sweep."""
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _spare: int = 0

    def start(self) -> None:
        """Ask for the lists that are due and for the counts before the walks, without waiting."""
        plan = plan_requests(self.boards, [board for board in self.boards if self._is_due(board)])
        self._spare = max(0, plan.spare)
        for board in plan.lists:
            self._begin(f"list {board}", self._ask_list(board))
        for board in plan.before:
            self._begin(f"before {board}", self._ask_counts(board, is_after=False))

    def is_list_pending(self, target: Target) -> bool:
        """Whether a list of a target's boards is still under way."""
        tasks = [self._tasks.get(f"list {board}") for board in boards_of([target])]
        return any(task is not None and not task.done() for task in tasks)

    async def wait_for_lists(self) -> None:
        """Until the lists are there, or are given up."""
        await _wait(task for name, task in self._tasks.items() if name.startswith("list "))

    async def ask_after(self) -> None:
        """Ask for the counts after the walks and for the date; wait for all answers, and give up late ones."""
        for board in self.boards:
            self._begin(f"after {board}", self._ask_counts(board, is_after=True))
        if self.boards:
            self._begin("date", self._ask_days(self.boards[0]))
        await _wait(self._tasks.values())
        await self.stop()

    async def ask_list_again(self, board: Market) -> bool:
        """Ask for a list that is older than the sweep, if a request is left for it."""
        if self._spare <= 0 or f"list {board}" in self._tasks:
            return False
        self._spare -= 1
        await self._guard(f"list {board}", self._ask_list(board))
        return True

    async def stop(self) -> None:
        """Give up what is under way."""
        running = [task for task in self._tasks.values() if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _is_due(self, board: Market) -> bool:
        listed = self.answers.lists.get(board)
        return is_due(listed.asked_at if listed else None, self.slot)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.ensure_future(self._guard(name, work))

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CollectorError as error:
            if self.is_unnamed(_CALLS[name.split(maxsplit=1)[0]]):
                logger.info("witness.silent", question=name, reason=f"{type(error).__name__}: {error}")

    def is_unnamed(self, source: str) -> bool:
        """Whether a call is not in the log of this sweep yet; from now on it is."""
        is_new = source not in self.named
        self.named.add(source)
        return is_new

    async def _ask(self, request: ApiRequest, read: Callable[[ApiResponse], T]) -> tuple[T, datetime]:
        """Ask once; once more if the answer is empty or unreadable and six requests leave room for it."""
        try:
            self.sent += 1
            return await self.kiwoom.ask_beside(request, read)
        except Unreadable:
            if self._spare <= 0:
                raise
            self._spare -= 1
            self.sent += 1
            return await self.kiwoom.ask_beside(request, read)

    async def _ask_list(self, board: Market) -> None:
        page, arrived = await self._ask(protocol.ask_listings(board), protocol.read_listings)
        if (page.bad or page.repeats) and self.is_unnamed("ka10099"):
            logger.warning(
                "witness.odd", source="ka10099", board=board, undecoded=len(page.bad), repeats=page.repeats
            )
        is_whole = not page.bad and not page.repeats
        self.answers.lists[board] = BoardList(board, arrived, page.facts, is_whole)
        await self.store.lists.keep_list(board, kst(self.slot).date(), arrived, page.facts, is_whole=is_whole)

    async def _ask_counts(self, board: Market, *, is_after: bool) -> None:
        page, arrived = await self._ask(protocol.ask_indices(board), protocol.read_indices)
        own = _of_board(page, board)
        foreign = len(page.levels) - len(own)
        if (page.bad or foreign) and self.is_unnamed("ka20003"):
            _log_odd_counts(board, page, foreign)
        self.answers.add_levels(board, own, arrived, is_after=is_after)

    async def _ask_days(self, board: Market) -> None:
        self.answers.days, _ = await self._ask(protocol.ask_index_days(board), protocol.read_index_days)


async def _wait(tasks: Iterable["asyncio.Task[None]"]) -> None:
    pending = list(tasks)
    if pending:
        await asyncio.wait(pending, timeout=PATIENCE)


def _of_board(page: IndexPage, board: Market) -> list[IndexLevel]:
    """The levels of sectors that the board has; the indices without members (6xx) are in the list of KOSPI."""
    first = BOARD_SECTOR[board][0]
    return [level for level in page.levels if level.sector[0] in (first, "6")]


def _log_odd_counts(board: Market, page: IndexPage, foreign: int) -> None:
    facts: dict[str, object] = {"foreign": foreign} if foreign else {}
    if page.bad:
        facts |= {"undecoded": len(page.bad), "reason": page.bad[0].reason}
    logger.warning("witness.odd", source="ka20003", board=board, **facts)
