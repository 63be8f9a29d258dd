"""The view of a walk."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from collector.model import KST, Target
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.tables import DataTable, table
from collector.web.views.base import AGAIN, SHOWN, NotFound, View

_RECONSTRUCTED = "symbol name price change change_percent volume open high low source reconstructed_at"


async def walk_view(desk: ViewContext, slot: datetime, target: Target) -> View:
    """The facts of one walk, and its rows."""
    target_id = await desk.target_id(target)
    record = await desk.queries.walk(slot, target_id) if target_id is not None else None
    if target_id is None or record is None:
        raise NotFound("no_walk")
    line = record.line
    members = await desk.queries.members(slot, target_id) if line.rows else []
    before, after = await desk.queries.neighbours(target_id, slot, slot + datetime.resolution)
    values = {
        "slot": slot,
        "previous_slot": before,
        "next_slot": after,
        "note": await describe_day(desk, slot.astimezone(KST).date()),
        "again": AGAIN,
        "target": target,
        "sector": (await desk.sectors()).get(target.sector),
        "line": line,
        "record": record,
        "reconstructed": record.reconstructed[:SHOWN],
        "members": members[:SHOWN],
        "count": len(members),
        "took": _took(line.requested_at, line.received_at),
    }
    if record.reconstructed and not members:
        return View("walk.html", values, table(_RECONSTRUCTED, record.reconstructed))
    return View("walk.html", values, members_table(members))


def members_table(members: Sequence[Any]) -> DataTable:
    """A walk's rows as data."""
    columns = "position symbol name price change change_percent volume ask bid open high low sign"
    return table(columns, members)


def _took(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
