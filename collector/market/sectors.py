"""The table of sectors: which exist, to which market each belongs, and which have no members by nature.

The shipped table (`config/sectors.csv`) is what is known without a key; the database holds a newer one once
it was refreshed, so every question here takes the table that is meant.
"""

import csv
from collections.abc import Mapping, Sequence

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


def bundled_sectors() -> Mapping[str, Sector]:
    """The table that travels with the program, by code, in the order of the codes within each market."""
    with path("config", "sectors.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: _sector(row) for row in csv.DictReader(file)}


def market_of(code: str) -> Market | None:
    """The market that serves a code, None if none does.

    The first digit alone decides: the server ignores the market that is asked for and answers with the
    other market's listings (public clients measured), so a wrong pair must never be sent.
    """
    return _MARKET_BY_DIGIT.get(code[:1])


def first_digits(market: Market) -> tuple[str, ...]:
    """The digits with which the codes of a market begin."""
    return tuple(digit for digit, owner in _MARKET_BY_DIGIT.items() if owner is market)


def filter_served(listed: Sequence[Sector], market: Market) -> list[Sector]:
    """Those of a market's list whose codes it serves; Unreadable if none is, for then it is another's list.

    Who refreshes a table from that would take the market's own for gone.
    """
    served_sectors = [sector for sector in listed if market_of(sector.code) is market]
    if not served_sectors:
        raise Unreadable(f"ka10101 lists no sector that {market} serves")
    return served_sectors


def of_market(sectors: Mapping[str, Sector], market: Market, exchange: Exchange) -> tuple[Sector, ...]:
    """What `sectors: all` stands for: every sector that the market serves, in the table's order.

    On NXT and CONSOLIDATED the index-only ones are left out: indices exist on KRX alone, and an empty answer
    would cost a request each time.
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
