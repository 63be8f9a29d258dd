"""The view of a sector: its members at a slot, and its course over the day."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.model import KST, Exchange, Target
from collector.web.chart import Chart, Point, chart
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.queries.market import Breadth, IndexReading
from collector.web.queries.walk import Member
from collector.web.tables import table
from collector.web.views.base import SHOWN, NotFound, View, day_at, spread
from collector.web.views.walk import members_table

WEIGHTS = ("equal", "turnover")
"""The weight of a member in the mean change."""
DAYS = ("1", "5", "20")
"""Trading days in a chart."""
DRAWN = 80
"""Walks in a chart of several days. A walk of a whole board has 1,000 rows, and each is read once."""
ORDERS = ("up", "down", "turnover", "volume", "price", "name", "code")


class SectorChoice(NamedTuple):
    """The part of a sector to show: a day, a slot of it, the order and weight of the members, days in the chart."""

    day: date | None = None
    slot: datetime | None = None
    order: str = ""
    weight: str = ""
    days: str = ""


@dataclass(frozen=True)
class SectorDay:
    """A day of a target: its complete walks, and the days with one on both sides."""

    target_id: int
    day: date
    slots: Sequence[datetime]
    before: date | None
    after: date | None
    repaired: Sequence[Breadth]
    """The breadth of the slots with reconstructed rows alone."""


async def sector_view(desk: ViewContext, target: Target, choice: SectorChoice) -> View:
    """A sector's members at a slot (by default the newest complete walk of the day), and the day's course."""
    slot = choice.slot
    sector_day = await _read_day(desk, target, slot.astimezone(KST).date() if slot else choice.day)
    slots = sector_day.slots
    if slot and slot not in slots:
        raise NotFound("no_walk")
    choice = SectorChoice(
        sector_day.day,
        slot or (slots[-1] if slots else None),
        choice.order if choice.order in ORDERS else ORDERS[0],
        choice.weight if choice.weight in WEIGHTS else WEIGHTS[0],
        choice.days if choice.days in DAYS else DAYS[0],
    )
    course = await desk.breadths.course(desk.queries, sector_day.target_id, slots)
    levels = await desk.queries.levels(target.sector, *day_bounds(sector_day.day))
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
        "choice": choice,
        "kept": _pick_changes(choice),
        "orders": ORDERS,
        "slot": choice.slot,
        "course": merge_courses(course, sector_day.repaired),
        "chart": draw_course(course, sector_day.repaired, levels, choice.weight)
        if choice.days == DAYS[0]
        else await _draw_days(desk, target, sector_day, choice),
        "level": next((level for level in reversed(levels) if level.slot <= choice.slot), None)
        if choice.slot
        else None,
        "members": [],
        "count": 0,
    }
    members: Sequence[Member] = []
    if choice.slot:
        at = slots.index(choice.slot)
        members = await desk.members(choice.slot, sector_day.target_id)
        values |= {
            "previous_slot": slots[at - 1] if at else None,
            "next_slot": slots[at + 1] if at + 1 < len(slots) else None,
            "breadth": course[at],
            "members": _sort_members(members, choice.order)[:SHOWN],
            "count": len(members),
        }
    return View("sector.html", values, members_table(_sort_members(members, choice.order)))


def _pick_changes(choice: SectorChoice) -> dict[str, str]:
    """The choices that links carry on: those that are not the usual ones."""
    pairs = (("order", ORDERS[0]), ("weight", WEIGHTS[0]), ("days", DAYS[0]))
    return {name: getattr(choice, name) for name, usual in pairs if getattr(choice, name) != usual}


async def _draw_days(
    desk: ViewContext, target: Target, sector_day: SectorDay, choice: SectorChoice
) -> Chart | None:
    """The chart of several trading days, with some slots of each."""
    calendar = desk.configured()[1]
    first = sector_day.day
    for _ in range(int(choice.days) - 1):
        first = calendar.previous_trading_day(first)
    start, end = day_bounds(first)[0], day_bounds(sector_day.day)[1]
    slots = await desk.queries.whole_slots(sector_day.target_id, start, end)
    by_day = groupby(slots, lambda slot: slot.astimezone(KST).date())
    chosen = [slot for _, group in by_day for slot in spread(list(group), DRAWN // int(choice.days))]
    course = await desk.breadths.at(desk.queries, sector_day.target_id, chosen)
    points = [Point(breadth.slot, mean_of(breadth, choice.weight)) for breadth in course]
    return chart([("mean", points)], least=0.4, digits=2, unit=" %")


async def _read_day(desk: ViewContext, target: Target, day: date | None) -> SectorDay:
    """A day of a target, by default the newest one with a complete walk. NotFound for a target without walks."""
    target_id = await desk.target_id(target)
    if target_id is None:
        raise NotFound("no_target")
    if day is None:
        newest = (await desk.queries.whole([target_id])).get(target_id)
        day = (newest or desk.now()).astimezone(KST).date()
    start, end = day_bounds(day)
    before, after = await desk.queries.whole_around(target_id, start, end)
    slots = await desk.queries.whole_slots(target_id, start, end)
    repaired = await desk.queries.repaired_breadth(target_id, start, end)
    return SectorDay(target_id, day, slots, day_at(before), day_at(after), repaired)


def merge_courses(observed: Sequence[Breadth], repaired: Sequence[Breadth]) -> list[tuple[Breadth, bool]]:
    """Observed and reconstructed breadth in time order; True for a reconstructed one."""
    merged = [(breadth, False) for breadth in observed] + [(breadth, True) for breadth in repaired]
    return sorted(merged, key=lambda pair: pair[0].slot)


def draw_course(
    observed: Sequence[Breadth], repaired: Sequence[Breadth], levels: Sequence[IndexReading], weight: str
) -> Chart | None:
    """The chart of a day: the mean change of the members, the index, reconstructed slots, and the turnover."""
    series = [("mean", [Point(breadth.slot, mean_of(breadth, weight)) for breadth in observed])]
    if levels:
        series.append(("index", [Point(level.slot, level.change_percent) for level in levels]))
    if repaired:
        series.append(
            ("reconstructed", [Point(breadth.slot, mean_of(breadth, weight)) for breadth in repaired])
        )
    bars = [
        Point(after.slot, max(0.0, after.turnover - before.turnover)) for before, after in pairwise(observed)
    ]
    return chart(series, least=0.4, digits=2, unit=" %", bars=bars, bars_name="turnover")


def mean_of(breadth: Breadth, weight: str) -> float | None:
    """The mean change, each member alike or weighted by turnover."""
    return breadth.weighted if weight == "turnover" else breadth.mean


async def course_view(desk: ViewContext, target: Target, day: date | None) -> View:
    """A sector's course as data."""
    sector_day = await _read_day(desk, target, day)
    course = await desk.breadths.course(desk.queries, sector_day.target_id, sector_day.slots)
    rows = [
        (breadth.slot, *breadth[2:], "reconstructed" if is_repaired else "observed")
        for breadth, is_repaired in merge_courses(course, sector_day.repaired)
    ]
    columns = "slot members traded up down mean_percent turnover weighted_percent origin"
    return View("", {}, table(columns, rows))


_SORT_KEYS: Mapping[str, Callable[[Member], int | str]] = {
    "turnover": lambda member: -(member.price or 0) * member.volume,
    "volume": lambda member: -member.volume,
    "price": lambda member: -(member.price or 0),
    "name": lambda member: member.name,
    "code": lambda member: member.symbol,
}


def _sort_members(members: Sequence[Member], order: str) -> list[Member]:
    if order in _SORT_KEYS:
        return sorted(members, key=lambda member: (_SORT_KEYS[order](member), member.symbol))
    sign = -1 if order == "up" else 1
    return sorted(
        members,
        key=lambda member: (member.volume == 0, sign * float(str(member.change_percent)), member.symbol),
    )
