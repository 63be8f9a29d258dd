"""The view of a sector: its members at a slot, and its course over the day."""

from collections.abc import Sequence
from datetime import date, datetime

from collector.model import KST, Target
from collector.web.chart import Point, chart
from collector.web.context import ViewContext
from collector.web.queries.walk import Member
from collector.web.tables import table
from collector.web.timetable import span
from collector.web.views.base import SHOWN, NotFound, View
from collector.web.views.walk import members_table

ORDERS = ("up", "down", "turnover", "code")


async def sector_view(desk: ViewContext, target: Target, day: date | None, order: str) -> View:
    """A sector's members in its newest complete walk (of the day), and the course of the day."""
    target_id = await desk.target_id(target)
    slots = await _slots(desk, target_id, day)
    if target_id is None or not slots:
        raise NotFound
    members = await desk.members(slots[-1], target_id)
    course = await desk.breadths.course(desk.queries, target_id, slots)
    order = order if order in ORDERS else "up"
    values = {
        "target": target,
        "sector": (await desk.sectors()).get(target.sector),
        "slot": slots[-1],
        "day": slots[-1].astimezone(KST).date(),
        "breadth": course[-1],
        "course": course,
        "chart": chart(
            [("mean", [Point(breadth.slot, breadth.mean) for breadth in course])], least=0.4, digits=2
        ),
        "members": _sort_members(members, order)[:SHOWN],
        "count": len(members),
        "orders": ORDERS,
        "order": order,
    }
    return View("sector.html", values, members_table(members))


async def course_view(desk: ViewContext, target: Target, day: date | None) -> View:
    """A sector's course as data."""
    target_id = await desk.target_id(target)
    slots = await _slots(desk, target_id, day)
    if target_id is None or not slots:
        raise NotFound
    course = await desk.breadths.course(desk.queries, target_id, slots)
    rows = [(breadth.slot, *breadth[2:]) for breadth in course]
    return View("", {}, table("slot members traded up down mean_percent turnover", rows))


async def _slots(desk: ViewContext, target_id: int | None, day: date | None) -> list[datetime]:
    """The slots of a target's complete walks on a day; by default on the newest day with one."""
    if target_id is None:
        return []
    if day is None:
        newest = (await desk.queries.whole([target_id])).get(target_id)
        if newest is None:
            return []
        day = newest.astimezone(KST).date()
    start, end = span(day)
    return await desk.queries.whole_slots(target_id, start, end)


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
