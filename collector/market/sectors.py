"""Holds the sector table: the codes, their markets, and the sectors without members by nature.

The shipped table (`config/sectors.csv`) is available without a key. The database has a newer one after a
refresh, so every function takes the table as an argument.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from collector.base.resources import path
from collector.errors import Unreadable
from collector.model import Exchange, Market, Sector

_MARKET_BY_DIGIT = {
    "0": Market.KOSPI,
    "1": Market.KOSDAQ,
    "2": Market.KOSPI200,
    "4": Market.KOSPI100,
    "6": Market.KOSPI,
    "7": Market.KRX100,
}


@cache
def bundled_sectors() -> Mapping[str, Sector]:
    """Return the table shipped with the program, by code, in the order of the codes within each market."""
    with path("config", "sectors.csv").open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["code"]: _sector(row) for row in csv.DictReader(file)})


def market_of(code: str) -> Market | None:
    """Return the market that serves a code, None if none does.

    Only the first digit counts. The server ignores the requested market and answers with the other market's
    listings (measured by public clients), so a wrong pair must never be sent.
    """
    return _MARKET_BY_DIGIT.get(code[:1])


def suggest_codes(name: str) -> str:
    """Return ` (did you mean …?)` with the codes of the sectors of this name in either language; "" without one."""
    wanted = name.strip().casefold()
    codes = [
        f"{sector.code} of {sector.market}"
        for sector in bundled_sectors().values()
        if wanted in (sector.name_ko.casefold(), sector.name_en.casefold())
    ]
    return f" (did you mean {' or '.join(codes)}?)" if codes else ""


def first_digits(market: Market) -> tuple[str, ...]:
    """Return the first digits of a market's codes."""
    return tuple(digit for digit, owner in _MARKET_BY_DIGIT.items() if owner is market)


def filter_served(listed: Sequence[Sector], market: Market) -> list[Sector]:
    """Keep the sectors that a market serves; Unreadable if there is none, because then it is another market's list.

    A refresh from such a list would delete the market's own sectors.
    """
    served_sectors = [sector for sector in listed if market_of(sector.code) is market]
    if not served_sectors:
        raise Unreadable(f"ka10101 lists no sector that {market} serves")
    return served_sectors


def of_market(sectors: Mapping[str, Sector], market: Market, exchange: Exchange) -> tuple[Sector, ...]:
    """Expand `sectors: all`: every sector served by the market, in the table's order.

    On NXT and CONSOLIDATED the index-only sectors are left out: indices exist on KRX alone, and each empty
    answer would cost a request.
    """
    return tuple(
        sector
        for sector in sectors.values()
        if sector.market is market_of(sector.code) is market
        and (exchange is Exchange.KRX or not sector.index_only)
    )


def _sector(row: Mapping[str, str]) -> Sector:
    return Sector(
        code=row["code"],
        market=Market(row["market"]),
        name_ko=row["name_ko"],
        name_en=row["name_en"],
        kind=row["kind"],
        members=int(row["members"]) if row["members"] else None,
        index_only=row["index_only"] == "yes",
    )
