"""The view of a slot: every target that was due, the worst first."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from collector.model import KST, Target
from collector.web import grid
from collector.web.context import ViewContext
from collector.web.queries.ledger import SlotLine
from collector.web.tables import table
from collector.web.views.base import AGAIN, NotFound, View

_WORST_FIRST = {mark: rank for rank, mark in enumerate(grid.Mark)}


async def slot_view(desk: ViewContext, slot: datetime, market: str, exchange: str, status: str) -> View:
    """All targets of a slot, or those of a market, an exchange or a status; the worst first.

    Targets without a line in the ledger are included.
    """
    written = await desk.queries.slot(slot)
    part = [
        line
        for line in [*written, *await _unwritten(desk, slot, written)]
        if market in ("", line.market) and exchange in ("", line.exchange)
    ]
    if not part:
        raise NotFound("no_slot")
    lines = [line for line in part if status in ("", line.status)]
    lines.sort(key=lambda line: (_WORST_FIRST[grid.Mark(line.status)], *line[:3]))
    before, after = await desk.queries.around(slot, slot + datetime.resolution)
    selection = {"market": market, "exchange": exchange, "status": status}
    counts = Counter(line.status for line in part)
    values = {
        "slot": slot,
        "part": {name: value for name, value in selection.items() if value},
        "status": status,
        "counts": {mark: counts[mark] for mark in grid.Mark if counts[mark]},
        "count": len(part),
        "lines": lines,
        "sectors": await desk.sectors(),
        "unwritten": grid.UNWRITTEN,
        "again": AGAIN,
        "has_witness": any(line.corroboration != "unchecked" for line in part),
        "previous_slot": before,
        "next_slot": after,
    }
    columns = "market sector exchange status pages rows remarks error attempts corroboration repaired_at"
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
