"""Views of the market: the sector map, a sector with its members, a listing on all exchanges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.model import KST, Exchange, Market, Sector, Target
from collector.web.chart import Point, chart
from collector.web.context import ViewContext
from collector.web.queries import Breadth, ListingQuote, Member
from collector.web.tables import DataTable, table
from collector.web.treemap import Tile, tiles
from collector.web.views import NotFound, View, members_table

_INDUSTRIES = ("industry", "sector-index")
_LEAST = 0.012
"""The smallest share of a tile on the map; below it a tile is unreadable and hard to hit."""
_SHOWN = 200
_ORDERS = ("up", "down", "turnover", "code")


class WeighedSector(NamedTuple):
    """A sector and its breadth."""

    target: Target
    sector: Sector | None
    breadth: Breadth


@dataclass(frozen=True)
class Map:
    """One market on one exchange: its industries as tiles, wide and tall, and the other sectors as a list."""

    market: str
    exchange: str
    slot: datetime | None
    items: Sequence[WeighedSector]
    wide: Sequence[Tile]
    tall: Sequence[Tile]
    rest: Sequence[WeighedSector]


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


async def heat(desk: ViewContext, market: str, exchange: str) -> Map | None:
    """The requested map, or the first available one; None if nothing is stored."""
    groups = await choices(desk)
    if not groups:
        return None
    pair = (market, exchange) if (market, exchange) in groups else next(iter(groups))
    return draw_map(pair, groups[pair])


async def heat_view(desk: ViewContext, market: str, exchange: str) -> View:
    """A page with one map."""
    groups = await choices(desk)
    if (market, exchange) not in groups:
        raise NotFound
    shown = draw_map((market, exchange), groups[market, exchange])
    return View(
        "heat.html", {"map": shown, "choices": list(groups)}, _heat_table([*shown.items, *shown.rest])
    )


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
    return table(columns, rows)


def _names(sector: Sector | None) -> tuple[str, str]:
    return (sector.name_ko, sector.name_en) if sector else ("", "")


async def sector_view(desk: ViewContext, target: Target, day: date | None, order: str) -> View:
    """A sector's members in its newest complete walk (of the day), and the course of the day."""
    target_id = await desk.target_id(target)
    slots = await _slots(desk, target_id, day)
    if target_id is None or not slots:
        raise NotFound
    members = await desk.members(slots[-1], target_id)
    course = await desk.breadths.course(desk.queries, target_id, slots)
    order = order if order in _ORDERS else "up"
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
        "members": _sort_members(members, order)[:_SHOWN],
        "count": len(members),
        "orders": _ORDERS,
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
    start, end = day_bounds(day)
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


async def listing_view(desk: ViewContext, symbol: str, day: date | None) -> View:
    """A listing's day on each exchange, side by side."""
    names, seen = await desk.queries.names(symbol)
    if not names or seen is None:
        raise NotFound
    day = day or seen.astimezone(KST).date()
    start, end = day_bounds(day)
    ids = [name.id for name in names]
    quotes = await desk.queries.course(symbol, day)
    by_exchange = _by_exchange(quotes)
    values = {
        "symbol": symbol,
        "names": names,
        "day": day,
        "exchanges": list(by_exchange),
        "newest": {exchange: course[-1] for exchange, course in by_exchange.items()},
        "chart": chart(
            [(name, _prices(course)) for name, course in by_exchange.items()],
            least=max((quote.price or 0 for quote in quotes), default=0) / 100 + 1,
        ),
        "beside": _beside(by_exchange),
        "sectors": await desk.sectors(),
        "stands_in": await desk.queries.stands_in(ids, start, end),
    }
    columns = "slot exchange price change change_percent volume bid ask"
    return View("listing.html", values, table(columns, quotes))


def _by_exchange(quotes: Iterable[ListingQuote]) -> dict[str, list[ListingQuote]]:
    quotes_by_exchange: dict[str, list[ListingQuote]] = {str(exchange): [] for exchange in Exchange}
    for quote in quotes:
        quotes_by_exchange[quote.exchange].append(quote)
    return {exchange: course for exchange, course in quotes_by_exchange.items() if course}


def _prices(course: Iterable[ListingQuote]) -> list[Point]:
    return [Point(quote.slot, quote.price) for quote in course]


def _beside(
    by_exchange: Mapping[str, Sequence[ListingQuote]],
) -> list[tuple[datetime, list[ListingQuote | None]]]:
    """One line per slot with one quote per exchange, the newest first."""
    quotes_by_slot = {
        exchange: {quote.slot: quote for quote in course} for exchange, course in by_exchange.items()
    }
    slots = sorted({slot for course in quotes_by_slot.values() for slot in course}, reverse=True)
    return [(slot, [course.get(slot) for course in quotes_by_slot.values()]) for slot in slots]
