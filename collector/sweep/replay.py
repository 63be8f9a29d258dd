"""Judges kept answers again with the decoder of this program, and decides whether the result replaces a stored walk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from collector import __version__
from collector.db.answers import RawEntry
from collector.db.replays import LedgerLine, ReplayStore
from collector.model import Baseline, Certificate, Exchange, Remark, Sector, Status, Target, WalkResult
from collector.sweep.certify import bear_out, certify, is_doubtful, is_few, is_note
from collector.sweep.corroborate import REMARKS, Judgement, WitnessFinding
from collector.sweep.rebuild import rebuild
from collector.sweep.replay_witness import ReplayWitness

CERTIFIED = frozenset(
    {
        Remark.REPEATED_KEY,
        Remark.SHORT_PAGE,
        Remark.EMPTY_PAGE,
        Remark.PAGE_CAP,
        Remark.PAGE_COUNT,
        Remark.PAGE_ORDER,
        Remark.NO_END,
        Remark.UNDECODED,
        Remark.DUPLICATE_SYMBOL,
        Remark.WRONG_SUFFIX,
        Remark.FOREIGN,
        Remark.ROW_COUNT,
        Remark.MEMBERSHIP,
        Remark.EMPTY,
    }
)
"""Remarks of `certify`; a replay replaces these and keeps all others."""
WITNESSED = frozenset(REMARKS.values())
"""Remarks of witnesses; a replay replaces them where their answers are stored."""
_RANK = {Status.MISSED: 0, Status.FAILED: 0, Status.SUSPECT: 1, Status.COMPLETE: 2}
LATE_SESSION = "the next session had begun"
"""A part of the error of a whole walk that must not be stored, since it may show another session."""


class ReplayStep(StrEnum):
    """The outcome of one entry."""

    SAME = "same"
    CHANGED = "changed"
    WORSE = "worse"
    DAMAGED = "damaged"
    INCOMPLETE = "incomplete"
    NEWER = "newer"
    ARCHIVED = "archived"
    OTHER = "other"


PROBLEMS = frozenset({ReplayStep.WORSE, ReplayStep.DAMAGED, ReplayStep.NEWER, ReplayStep.ARCHIVED})
"""Outcomes with exit status 1. A failed walk that stays incomplete is no problem of the replay."""


@dataclass(frozen=True)
class Finding:
    """One entry: the stored line, the new reading (None: nothing was read), and the step that follows."""

    slot: datetime
    target: Target
    step: ReplayStep
    reason: str = ""
    line: LedgerLine | None = None
    reading: WalkResult | None = None
    certificate: Certificate | None = None
    expected: int | None = None
    judgement: Judgement | None = None
    """What witnesses come to for the new reading; None: what is stored stays."""
    findings: Sequence[WitnessFinding] = ()


@dataclass(frozen=True)
class Replay:
    """Reads entries again and corrects the stored walks. `force`: also if the status becomes worse."""

    store: ReplayStore
    sectors: Mapping[str, Sector]
    force: bool = False
    witness: ReplayWitness | None = None

    async def examine(self, entry: RawEntry, line: LedgerLine | None) -> Finding:
        """Compares an entry with the ledger's line and its rows; writes nothing."""
        plain = Finding(entry.slot, entry.target, ReplayStep.OTHER, line=line)
        step, reason = refuse_entry(entry, line)
        if step is not None or line is None or entry.data is None:
            return replace(plain, step=step or ReplayStep.OTHER, reason=reason)
        rebuilt = rebuild(entry.target, entry.slot, entry.data)
        if rebuilt.reading is None:
            return replace(plain, step=ReplayStep.INCOMPLETE, reason=rebuilt.error)
        return await self._judge(plain, rebuilt.reading, line)

    async def apply(self, finding: Finding) -> bool:
        """Carries out a change in one transaction. False: the stored walk has changed meanwhile."""
        assert finding.reading is not None
        assert finding.certificate is not None
        assert finding.line is not None
        verdicts = {str(found.source): (str(found.verdict), found.detail) for found in finding.findings}
        corroboration = finding.judgement.corroboration if finding.judgement else None
        return await self.store.replace_walk(
            finding.reading,
            finding.certificate,
            finding.line,
            finding.expected,
            corroboration=corroboration,
            verdicts=verdicts,
        )

    async def _judge(self, plain: Finding, reading: WalkResult, line: LedgerLine) -> Finding:
        certificate = await self._certify(reading, line.baseline)
        is_same = await self.store.has_same_rows(reading, line)
        judged = (
            await self.witness.judge(reading, line.baseline, certificate.status) if self.witness else None
        )
        judgement, findings = judged or (None, ())
        certificate = merge(certificate, line, reading, is_same=is_same, judgement=judgement)
        step = decide(certificate, line, is_same=is_same, force=self.force, judgement=judgement)
        return replace(
            plain,
            step=step,
            reading=reading,
            certificate=certificate,
            expected=line.baseline.rows,
            judgement=judgement,
            findings=findings,
        )

    async def _certify(self, reading: WalkResult, known: Baseline) -> Certificate:
        if not reading.row_count and reading.target.exchange is Exchange.NXT and known.rows != 0:
            none_there = await self.store.has_no_nxt_members(reading.slot, reading.target)
            known = replace(known, none_there=none_there)
        sector = self.sectors.get(reading.target.sector)
        certificate = certify(reading, known, sector=sector, boards=self.store.registry.boards)
        if not is_doubtful(reading, certificate):
            return certificate
        history = await self.store.history(reading.slot, reading.target)
        return bear_out(reading, certificate, history).certificate


def refuse_entry(entry: RawEntry, line: LedgerLine | None) -> tuple[ReplayStep | None, str]:
    """Returns the step and the reason for an entry not to be read again; (None, "") if it is to be read."""
    if entry.data is None or line is None:
        return (
            (ReplayStep.OTHER, "the ledger has no line of it")
            if entry.data
            else (ReplayStep.DAMAGED, entry.damage)
        )
    newest = max((entry.program, line.program), key=version)
    if version(newest) > version(__version__):
        return ReplayStep.NEWER, f"version {newest} has stored it, and this program is {__version__}"
    if LATE_SESSION in line.error or (_RANK[line.status] and not _belongs(entry, line)):
        return ReplayStep.OTHER, line.error or "another attempt was stored"
    if line.is_archived:
        return ReplayStep.ARCHIVED, f"its day is in files: run `collector restore {entry.slot.date()}` first"
    return None, ""


def _belongs(entry: RawEntry, line: LedgerLine) -> bool:
    """Returns True if the stored walk was read from these answers: its last page arrived among them."""
    assert entry.data is not None
    return line.received_at is not None and entry.data.requested_at <= line.received_at <= entry.received_at


def merge(
    certificate: Certificate,
    line: LedgerLine,
    reading: WalkResult,
    *,
    is_same: bool,
    judgement: Judgement | None = None,
) -> Certificate:
    """Adds later judgements of the stored walk (by walks, witnesses and operators) to the new certificate.

    For the same rows all of them hold. For other rows only those against the walk hold. `judgement` is that of the
    witnesses for the new rows, and replaces their earlier remarks; it changes no walk that an operator accepted.
    """
    others = tuple(Remark(remark) for remark in line.remarks if remark not in CERTIFIED)
    if judgement is not None:
        news = () if is_same and Remark.ACCEPTED in others else judgement.remarks
        others = (*(remark for remark in others if remark not in WITNESSED), *news)
        if news:
            return Certificate(Status.SUSPECT, tuple(dict.fromkeys((*certificate.remarks, *others))))
        line = replace(line, remarks=tuple(r for r in line.remarks if r not in WITNESSED))
    few = is_few(reading.bad_count, reading.row_count + reading.bad_count)
    against = line.status is Status.SUSPECT and not all(is_note(remark, is_few_bad=few) for remark in others)
    if against:
        return Certificate(Status.SUSPECT, (*certificate.remarks, *others))
    if is_same and line.status is Status.COMPLETE and certificate.status is not Status.COMPLETE:
        return Certificate(Status.COMPLETE, tuple(Remark(remark) for remark in line.remarks))
    kept = others if is_same else tuple(r for r in others if r not in (Remark.BORNE_OUT, Remark.ACCEPTED))
    return Certificate(certificate.status, (*certificate.remarks, *kept))


def decide(
    certificate: Certificate,
    line: LedgerLine,
    *,
    is_same: bool,
    force: bool,
    judgement: Judgement | None = None,
) -> ReplayStep:
    """Returns True if the new reading replaces the stored walk."""
    if _RANK[certificate.status] < _RANK[line.status] and not force:
        return ReplayStep.WORSE
    is_alike = certificate.status is line.status and set(certificate.remarks) == set(line.remarks)
    if judgement is not None:
        is_alike = is_alike and judgement.corroboration == line.corroboration
    return ReplayStep.SAME if is_same and is_alike else ReplayStep.CHANGED


def version(text: str) -> tuple[int, ...]:
    """Returns the numbers of a version for comparison: 1.10.0 is more than 1.9.0."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in text.partition("+")[0].split("."))
