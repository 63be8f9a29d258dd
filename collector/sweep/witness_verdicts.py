"""Judges the walks of a sweep by the answers of its witnesses: pure functions, for a sweep and for a replay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.kiwoom.protocol.requests import BOARD_SECTOR
from collector.market.calendar import kst
from collector.model import Exchange, Market, Sector, Status, Target
from collector.sweep.board_list import expected_members
from collector.sweep.corroborate import (
    REMARKS,
    Corroboration,
    Judgement,
    WitnessFinding,
    WitnessSource,
    is_same_session,
    judge_counts,
    judge_date,
    judge_members,
)
from collector.sweep.walk_counts import WalkCounts
from collector.sweep.witness_offsets import Offset, WalkContext
from collector.sweep.witness_requests import WitnessAnswers

Offsets = Mapping[tuple[Target, str], Offset]


@dataclass(frozen=True, slots=True)
class NotedWalk:
    """A stored walk of a sweep, as far as a witness needs it."""

    target: Target
    counts: WalkCounts
    context: WalkContext
    status: Status


@dataclass(frozen=True)
class WitnessJudge:
    """What a walk is judged by. `has_opened`: the calendar says that KRX has opened by the slot."""

    slot: datetime
    boards: Sequence[Market]
    sectors: Mapping[str, Sector]
    answers: WitnessAnswers
    offsets: Offsets
    has_opened: bool

    def judge_all(self, walks: Mapping[Target, NotedWalk]) -> dict[Target, list[WitnessFinding]]:
        """The findings of each walk: members, counts and date. Walks of KRX come first, since others lean on them."""
        date_finding = self.judge_date()
        on_krx: dict[str, frozenset[str]] = {}
        findings: dict[Target, list[WitnessFinding]] = {}
        for target in sorted(walks, key=lambda target: target.exchange is not Exchange.KRX):
            walk = walks[target]
            counts = self.judge_counts(walk)
            members = self.judge_list(walk.counts, target, walk.context, on_krx.get(target.sector))
            findings[target] = [members, counts, date_finding]
            is_sound = walk.status is Status.COMPLETE and counts.verdict is Corroboration.CORROBORATED
            if target.exchange is Exchange.KRX and is_sound:
                on_krx[target.sector] = walk.counts.members
        return findings

    def judge_list(
        self,
        counts: WalkCounts,
        target: Target,
        context: WalkContext,
        on_krx: frozenset[str] | None = None,
    ) -> WitnessFinding:
        """What ka10099 says of a walk."""
        listed, sector = self.answers.list_of(target), self.sectors.get(target.sector)
        if listed is None or sector is None:
            return WitnessFinding(WitnessSource.MEMBERS, Corroboration.UNCHECKED, "ka10099 did not answer")
        expected = expected_members(listed, sector, target.exchange, on_krx)
        return judge_members(counts, expected, self.offset_of(target, WitnessSource.MEMBERS), context)

    def judge_counts(self, walk: NotedWalk) -> WitnessFinding:
        """What ka20003 says of a walk."""
        target = walk.target
        if target.sector == BOARD_SECTOR[Market.KOSPI]:
            text = "ka20003 leaves ETF and ETN out of 001"
            return WitnessFinding(WitnessSource.COUNTS, Corroboration.UNCHECKED, text)
        if target.exchange is Exchange.NXT:
            text = "ka20003 counts KRX alone"
            return WitnessFinding(WitnessSource.COUNTS, Corroboration.UNCHECKED, text)
        return judge_counts(
            walk.counts,
            self.answers.counts_of(target, is_after=False),
            self.answers.counts_of(target, is_after=True),
            self.offset_of(target, WitnessSource.COUNTS),
            walk.context,
            on_krx=target.exchange is Exchange.KRX,
        )

    def judge_date(self) -> WitnessFinding:
        """The verdict of ka20009 on the date, the same for all walks."""
        days = self.answers.days
        is_confirmed = False
        if days and self.boards:
            whole = Target(self.boards[0], BOARD_SECTOR[self.boards[0]], Exchange.KRX)
            before, after = (self.answers.counts_of(whole, is_after=is_after) for is_after in (False, True))
            is_confirmed = is_same_session(days.days[0][2], before, after)
        return judge_date(
            days.session if days else None,
            kst(self.slot).date(),
            is_open=self.has_opened,
            is_confirmed=is_confirmed,
        )

    def offset_of(self, target: Target, source: WitnessSource) -> Offset:
        return self.offsets.get((target, source), Offset())


def contradict_unlisted(
    judgements: Mapping[Target, Judgement], walks: Mapping[Target, NotedWalk]
) -> dict[Target, Judgement]:
    """The judgements, with those of first walks that no witness lists and that may be cut as the walk of KRX was.

    Such a walk ends with a full page, and the walk of its sector on KRX is contradicted.
    """
    fallen = {
        target.sector
        for target, judgement in judgements.items()
        if target.exchange is Exchange.KRX and judgement.corroboration is Corroboration.CONTRADICTED
    }
    text = "the walk of KRX lacks members, and this list ends with a full page"
    contradicted = Judgement(Corroboration.CONTRADICTED, (REMARKS[WitnessSource.COUNTS],), text)
    return {
        target: contradicted
        if target.sector in fallen and _is_unvouched(walks[target], judgement)
        else judgement
        for target, judgement in judgements.items()
    }


def _is_unvouched(walk: NotedWalk, judgement: Judgement) -> bool:
    is_first_cut = walk.context.is_first and walk.counts.ends_full
    return is_first_cut and judgement.corroboration is Corroboration.UNCHECKED
