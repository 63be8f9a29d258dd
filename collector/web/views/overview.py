"""The overview and the grid of a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from collector.base.days import day_bounds
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable
from collector.model import KST, Target
from collector.sweep.estimate import count_pages
from collector.web import grid
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.metrics_data import QuotaFigure
from collector.web.queries.ledger import SweepLine
from collector.web.tables import DataTable, table
from collector.web.views.base import View, day_at


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
class DayGrid:
    """A day's sections and its neighbours."""

    day: date
    sections: Sequence[grid.Section]
    sweeps: Sequence[SweepLine]
    before: date | None
    after: date | None


async def read_day(desk: ViewContext, day: date | None, now: datetime) -> DayGrid | None:
    """A day's grid. Without `day` it is today, or the newest day with data. None if there is no data at all."""
    timetable, questions = await desk.timetable(), desk.queries
    today = now.astimezone(KST).date()
    start, end = day_bounds(day or today)
    before, after = await questions.around(start, end)
    if day is None and not timetable.on(today) and before and not await questions.counts(start, end):
        return await read_day(desk, before.astimezone(KST).date(), now)
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
    return DayGrid(day or today, sections, sweeps, day_at(before), day_at(after))


async def day_view(desk: ViewContext, day: date | None) -> View:
    """The grid of one day; by default the newest one."""
    day_data = await desk.recent(("day", day), 2.0, lambda: read_day(desk, day, desk.now()))
    sections = day_data.sections if day_data else []
    return View("day.html", await _day_values(desk, day_data), _grid_table(sections))


async def _day_values(desk: ViewContext, day_data: DayGrid | None) -> dict[str, Any]:
    sections = day_data.sections if day_data else []
    note = await describe_day(desk, day_data.day) if day_data else None
    return {"day_grid": day_data, "totals": grid.totals(sections), "note": note}


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
    day_data = await desk.recent(("day", None), 2.0, lambda: read_day(desk, None, now))
    timetable = await desk.timetable()
    config, _ = desk.configured()
    slot = await desk.recent("next", 1.0, lambda: _next(timetable, now))
    values = {
        **await _day_values(desk, day_data),
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
