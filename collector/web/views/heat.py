"""The sector map: each market on each exchange, its sectors as tiles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.model import KST, Exchange, Market, Sector, Target
from collector.web.context import ViewContext
from collector.web.day_note import describe_day
from collector.web.queries.market import Breadth
from collector.web.tables import DataTable, table
from collector.web.treemap import Tile, tiles
from collector.web.views.base import NotFound, View, day_at, spread

_INDUSTRIES = ("industry", "sector-index")
SPARKS, FRESH = 12, 2
"""Points of a sparkline, and the slots that one request may read for them; later requests read more."""
_LEAST = 0.012
"""The smallest share of a tile on the map; below it a tile is unreadable and hard to hit."""


class WeighedSector(NamedTuple):
    """A sector and its breadth."""

    target: Target
    sector: Sector | None
    breadth: Breadth


@dataclass(frozen=True)
class Sparkline:
    """A small line without axes: its SVG path, the height of zero, and the class of its colour."""

    path: str
    zero: float
    direction: str


@dataclass(frozen=True)
class Map:
    """One market on one exchange: its industries as tiles, wide and tall, and the other sectors as a list.

    `slots` are those of the day with a complete walk; `position` is the slot of the map among them. `is_past`
    is False for the newest state.
    """

    market: str
    exchange: str
    slot: datetime | None
    items: Sequence[WeighedSector]
    wide: Sequence[Tile]
    tall: Sequence[Tile]
    rest: Sequence[WeighedSector]
    weight: str = "equal"
    day: date | None = None
    slots: Sequence[datetime] = ()
    position: int = 0
    is_past: bool = False
    sparklines: Mapping[Target, Sparkline] = field(default_factory=dict)

    def mean(self, weighed_sector: WeighedSector) -> float | None:
        """The mean change of a sector by the weight of the map."""
        breadth = weighed_sector.breadth
        return breadth.weighted if self.weight == "turnover" else breadth.mean


async def weigh_sectors(desk: ViewContext) -> list[WeighedSector]:
    """Every sector's newest complete walk, without sectors that have no members."""
    targets = await desk.targets()
    slots = await desk.queries.whole(targets)
    breadths = await desk.breadths.newest(desk.queries, slots)
    sectors = await desk.sectors()
    return [
        WeighedSector(targets[target_id], sectors.get(targets[target_id].sector), breadth)
        for target_id, breadth in breadths.items()
        if breadth.members
    ]


async def choices(desk: ViewContext) -> dict[tuple[str, str], list[WeighedSector]]:
    """The sectors by market and exchange, in the order of the enums."""
    weighed_sectors = await desk.recent("weighed", 2.0, lambda: weigh_sectors(desk))
    pairs = [(str(market), str(exchange)) for market in Market for exchange in Exchange]
    groups = {
        pair: [
            weighed_sector
            for weighed_sector in weighed_sectors
            if (weighed_sector.target.market, weighed_sector.target.exchange) == pair
        ]
        for pair in pairs
    }
    return {pair: group for pair, group in groups.items() if group}


def draw_map(pair: tuple[str, str], group: Iterable[WeighedSector]) -> Map:
    """A map of these sectors. If none is an industry, the map shows all of them."""
    group = sorted(group, key=lambda weighed_sector: -weighed_sector.breadth.turnover)
    items = [
        weighed_sector
        for weighed_sector in group
        if weighed_sector.sector and weighed_sector.sector.kind in _INDUSTRIES
    ] or group
    rest = [weighed_sector for weighed_sector in group if weighed_sector not in items]
    least = _LEAST * sum(weighed_sector.breadth.turnover for weighed_sector in items) or 1.0
    weights = [max(weighed_sector.breadth.turnover, least) for weighed_sector in items]
    newest = max((weighed_sector.breadth.slot for weighed_sector in items), default=None)
    return Map(*pair, newest, items, tiles(weights, 1000, 520), tiles(weights, 400, 620), rest)


@dataclass(frozen=True)
class MapChoice:
    """The map to show. Empty texts and None stand for the first market, the newest state and equal weights."""

    market: str = ""
    exchange: str = ""
    weight: str = ""
    day: date | None = None
    slot: datetime | None = None


async def heat(desk: ViewContext, choice: MapChoice) -> Map | None:
    """The requested map, or the first available one; None if nothing is stored."""
    groups = await choices(desk)
    if not groups:
        return None
    pair = (choice.market, choice.exchange)
    pair = pair if pair in groups else next(iter(groups))
    return await _complete_map(desk, draw_map(pair, groups[pair]), choice)


async def heat_view(desk: ViewContext, choice: MapChoice) -> View:
    """A page with one map: the newest state, or that of a slot."""
    groups = await choices(desk)
    pair = (choice.market, choice.exchange)
    if pair not in groups:
        raise NotFound
    newest = draw_map(pair, groups[pair])
    shown = await _complete_map(desk, newest, choice)
    if choice.day or choice.slot:
        shown = await _go_back(desk, shown, groups[pair], choice.slot)
    values = {
        "map": shown,
        "choices": list(groups),
        "note": await describe_day(desk, shown.day or desk.now().astimezone(KST).date()),
    }
    return View("heat.html", values, _heat_table([*shown.items, *shown.rest]))


async def _complete_map(desk: ViewContext, newest: Map, choice: MapChoice) -> Map:
    """The map with its weight, and with the slots of the day and the lines of its sectors."""
    slot = choice.slot or newest.slot
    day = choice.slot.astimezone(KST).date() if choice.slot else choice.day or day_at(slot)
    if day is None:
        return newest
    walks = await count_walks(desk, (newest.market, newest.exchange), day)
    return replace(
        newest,
        weight="turnover" if choice.weight == "turnover" else "equal",
        day=day,
        slots=list(walks),
        position=max(0, len(walks) - 1),
        sparklines=await draw_sparklines(desk, [*newest.items, *newest.rest], walks),
    )


async def count_walks(desk: ViewContext, pair: tuple[str, str], day: date) -> dict[datetime, int]:
    """The complete walks of a market and exchange on a day, by slot in time order."""
    start, end = day_bounds(day)
    counts = await desk.recent(("counts", day), 2.0, lambda: desk.queries.counts(start, end))
    walks = {
        count.slot: count.targets
        for count in counts
        if (count.market, count.exchange, count.status) == (*pair, "complete")
    }
    return dict(sorted(walks.items()))


async def _go_back(
    desk: ViewContext, shown: Map, group: Sequence[WeighedSector], slot: datetime | None
) -> Map:
    """The map as it was at a slot of the day, by default the last one. NotFound for a slot without a walk."""
    if not shown.slots and not slot:
        return replace(shown, items=(), wide=(), tall=(), rest=(), slot=None, is_past=True)
    slot = slot or shown.slots[-1]
    if slot not in shown.slots:
        raise NotFound("no_slot")
    ids = {target: target_id for target_id, target in (await desk.targets()).items()}
    sectors = {ids[weighed_sector.target]: weighed_sector for weighed_sector in group}
    start, _ = day_bounds(slot.astimezone(KST).date())
    slots = await desk.queries.whole_at(sectors, start, slot)
    breadths = await desk.breadths.newest(desk.queries, slots)
    past = [
        sectors[target_id]._replace(breadth=breadth)
        for target_id, breadth in breadths.items()
        if breadth.members
    ]
    drawn = draw_map((shown.market, shown.exchange), past)
    return replace(
        shown,
        slot=slot,
        items=drawn.items,
        wide=drawn.wide,
        tall=drawn.tall,
        rest=drawn.rest,
        position=shown.slots.index(slot),
        is_past=True,
    )


async def draw_sparklines(
    desk: ViewContext, group: Iterable[WeighedSector], walks: Mapping[datetime, int]
) -> dict[Target, Sparkline]:
    """The course of each sector over a day in a few points, from slots with at least half of the sectors."""
    ids = {target: target_id for target_id, target in (await desk.targets()).items()}
    targets = [weighed_sector.target for weighed_sector in group]
    most = max(walks.values(), default=0)
    slots = spread([slot for slot, count in walks.items() if 2 * count >= most], SPARKS)
    courses = await desk.breadths.sample(desk.queries, [ids[target] for target in targets], slots, FRESH)
    lines = {target: draw_sparkline(courses[ids[target]]) for target in targets}
    return {target: line for target, line in lines.items() if line}


def draw_sparkline(course: Sequence[Breadth]) -> Sparkline | None:
    """A line of the mean changes, on a scale with zero in it; None for less than two values."""
    values = [breadth.mean for breadth in course if breadth.mean is not None]
    if len(values) < 2:
        return None
    low, high = min(0.0, *values), max(0.0, *values)
    room = (high - low) or 1.0
    heights = [round(22 - 20 * (value - low) / room, 1) for value in values]
    step = 80 / (len(values) - 1)
    path = "M" + " L".join(
        f"{round(2 + index * step, 1):g} {height:g}" for index, height in enumerate(heights)
    )
    return Sparkline(path, round(22 - 20 * (0 - low) / room, 1), _direction(values[-1]))


def _direction(value: float) -> str:
    return "u" if value > 0 else "d" if value < 0 else "n"


def _heat_table(items: Iterable[WeighedSector]) -> DataTable:
    rows = [
        (
            *weighed_sector.target,
            *_names(weighed_sector.sector),
            weighed_sector.breadth.slot,
            *weighed_sector.breadth[2:],
        )
        for weighed_sector in items
    ]
    columns = "market sector exchange name_ko name_en slot members traded up down mean_percent turnover"
    return table(f"{columns} weighted_percent", rows)


def _names(sector: Sector | None) -> tuple[str, str]:
    return (sector.name_ko, sector.name_en) if sector else ("", "")
