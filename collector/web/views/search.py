"""The search and the list of sectors."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collector.model import Exchange, Market, Sector, Target
from collector.web.context import ViewContext
from collector.web.search import LONGEST, Matches, SearchEntry, make_entry, search
from collector.web.tables import table
from collector.web.views.base import View, day_at
from collector.web.views.heat import Sparkline, choices, count_walks, draw_sparklines

SHOWN = 50
"""Results of each kind on the page; a longer query selects."""


class SectorMatch(NamedTuple):
    """A sector and its collected targets, in the order of the exchanges."""

    sector: Sector
    targets: Sequence[Target]


class ListingMatch(NamedTuple):
    """A listing by its newest name. `former` are its earlier names."""

    symbol: str
    name: str
    former: Sequence[str]


@dataclass(frozen=True)
class SearchIndex:
    """Everything that can be found."""

    sectors: Sequence[SearchEntry[SectorMatch]]
    listings: Sequence[SearchEntry[ListingMatch]]


async def search_view(desk: ViewContext, query: str) -> View:
    """Sectors and listings that match a query."""
    query = " ".join(query.split())
    is_long = len(query) > LONGEST
    index = await desk.recent("search", 30.0, lambda: build_index(desk))
    sectors: Matches[SectorMatch] = search(index.sectors, "" if is_long else query, SHOWN)
    listings: Matches[ListingMatch] = search(index.listings, "" if is_long else query, SHOWN)
    values = {
        "query": query[:LONGEST],
        "is_long": is_long,
        "longest": LONGEST,
        "sectors": sectors,
        "listings": listings,
    }
    rows = [
        ("sector", str(match.sector.market), match.sector.code, match.sector.name_ko)
        for match in sectors.best
    ]
    rows += [("listing", "", match.symbol, match.name) for match in listings.best]
    return View("search.html", values, table("kind market code name", rows))


async def build_index(desk: ViewContext) -> SearchIndex:
    """Read the names. The work on 10,000 of them takes some 20 ms, so a thread does it."""
    sectors, listed = await match_sectors(desk), await desk.queries.read_names()
    return await asyncio.to_thread(_build, sectors, listed)


def _build(sectors: Sequence[SectorMatch], listed: Sequence[tuple[str, Sequence[str]]]) -> SearchIndex:
    listings = [ListingMatch(symbol, names[0], names[1:]) for symbol, names in listed]
    return SearchIndex(
        [
            make_entry(
                match,
                match.sector.code,
                match.sector.name_ko,
                match.sector.name_en,
                *_addresses(match.sector),
            )
            for match in sectors
        ],
        [make_entry(match, match.symbol, match.name, *match.former) for match in listings],
    )


def _addresses(sector: Sector) -> list[str]:
    """A sector as the configuration and the ledger spell it."""
    return [f"{sector.market}/{sector.code}/{exchange}" for exchange in Exchange]


async def match_sectors(desk: ViewContext) -> list[SectorMatch]:
    """Every known sector with its targets, by market and code."""
    targets = sorted(
        (await desk.targets()).values(), key=lambda target: list(Exchange).index(target.exchange)
    )
    markets = list(Market)
    sectors = sorted(
        (await desk.sectors()).values(), key=lambda sector: (markets.index(sector.market), sector.code)
    )
    return [
        SectorMatch(
            sector,
            [target for target in targets if (target.market, target.sector) == (sector.market, sector.code)],
        )
        for sector in sectors
    ]


async def sectors_view(desk: ViewContext, market: str) -> View:
    """The list of sectors of one market, or of all."""
    sectors = [match for match in await match_sectors(desk) if market in ("", match.sector.market)]
    groups = await choices(desk)
    weighed = {weighed_sector.target: weighed_sector for group in groups.values() for weighed_sector in group}
    shown = {match.targets[0] for match in sectors if match.targets}
    lines: dict[Target, Sparkline] = {}
    for pair, group in groups.items():
        listed = [weighed_sector for weighed_sector in group if weighed_sector.target in shown]
        if day := day_at(max((weighed_sector.breadth.slot for weighed_sector in listed), default=None)):
            lines |= await draw_sparklines(desk, listed, await count_walks(desk, pair, day))
    values = {
        "sectors": sectors,
        "markets": list(Market),
        "market": market,
        "weighed": weighed,
        "sparklines": lines,
    }
    rows = [
        (
            match.sector.market,
            match.sector.code,
            match.sector.name_ko,
            match.sector.name_en,
            list(match.targets),
        )
        for match in sectors
    ]
    return View("sectors.html", values, table("market code name_ko name_en targets", rows))
