"""The view of a slot: every target that was due, the worst first."""

from collections.abc import Sequence
from datetime import datetime

from collector.model import KST, Target
from collector.web import grid
from collector.web.context import ViewContext
from collector.web.queries.ledger import SlotLine
from collector.web.tables import table
from collector.web.views.base import NotFound, View


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
    wanted, names = await desk.timetable(), await desk.targets()
    before, _ = await desk.queries.around(slot, slot)
    sweeps = await desk.queries.sweeps(slot, slot + datetime.resolution)
    lanes = grid.lanes(wanted, slot.astimezone(KST).date(), sweeps, list(names.values()))
    since = None if before or written else desk.now()
    ledger = grid.ledger((), (), sweeps, names=names, since=since, now=desk.now())
    there = {Target.of(line.market, line.sector, line.exchange) for line in written}
    return [
        SlotLine(*target, mark, 0, 0, (), None, 0)
        for target, mark in grid.lacking(lanes, slot, there, ledger).items()
    ]
