"""Views of the collected data: overview, a day's grid, a slot, a walk. A view gathers the values of its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from collector.base.days import day_bounds
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable
from collector.model import KST, Target
from collector.sweep.estimate import count_pages
from collector.web import grid
from collector.web.context import ViewContext
from collector.web.metrics_data import QuotaFigure
from collector.web.queries import SlotLine, SweepLine
from collector.web.tables import DataTable, table

_SHOWN = 200


class NotFound(Exception):
    """The address names nothing known."""


@dataclass(frozen=True)
class View:
    """The values of a page, and the same as a table for programs."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    data: DataTable | None = None


@dataclass(frozen=True)
class Progress:
    """A sweep under way. `seconds_left` is None if there is no estimate yet."""

    slot: datetime
    universe: str
    done: int
    total: int
    share: float
    seconds_left: float | None


@dataclass(frozen=True)
class DayFound:
    """A day's sections and its neighbours."""

    day: date
    sections: Sequence[grid.Section]
    sweeps: Sequence[SweepLine]
    before: date | None
    after: date | None


async def day_found(desk: ViewContext, day: date | None, now: datetime) -> DayFound | None:
    """A day's grid. Without `day` it is today, or the newest day with data. None if there is no data at all."""
    timetable, questions = await desk.timetable(), desk.queries
    today = now.astimezone(KST).date()
    start, end = day_bounds(day or today)
    before, after = await questions.around(start, end)
    if day is None and not timetable.on(today) and before and not await questions.counts(start, end):
        return await day_found(desk, before.astimezone(KST).date(), now)
    sweeps, counts = await questions.sweeps(start, end), await questions.counts(start, end)
    names = await desk.targets()
    lanes = grid.lanes(timetable, day or today, sweeps, list(names.values()))
    if not lanes and before is None and after is None:
        return None
    targets, slots = grid.plan_cells(lanes, {target: target_id for target_id, target in names.items()})
    cells = await questions.cells(start, end, targets, slots)
    since = min((count.slot for count in counts), default=now) if before is None else None
    ledger = grid.ledger(counts, cells, sweeps, names=names, since=since, now=now)
    sections = [grid.section(lane, ledger) for lane in lanes]
    return DayFound(day or today, sections, sweeps, _date(before), _date(after))


def _date(at: datetime | None) -> date | None:
    return at.astimezone(KST).date() if at else None


async def day_view(desk: ViewContext, day: date) -> View:
    """The grid of one day."""
    day_data = await desk.recent(("day", day), 2.0, lambda: day_found(desk, day, desk.now()))
    sections = day_data.sections if day_data else []
    return View("day.html", _day_values(day_data), _grid_table(sections))


def _day_values(day_data: DayFound | None) -> dict[str, Any]:
    sections = day_data.sections if day_data else []
    return {"found": day_data, "totals": grid.totals(sections)}


def _grid_table(sections: Sequence[grid.Section]) -> DataTable:
    rows = [
        (square.slot, section.lane.universe, *square[1:4], str(mark), count)
        for section in sections
        for row in section.rows
        for square in row.squares
        for mark, count in square.marks.items()
        if mark is not grid.Mark.NONE
    ]
    return table("slot universe market sector exchange status targets", rows)


async def overview(desk: ViewContext) -> View:
    """The overview. The caller adds the sector map."""
    now = desk.now()
    day_data = await desk.recent(("day", None), 2.0, lambda: day_found(desk, None, now))
    timetable = await desk.timetable()
    slot = await desk.recent("next", 1.0, lambda: _next(timetable, now))
    config, _ = desk.configured()
    values = {
        **_day_values(day_data),
        "underway": await underway(desk, timetable, day_data.sweeps if day_data else [], now),
        "next": slot,
        "slower": _slower((await desk.figures()).quotas, config.api.requests_per_second),
        "configured_rate": config.api.requests_per_second,
    }
    return View("overview.html", values)


def _slower(quotas: Sequence[QuotaFigure], configured: int) -> list[QuotaFigure]:
    """The calls with a granted rate below the configured one."""
    return [quota for quota in quotas if quota.granted is not None and quota.granted < configured]


async def _next(timetable: Timetable, now: datetime) -> ScheduledSlot | None:
    return timetable.next(now)


async def underway(
    desk: ViewContext, timetable: Timetable, sweeps: Sequence[SweepLine], now: datetime
) -> list[Progress]:
    """The running sweeps: by page if they run in this process, else by walk."""
    live = [
        Progress(
            slot,
            universe,
            tally.done,
            tally.targets,
            *_pace(tally.pages, tally.expected_pages, tally.seconds()),
        )
        for (slot, universe), tally in desk.live.underway().items()
    ]
    if live:
        return live
    running = [
        sweep for sweep in sweeps if not sweep.ended_at and now - sweep.started_at < timedelta(hours=1)
    ]
    return [await _from_ledger(desk, timetable, sweep, now) for sweep in running]


async def _from_ledger(desk: ViewContext, timetable: Timetable, sweep: SweepLine, now: datetime) -> Progress:
    targets = set(timetable.universe(sweep.universe))
    lines = [
        line
        for line in await desk.queries.slot(sweep.slot)
        if not targets or Target.of(line.market, line.sector, line.exchange) in targets
    ]
    done = sum(count_pages(line.rows) for line in lines)
    total = done + len(targets) - len(lines) if targets else 0
    pace = _pace(done, total, (now - sweep.started_at).total_seconds())
    return Progress(sweep.slot, sweep.universe, len(lines), len(targets) or len(lines), *pace)


def _pace(done: int, expected: int, seconds: float) -> tuple[float, float | None]:
    """Share done, and the seconds left at the pace so far."""
    if not done or not expected:
        return 0.0, None
    share = min(1.0, done / expected)
    return share, max(0.0, seconds / share - seconds)


async def slot_view(desk: ViewContext, slot: datetime, market: str, exchange: str) -> View:
    """All targets of a slot, or those of a market and an exchange, including targets without a line in the
    ledger.
    """
    written = await desk.queries.slot(slot)
    lines = [
        line
        for line in [*written, *await _unwritten(desk, slot, written)]
        if market in ("", line.market) and exchange in ("", line.exchange)
    ]
    if not lines:
        raise NotFound
    lines.sort(key=lambda line: (line.market, line.exchange, line.sector))
    columns = "market sector exchange status pages rows remarks error attempts"
    asked = {"market": market, "exchange": exchange}
    values = {
        "slot": slot,
        "part": {name: value for name, value in asked.items() if value},
        "lines": lines,
        "sectors": await desk.sectors(),
        "unwritten": grid.UNWRITTEN,
    }
    return View("slot.html", values, table(f"slot {columns}", [(slot, *line) for line in lines]))


async def _unwritten(desk: ViewContext, slot: datetime, written: Sequence[SlotLine]) -> list[SlotLine]:
    """The targets of a slot that schedules and sweeps expect and the ledger lacks."""
    timetable, names = await desk.timetable(), await desk.targets()
    before, _ = await desk.queries.around(slot, slot)
    sweeps = await desk.queries.sweeps(slot, slot + datetime.resolution)
    lanes = grid.lanes(timetable, slot.astimezone(KST).date(), sweeps, list(names.values()))
    since = None if before or written else desk.now()
    ledger = grid.ledger((), (), sweeps, names=names, since=since, now=desk.now())
    there = {Target.of(line.market, line.sector, line.exchange) for line in written}
    return [
        SlotLine(*target, mark, 0, 0, (), None, 0)
        for target, mark in grid.lacking(lanes, slot, there, ledger).items()
    ]


async def walk_view(desk: ViewContext, slot: datetime, target: Target) -> View:
    """The facts of one walk, and its rows."""
    target_id = await desk.target_id(target)
    result = await desk.queries.walk(slot, target_id) if target_id is not None else None
    if target_id is None or result is None:
        raise NotFound
    line, bad = result
    members = await desk.queries.members(slot, target_id) if line.rows else []
    values = {
        "slot": slot,
        "target": target,
        "sector": (await desk.sectors()).get(target.sector),
        "line": line,
        "bad": bad,
        "members": members[:_SHOWN],
        "count": len(members),
        "took": _took(line.requested_at, line.received_at),
    }
    return View("walk.html", values, members_table(members))


def members_table(members: Sequence[Any]) -> DataTable:
    """A walk's rows as data."""
    columns = "position symbol name price change change_percent volume ask bid open high low"
    return table(columns, members)


def _took(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None


def slot_of(text: str) -> datetime:
    """A slot in the form of addresses; NotFound if it is malformed."""
    try:
        slot = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=KST)
    except ValueError:
        raise NotFound from None
    _within(slot)
    return slot


def day_of(text: str) -> date:
    """A day in the form of addresses; NotFound if it is malformed."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise NotFound from None
    _within(day)
    return day


def _within(day: date) -> None:
    """NotFound for years outside 2000 to 2099. At the ends of the calendar date arithmetic would overflow."""
    if not 2000 <= day.year < 2100:
        raise NotFound


def target_of(market: str, sector: str, exchange: str) -> Target:
    """A target in the form of addresses."""
    try:
        return Target.of(market, sector, exchange)
    except ValueError:
        raise NotFound from None
