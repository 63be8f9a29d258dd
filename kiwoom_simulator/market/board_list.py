"""The listings of a board as ka10099 shows them, in the shape of Kiwoom's own capture of 2026-07-01."""

from collections.abc import Mapping
from datetime import date

from collector.model import Exchange, Market, Sector
from kiwoom_simulator.market.listings import Listing, ListingKind
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.sessions import Moments

_SIZES = {Market.KOSPI: ("002", "003", "004"), Market.KOSDAQ: ("138", "139", "140")}
_DEPARTMENTS = ("142", "143", "144", "145")
_CODES = {ListingKind.ETF: "8", ListingKind.ETN: "60", ListingKind.REIT: "6", ListingKind.FUND: "2"}
_NAMES = {"8": "ETF", "60": "ETN", "6": "리츠", "2": "인프라", "0": "거래소", "10": "코스닥"}
_WHOLE = {Market.KOSPI: "001", Market.KOSDAQ: "101"}


def board_rows(
    market: SimulatedMarket, sectors: Mapping[str, Sector], board: Market, moments: Moments
) -> list[dict[str, str]]:
    """Each listing of a board in one row, in the order of the codes."""
    sizes, departments = (
        _sector_names(market, sectors, _SIZES[board]),
        _sector_names(market, sectors, _DEPARTMENTS),
    )
    return [
        _row(listing, sectors, sizes, departments, market.quote(listing, moments).base)
        for listing in market.members(_WHOLE[board], Exchange.KRX)
    ]


def _sector_names(
    market: SimulatedMarket, sectors: Mapping[str, Sector], codes: tuple[str, ...]
) -> dict[str, str]:
    """The name of the sector that each symbol stands in, of sectors that do not overlap."""
    return {
        listing.symbol: sectors[code].name_ko
        for code in codes
        for listing in market.members(code, Exchange.KRX)
    }


def _row(
    listing: Listing,
    sectors: Mapping[str, Sector],
    sizes: Mapping[str, str],
    departments: Mapping[str, str],
    base: int,
) -> dict[str, str]:
    code = _CODES.get(listing.kind, "0" if listing.market is Market.KOSPI else "10")
    sector = sectors.get(listing.industry)
    suspended = listing.dormant_since is not None
    return {
        "code": listing.symbol,
        "name": listing.name,
        "listCount": f"{listing.shares:016}",
        "auditInfo": "거래정지" if suspended else "정상",
        "regDay": f"{date.fromordinal(listing.listed):%Y%m%d}",
        "lastPrice": f"{base:08}",
        "state": "증거금100%|거래정지" if suspended else "증거금40%|신용가능",
        "marketCode": code,
        "marketName": _NAMES[code],
        "upName": sector.name_ko if sector else "",
        "upSizeName": sizes.get(listing.symbol, ""),
        "companyClassName": departments.get(listing.symbol, ""),
        "orderWarning": "0",
        "nxtEnable": "Y" if listing.is_on_nxt else "N",
        "kind": "A",
    }
