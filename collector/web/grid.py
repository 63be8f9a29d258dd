"""A day as a grid: the expected slots × targets and their state. Pure.

Each universe is a section. A small universe has one row per target over the day's slots; a large one is
grouped by market and exchange. If a large universe has few slots, each slot is a row of tiles instead.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from collector.market.timetable import Timetable
from collector.model import KST, Target
from collector.web.queries.ledger import Cell, StatusTotal, SweepLine

MANY = 24
"""From this number of targets on, the targets of a universe are grouped."""
FEW = 3
"""Up to this number of slots, a large universe is drawn as tiles."""
_LONGEST = timedelta(hours=1)


class Mark(StrEnum):
    """The state of a slot × target, the worst first."""

    FAILED = "failed"
    ABSENT = "absent"
    MISSED = "missed"
    SUSPECT = "suspect"
    RUNNING = "running"
    DUE = "due"
    COMPLETE = "complete"
    NONE = "none"


class Note(StrEnum):
    """A fact beside the state: the word of a second source, or rows that were reconstructed later."""

    CONTRADICTED = "contradicted"
    REPAIRED = "repaired"
    CORROBORATED = "corroborated"


UNWRITTEN = frozenset({Mark.ABSENT, Mark.RUNNING, Mark.DUE, Mark.NONE})
"""States without a line in the ledger."""


class Square(NamedTuple):
    """One square of the grid: a target, or with `sector` None all targets of a market on an exchange."""

    slot: datetime
    market: str
    sector: str | None
    exchange: str
    marks: Mapping[Mark, int]
    notes: Mapping[Note, int] = MappingProxyType({})

    @property
    def note(self) -> Note | None:
        """The note of the square. `corroborated` must hold for all its targets, the others for one of them."""
        total = sum(self.marks.values())
        return next(
            (note for note in Note if self.notes.get(note, 0) >= (total if note is Note.CORROBORATED else 1)),
            None,
        )

    @property
    def mark(self) -> Mark:
        """The worst state in the square."""
        return next((mark for mark in Mark if self.marks.get(mark)), Mark.NONE)

    @property
    def label(self) -> str:
        parts = (self.market, self.sector, self.exchange)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class GridRow:
    """Squares in a row. `slot` is set if all squares are of one slot."""

    label: str
    squares: Sequence[Square]
    slot: datetime | None = None


@dataclass(frozen=True)
class UniverseSection:
    """A universe on a day. `deadlines` is by slot. `schedules` are the schedules of the universe; empty for
    `once`.
    """

    universe: str
    schedules: Sequence[str]
    deadlines: Mapping[datetime, datetime]
    targets: Sequence[Target]

    @property
    def slots(self) -> list[datetime]:
        return sorted(self.deadlines)

    @property
    def is_tiles(self) -> bool:
        return len(self.deadlines) <= FEW and len(self.targets) > MANY

    @property
    def is_grouped(self) -> bool:
        return len(self.targets) > MANY and not self.is_tiles


@dataclass(frozen=True)
class Section:
    """A universe section with its rows."""

    lane: UniverseSection
    rows: Sequence[GridRow]

    @property
    def beside(self) -> list[tuple[Square, ...]]:
        """The tiles transposed: the squares of each target, one for each slot."""
        slots = [
            [square for row in self.rows if row.slot == slot for square in row.squares]
            for slot in self.lane.slots
        ]
        return list(zip(*slots, strict=True))


@dataclass(frozen=True)
class DayLedger:
    """The database's content of a day."""

    counts: Mapping[tuple[datetime, str, str], Mapping[Mark, int]]
    cells: Mapping[tuple[datetime, Target], Mark]
    running: Collection[datetime]
    since: datetime | None
    """The first slot of the whole ledger; None if it lies before this day."""
    now: datetime
    group_notes: Mapping[tuple[datetime, str, str], Mapping[Note, int]] = field(default_factory=dict)
    cell_notes: Mapping[tuple[datetime, Target], Mapping[Note, int]] = field(default_factory=dict)

    def unwritten(self, slot: datetime, deadline: datetime) -> Mark:
        """The state of a slot without a line in the ledger."""
        if slot in self.running:
            return Mark.RUNNING
        if self.now <= deadline:
            return Mark.DUE
        return Mark.NONE if self.since and slot < self.since else Mark.ABSENT

    def unwritten_of(self, lane: "UniverseSection", slot: datetime) -> Mark:
        """As `unwritten`. Nothing is absent where no schedule asks for the universe: it was never due."""
        mark = self.unwritten(slot, lane.deadlines[slot])
        return Mark.NONE if mark is Mark.ABSENT and not lane.schedules else mark


def lanes(
    timetable: Timetable, day: date, sweeps: Iterable[SweepLine], known: Collection[Target]
) -> list[UniverseSection]:
    """The sections of a day: everything scheduled, and sweeps beside the schedules. `known` are all known
    targets.
    """
    due: defaultdict[str, dict[datetime, datetime]] = defaultdict(dict)
    schedules: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for slot in timetable.on(day):
        due[slot.universe][slot.at] = slot.deadline
        schedules[slot.universe][slot.schedule] = None
    for sweep in sweeps:
        due[sweep.universe].setdefault(sweep.slot.astimezone(KST), sweep.slot)
    return [
        UniverseSection(
            universe,
            list(schedules[universe]),
            slots,
            timetable.universe(universe) or _match_target(universe, known) or tuple(known),
        )
        for universe, slots in due.items()
    ]


def _match_target(universe: str, known: Collection[Target]) -> tuple[Target, ...]:
    """The target of a sweep of `once --target`, which has the target's name."""
    return tuple(target for target in known if str(target) == universe)


def plan_cells(
    lanes: Iterable[UniverseSection], numbers: Mapping[Target, int]
) -> tuple[set[int], set[datetime]]:
    """The targets and the slots with a need for single lines. Everything else is drawn from counts."""
    targets: set[int] = set()
    slots: set[datetime] = set()
    for lane in lanes:
        if lane.is_tiles:
            slots.update(lane.slots)
        elif not lane.is_grouped:
            targets.update(numbers[target] for target in lane.targets if target in numbers)
    return targets, slots


def ledger(
    counts: Iterable[StatusTotal],
    cells: Sequence[Cell],
    sweeps: Iterable[SweepLine],
    *,
    names: Mapping[int, Target],
    since: datetime | None,
    now: datetime,
) -> DayLedger:
    """Convert the database's answers to the input of the grid."""
    by_group: defaultdict[tuple[datetime, str, str], dict[Mark, int]] = defaultdict(dict)
    group_notes: defaultdict[tuple[datetime, str, str], Counter[Note]] = defaultdict(Counter)
    for count in counts:
        group = (count.slot, count.market, count.exchange)
        by_group[group][Mark(count.status)] = count.targets
        group_notes[group].update({note: getattr(count, note) for note in Note})
    by_target = {(cell.slot, names[cell.target]): Mark(cell.status) for cell in cells if cell.target in names}
    running = {sweep.slot for sweep in sweeps if sweep.ended_at is None and now - sweep.slot < _LONGEST}
    cell_notes = {(cell.slot, names[cell.target]): _notes(cell) for cell in cells if cell.target in names}
    return DayLedger(by_group, by_target, running, since, now, group_notes, cell_notes)


def _notes(cell: Cell) -> Mapping[Note, int]:
    notes = {Note(cell.corroboration): 1} if cell.corroboration in set(Note) else {}
    return notes | {Note.REPAIRED: 1} if cell.is_repaired else notes


def lacking(
    lanes: Iterable[UniverseSection], slot: datetime, there: Collection[Target], ledger: DayLedger
) -> dict[Target, Mark]:
    """The expected targets of a slot without a line in the ledger, with their state. `there` are the others."""
    return {
        target: ledger.unwritten_of(lane, slot)
        for lane in lanes
        if slot in lane.deadlines
        for target in lane.targets
        if target not in there
    }


def section(lane: UniverseSection, ledger: DayLedger) -> Section:
    """The rows of a universe section."""
    if lane.is_tiles:
        return Section(lane, list(_tiles(lane, ledger)))
    if lane.is_grouped:
        return Section(lane, list(_groups(lane, ledger)))
    return Section(lane, [_course(lane, target, ledger) for target in lane.targets])


def totals(sections: Iterable[Section]) -> Counter[Mark | Note]:
    """Number of slots × targets by state and by note."""
    counts: Counter[Mark | Note] = Counter()
    for section in sections:
        for row in section.rows:
            for square in row.squares:
                counts.update(square.marks)
                counts.update(square.notes)
    del counts[Mark.NONE]
    return counts


def _course(lane: UniverseSection, target: Target, ledger: DayLedger) -> GridRow:
    return GridRow(str(target), [_single(lane, slot, target, ledger) for slot in lane.slots])


def _single(lane: UniverseSection, slot: datetime, target: Target, ledger: DayLedger) -> Square:
    mark = ledger.cells.get((slot, target)) or ledger.unwritten_of(lane, slot)
    notes = ledger.cell_notes.get((slot, target), {})
    return Square(slot, target.market, target.sector, target.exchange, {mark: 1}, notes)


def _tiles(lane: UniverseSection, ledger: DayLedger) -> Iterable[GridRow]:
    for slot in lane.slots:
        for (market, exchange), targets in _group_by_market(lane.targets).items():
            squares = [_single(lane, slot, target, ledger) for target in targets]
            yield GridRow(f"{market}/{exchange}", squares, slot)


def _groups(lane: UniverseSection, ledger: DayLedger) -> Iterable[GridRow]:
    unwritten = {slot: ledger.unwritten_of(lane, slot) for slot in lane.slots}
    for (market, exchange), targets in _group_by_market(lane.targets).items():
        squares = []
        for slot in lane.slots:
            marks = _shares(ledger, len(targets), unwritten[slot], (slot, market, exchange))
            notes = ledger.group_notes.get((slot, market, exchange), {})
            squares.append(Square(slot, market, None, exchange, marks, notes))
        yield GridRow(f"{market}/{exchange}", squares)


def _shares(
    ledger: DayLedger, expected: int, unwritten: Mark, group: tuple[datetime, str, str]
) -> Mapping[Mark, int]:
    marks = dict(ledger.counts.get(group, {}))
    lacking = expected - sum(marks.values())
    return marks | {unwritten: marks.get(unwritten, 0) + lacking} if lacking > 0 else marks


def _group_by_market(targets: Iterable[Target]) -> Mapping[tuple[str, str], list[Target]]:
    groups: defaultdict[tuple[str, str], list[Target]] = defaultdict(list)
    for target in targets:
        groups[target.market, target.exchange].append(target)
    return groups
