"""Judges a replayed walk by the answers that witnesses gave at its sweep. Nothing is asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from collector.db.witness import StoredTestimony, WitnessStore
from collector.kiwoom.protocol.requests import BOARD_SECTOR
from collector.market.calendar import kst
from collector.model import Baseline, Exchange, Market, Sector, Status, Target, WalkResult
from collector.sweep.board_list import BoardList, boards_of
from collector.sweep.corroborate import (
    Corroboration,
    Judgement,
    WitnessFinding,
    WitnessSource,
    combine,
)
from collector.sweep.walk_counts import count_walk
from collector.sweep.witness_offsets import Offset, WalkContext
from collector.sweep.witness_requests import WitnessAnswers
from collector.sweep.witness_verdicts import NotedWalk, WitnessJudge


@dataclass
class ReplayWitness:
    """The stored answers of witnesses, read once for each sweep and each list."""

    store: WitnessStore
    sectors: Mapping[str, Sector]
    _said: dict[tuple[datetime, Target], Mapping[str, StoredTestimony]] = field(default_factory=dict)
    _offsets: dict[tuple[Target, str], Offset] = field(default_factory=dict)
    _lists: dict[tuple[Market, datetime], BoardList | None] = field(default_factory=dict)
    _levels: dict[datetime, WitnessAnswers] = field(default_factory=dict)
    _on_krx: dict[tuple[datetime, str], frozenset[str]] = field(default_factory=dict)

    def forget(self) -> None:
        """Drop what was read of one day, before the next."""
        for known in (self._said, self._lists, self._levels, self._on_krx):
            known.clear()

    async def load(self, slots: Sequence[datetime], target: Target) -> None:
        """Read what was said of a target at these slots, before its walks are judged."""
        for slot, said in (await self.store.testimonies(slots, target)).items():
            self._said[slot, target] = said
        for key, stored in (await self.store.offsets([target])).items():
            settled = None if stored.settled is None else frozenset(stored.settled)
            self._offsets[key] = Offset(settled, frozenset(stored.candidate), *stored[2:])

    async def judge(
        self, reading: WalkResult, known: Baseline, status: Status
    ) -> tuple[Judgement, Sequence[WitnessFinding]] | None:
        """The judgement of a walk that was read again, and its findings; None if no witness had spoken.

        None also for a sector whose members come from a walk of KRX that this replay does not read.
        """
        said = self._said.get((reading.slot, reading.target))
        if not said:
            return None
        judge = await self._judge_of(reading.slot, reading.target, said)
        is_overnight = known.day is not None and known.day < kst(reading.slot).date()
        context = WalkContext(known.rows is None, is_overnight)
        walk = NotedWalk(reading.target, count_walk(reading), context, status)
        key = reading.slot, reading.target.sector
        counts = judge.judge_counts(walk)
        members = judge.judge_list(walk.counts, reading.target, context, self._on_krx.get(key))
        if reading.target.exchange is Exchange.KRX:
            if status is Status.COMPLETE and counts.verdict is Corroboration.CORROBORATED:
                self._on_krx[key] = walk.counts.members
        elif members.difference is None and key not in self._on_krx:
            return None
        findings = [members, counts, *_date(said)]
        return combine(findings), findings

    async def _judge_of(
        self, slot: datetime, target: Target, said: Mapping[str, StoredTestimony]
    ) -> WitnessJudge:
        answers = WitnessAnswers()
        levels = await self._levels_of(slot)
        answers.levels, answers.by_sector = levels.levels, levels.by_sector
        listed = said.get(WitnessSource.MEMBERS)
        for board in boards_of([target]):
            if listed is not None and (found := await self._list(board, listed.asked_at)) is not None:
                answers.lists[board] = found
        return WitnessJudge(slot, list(BOARD_SECTOR), self.sectors, answers, self._offsets, has_opened=True)

    async def _levels_of(self, slot: datetime) -> WitnessAnswers:
        """The counts before and after the walks; a single answer is that after them."""
        if slot not in self._levels:
            answers = WitnessAnswers()
            for board, by_arrival in (await self.store.levels_of(slot)).items():
                arrivals = sorted(by_arrival)
                answers.add_levels(board, by_arrival[arrivals[-1]], arrivals[-1], is_after=True)
                if len(arrivals) > 1:
                    answers.add_levels(board, by_arrival[arrivals[0]], arrivals[0], is_after=False)
            # Several targets are read at once, so the answers are shared only when they are whole.
            self._levels[slot] = answers
        return self._levels[slot]

    async def _list(self, board: Market, asked_at: datetime) -> BoardList | None:
        key = board, asked_at
        if key not in self._lists:
            stored = await self.store.lists.list_at(board, asked_at)
            self._lists[key] = BoardList(board, *stored) if stored else None
        return self._lists[key]


def _date(said: Mapping[str, StoredTestimony]) -> list[WitnessFinding]:
    """The finding on the date, which does not depend on the rows."""
    stored = said.get(WitnessSource.DATE)
    if stored is None:
        return []
    return [WitnessFinding(WitnessSource.DATE, Corroboration(stored.verdict), stored.detail)]
