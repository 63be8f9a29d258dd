"""Compares a walk with its witnesses: pure functions of the walk, their answers, and the offsets of earlier sweeps.

Three calls of Kiwoom are witnesses, each with its own quota:

- members: ka10099 lists the listings of a board, with industry, size and the flag for NXT;
- counts: ka20003 counts the members of each sector on KRX, and how many have traded, before and after a sweep;
- date: ka20009 gives the date of the session shown.

Only a member that the walk lacks counts against the walk. A member that the witness lacks, a missing, late or odd
answer, and two witnesses that disagree leave the walk unchecked. A sector may be defined in another way by a witness.
Such a difference is an offset, and is learned. Without an offset a witness contradicts only the first walk of a target,
because there is no earlier walk to compare with.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from collector.model import Remark
from collector.sweep.walk_counts import SectorCounts, WalkCounts
from collector.sweep.witness_offsets import Offset, WalkContext, may_contradict, to_number, tolerance

VOLUME_PERCENT = 2
"""Off-hours trades make ka20003 count about 1 % more after the close (official captures); twice that is allowed."""
NAMED = 5
"""Codes that a finding names; the others are counted."""


class Corroboration(StrEnum):
    """The result of the witnesses of a walk."""

    CORROBORATED = "corroborated"
    CONTRADICTED = "contradicted"
    UNCHECKED = "unchecked"


class WitnessSource(StrEnum):
    """The call that a finding comes from."""

    MEMBERS = "ka10099"
    COUNTS = "ka20003"
    DATE = "ka20009"


REMARKS = {
    WitnessSource.MEMBERS: Remark.WITNESS_MEMBERS,
    WitnessSource.COUNTS: Remark.WITNESS_COUNT,
    WitnessSource.DATE: Remark.WITNESS_DATE,
}


class WitnessFinding(NamedTuple):
    """The finding of one witness about a walk. `difference` is None where nothing can be learned from it."""

    source: WitnessSource
    verdict: Corroboration
    detail: str = ""
    difference: frozenset[str] | None = None
    is_odd: bool = False
    """Whether the witness contradicts itself or everything known, so that it is not believed."""


class Judgement(NamedTuple):
    """The judgement of all witnesses of a walk: remarks that make it suspect, and a text with the numbers."""

    corroboration: Corroboration
    remarks: tuple[Remark, ...] = ()
    detail: str = ""


def judge_members(
    walk: WalkCounts, expected: frozenset[str] | None, offset: Offset, context: WalkContext
) -> WitnessFinding:
    """Compare the members of a walk with those that ka10099 lists for it (None: it does not say)."""
    if expected is None:
        return _report_members(Corroboration.UNCHECKED, "ka10099 does not list the members")
    if expected == walk.members and not offset.settled:
        detail = _name_codes((), (), len(expected), walk.rows)
        return _report_members(Corroboration.CORROBORATED, detail, frozenset())
    lacking, strangers = expected - walk.members, walk.members - expected
    difference = frozenset((*(f"-{code}" for code in lacking), *(f"+{code}" for code in strangers)))
    detail = _name_codes(lacking, strangers, len(expected), walk.rows)
    if len(walk.members & expected) * 2 < len(walk.members) or len(strangers) > tolerance(walk.rows):
        return _report_odd(WitnessSource.MEMBERS, f"ka10099 is another or a broken list: {detail}")
    if difference == (offset.settled or frozenset()):
        return _report_members(Corroboration.CORROBORATED, detail, difference)
    known = offset.settled or frozenset()
    news = [code for code in lacking if f"-{code}" not in known]
    if news and may_contradict(len(news), walk, offset, context):
        return _report_members(Corroboration.CONTRADICTED, detail, difference)
    return _report_members(Corroboration.UNCHECKED, detail, difference)


def judge_counts(
    walk: WalkCounts,
    before: SectorCounts | None,
    after: SectorCounts | None,
    offset: Offset,
    context: WalkContext,
    *,
    on_krx: bool = True,
) -> WitnessFinding:
    """Compare a walk with what ka20003 counted before and after it.

    The number of members decides. What trades is bracketed, with room for a lag of ten seconds and off-hours volume;
    outside of the bracket the walk is unchecked. Of CONSOLIDATED (`on_krx` False) only the members are compared.
    """
    answers = [counts for counts in (before, after) if counts is not None]
    if not answers:
        return _report_counts(Corroboration.UNCHECKED, "ka20003 did not answer")
    members = answers[-1].members
    detail = f"{walk.rows} rows, ka20003 counts {members} members"
    if any(counts.members != members for counts in answers) or (not members and walk.rows):
        return _report_odd(WitnessSource.COUNTS, f"ka20003 is of two minds: {detail}")
    surplus = walk.rows - members
    difference = frozenset({str(surplus)} if surplus else ())
    known = to_number(offset.settled)
    deficit = known - surplus
    if deficit > 0 and may_contradict(deficit, walk, offset, context, exact=False):
        return _report_counts(Corroboration.CONTRADICTED, detail, difference)
    outside = _find_outside(walk, before, after) if on_krx else "only KRX is counted"
    if deficit == 0 and (surplus == 0 or offset.settled is not None) and not outside:
        return _report_counts(Corroboration.CORROBORATED, detail, difference)
    return _report_counts(Corroboration.UNCHECKED, f"{detail}; {outside}" if outside else detail, difference)


def judge_date(shown: date | None, day: date, *, is_open: bool, is_confirmed: bool) -> WitnessFinding:
    """Compare the date of the session that ka20009 shows with the day of a slot.

    `is_open`: the calendar says that KRX has opened by then. `is_confirmed`: ka20003 shows the volume of that very
    session, and nothing traded during the sweep; without that, an old date is the witness's own fault.
    """
    if shown is None or not is_open:
        return WitnessFinding(WitnessSource.DATE, Corroboration.UNCHECKED, "no date to compare")
    detail = f"the session shown is of {shown.isoformat()}, the slot of {day.isoformat()}"
    if shown == day:
        return WitnessFinding(WitnessSource.DATE, Corroboration.CORROBORATED, detail)
    if shown > day or not is_confirmed:
        return _report_odd(WitnessSource.DATE, f"ka20009 is odd: {detail}")
    return WitnessFinding(WitnessSource.DATE, Corroboration.CONTRADICTED, detail)


def is_same_session(volume: int, before: SectorCounts | None, after: SectorCounts | None) -> bool:
    """Whether ka20003 counts the volume of a session (within 2 %), and nothing traded between its two answers."""
    if after is None or abs(volume - after.volume) * 100 > after.volume * VOLUME_PERCENT:
        return False
    return before is None or before[:6] == after[:6]


def combine(findings: Sequence[WitnessFinding]) -> Judgement:
    """Combines the findings of the witnesses of a walk to one judgement.

    A date of another session always contradicts. Where members and counts disagree, neither is believed. A date that
    agrees vouches for the day only, not for the members.
    """
    said = {finding.source: finding for finding in findings}
    against = [finding for finding in findings if finding.verdict is Corroboration.CONTRADICTED]
    vouching = [
        finding
        for finding in findings
        if finding.verdict is Corroboration.CORROBORATED and finding.source is not WitnessSource.DATE
    ]
    date_against = said.get(WitnessSource.DATE) in against
    if against and (date_against or not vouching):
        remarks = tuple(REMARKS[finding.source] for finding in against)
        return Judgement(Corroboration.CONTRADICTED, remarks, _join_details(against))
    if against:
        return Judgement(
            Corroboration.UNCHECKED, (), f"the witnesses disagree: {_join_details([*against, *vouching])}"
        )
    if vouching:
        return Judgement(Corroboration.CORROBORATED, (), _join_details(vouching))
    return Judgement(Corroboration.UNCHECKED, (), _join_details(findings))


def _find_outside(walk: WalkCounts, before: SectorCounts | None, after: SectorCounts | None) -> str:
    """Which figure lies outside of what was counted before and after; "" if none does."""
    if before is None or after is None:
        return "counted once only"
    room = tolerance(walk.rows)
    figures = {
        "traded": (walk.traded, before.traded, after.traded, room + walk.unread),
        "advancers": (walk.advancers, before.advancers, after.advancers, room + walk.unread),
        "decliners": (walk.decliners, before.decliners, after.decliners, room + walk.unread),
        "volume": (
            walk.volume,
            before.volume,
            after.volume,
            max(before.volume, after.volume) * VOLUME_PERCENT // 100 + 1_000 * (1 + walk.unread),
        ),
    }
    for name, (figure, earlier, later, allowed) in figures.items():
        slack = allowed + abs(later - earlier)  # the answer after may be ten seconds behind
        if not min(earlier, later) - slack <= figure <= max(earlier, later) + slack:
            return f"{name} {figure}, counted {earlier} to {later}"
    return ""


def _name_codes(lacking: Collection[str], strangers: Collection[str], expected: int, rows: int) -> str:
    parts = [f"{rows} rows, ka10099 lists {expected}"]
    for codes, text in ((lacking, "not in the walk"), (strangers, "not in ka10099")):
        if codes:
            more = f" and {len(codes) - NAMED} more" if len(codes) > NAMED else ""
            parts.append(f"{text}: {' '.join(sorted(codes)[:NAMED])}{more}")
    return "; ".join(parts)


def _report_members(
    verdict: Corroboration, detail: str, difference: frozenset[str] | None = None
) -> WitnessFinding:
    return WitnessFinding(WitnessSource.MEMBERS, verdict, detail, difference)


def _report_counts(
    verdict: Corroboration, detail: str, difference: frozenset[str] | None = None
) -> WitnessFinding:
    return WitnessFinding(WitnessSource.COUNTS, verdict, detail, difference)


def _report_odd(source: WitnessSource, detail: str) -> WitnessFinding:
    return WitnessFinding(source, Corroboration.UNCHECKED, detail, is_odd=True)


def _join_details(findings: Iterable[WitnessFinding]) -> str:
    return " · ".join(finding.detail for finding in findings if finding.detail)
