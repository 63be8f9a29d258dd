"""The view of a sector: its members at a slot, and its course over the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from collector.model import KST, Exchange, Target
from collector.web.chart import Point, chart
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.queries.walk import Member
from collector.web.tables import table
from collector.web.timetable import span
from collector.web.views.base import SHOWN, NotFound, View, day_at
from collector.web.views.walk import members_table

ORDERS = ("up", "down", "turnover", "code")


@dataclass(frozen=True)
class SectorDay:
    """A day of a target: its complete walks, and the days with one on both sides."""

    target_id: int
    day: date
    slots: Sequence[datetime]
    before: date | None
    after: date | None


async def sector_view(
    desk: ViewContext, target: Target, day: date | None, slot: datetime | None, order: str
) -> View:
    """A sector's members at a slot (by default the newest complete walk of the day), and the day's course."""
    sector_day = await _read_day(desk, target, slot.astimezone(KST).date() if slot else day)
    slots = sector_day.slots
    if slot and slot not in slots:
        raise NotFound("no_walk")
    order = order if order in ORDERS else "up"
    targets = (await desk.targets()).values()
    values: dict[str, object] = {
        "target": target,
        "sector": (await desk.sectors()).get(target.sector),
        "exchanges": [
            exchange for exchange in Exchange if Target(target.market, target.sector, exchange) in targets
        ],
        "day": sector_day.day,
        "days": sector_day,
        "note": await describe_day(desk, sector_day.day),
        "orders": ORDERS,
        "order": order,
        "slot": None,
    }
    if not slots:
        return View("sector.html", values, members_table([]))
    slot = slot or slots[-1]
    at = slots.index(slot)
    members = await desk.members(slot, sector_day.target_id)
    course = await desk.breadths.course(desk.queries, sector_day.target_id, slots)
    values |= {
        "slot": slot,
        "previous_slot": slots[at - 1] if at else None,
        "next_slot": slots[at + 1] if at + 1 < len(slots) else None,
        "breadth": course[at],
        "course": course,
        "chart": chart(
            [("mean", [Point(breadth.slot, breadth.mean) for breadth in course])], least=0.4, digits=2
        ),
        "members": _sort_members(members, order)[:SHOWN],
        "count": len(members),
    }
    return View("sector.html", values, members_table(members))


async def _read_day(desk: ViewContext, target: Target, day: date | None) -> SectorDay:
    """A day of a target, by default the newest one with a complete walk. NotFound for a target without walks."""
    target_id = await desk.target_id(target)
    if target_id is None:
        raise NotFound("no_target")
    if day is None:
        newest = (await desk.queries.whole([target_id])).get(target_id)
        day = (newest or desk.now()).astimezone(KST).date()
    start, end = span(day)
    before, after = await desk.queries.whole_around(target_id, start, end)
    slots = await desk.queries.whole_slots(target_id, start, end)
    return SectorDay(target_id, day, slots, day_at(before), day_at(after))


async def course_view(desk: ViewContext, target: Target, day: date | None) -> View:
    """A sector's course as data."""
    sector_day = await _read_day(desk, target, day)
    course = await desk.breadths.course(desk.queries, sector_day.target_id, sector_day.slots)
    rows = [(breadth.slot, *breadth[2:]) for breadth in course]
    return View("", {}, table("slot members traded up down mean_percent turnover", rows))


def _sort_members(members: Sequence[Member], order: str) -> list[Member]:
    if order == "turnover":
        return sorted(members, key=lambda member: -(member.price or 0) * member.volume)
    if order == "code":
        return sorted(members, key=lambda member: member.symbol)
    sign = -1 if order == "up" else 1
    return sorted(
        members,
        key=lambda member: (member.volume == 0, sign * float(str(member.change_percent)), member.symbol),
    )
