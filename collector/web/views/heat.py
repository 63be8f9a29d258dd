"""The sector map: each market on each exchange, its sectors as tiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from collector.model import Exchange, Market, Sector, Target
from collector.web.context import ViewContext
from collector.web.queries.market import Breadth
from collector.web.tables import DataTable, table
from collector.web.treemap import Tile, tiles
from collector.web.views.base import NotFound, View

_INDUSTRIES = ("industry", "sector-index")
_LEAST = 0.012
"""The smallest share of a tile on the map; below it a tile is unreadable and hard to hit."""


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
