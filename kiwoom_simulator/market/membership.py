"""Membership of listings in sectors: many-to-many, with the sizes reported by public clients."""

from collections.abc import Iterable, Mapping, Sequence

from collector.model import Market
from kiwoom_simulator.market.listings import KOSDAQ_INDUSTRIES, KOSPI_INDUSTRIES, Listing, ListingKind
from kiwoom_simulator.market.noise import unit

_QUALITY = (("142", 480), ("143", 420), ("144", 520), ("145", 220))

_K200_SECTORS: dict[str, str] = {
    "211": "018", "212": "012 015", "213": "010 011", "214": "008 017", "215": "013 020 029",
    "216": "021 024 025", "217": "005 016", "218": "006 007 026 030", "219": "014 019 028", "220": "009",
}  # fmt: skip
"""The sectors of KOSPI 200 by their industries. Each member belongs to exactly one sector."""

_KRX_SECTORS: dict[str, tuple[str, int]] = {
    "702": ("015 126", 20), "703": ("013 123 124", 50), "704": ("009 120", 70), "705": ("021", 15),
    "706": ("006 016 108", 40), "707": ("008 119", 40), "708": ("011 122", 20), "709": ("005 115", 25),
    "710": ("020 128 141", 25), "711": ("018 107", 20), "713": ("024", 15), "714": ("012 015 123", 45),
    "715": ("025", 10), "716": ("019 110", 12), "717": ("017", 8), "718": ("030 141", 30),
    "719": ("013 124 129", 60),
}  # fmt: skip
"""The KRX sector indices: their industries on both markets, and the number of the largest listings in them.
"""

_MEMBERSHIP = 40

Ranked = Sequence[Listing]


def members(listings: Iterable[Listing]) -> Mapping[str, tuple[Listing, ...]]:
    """The listings of each sector, in the order of their symbols. Sectors without members are absent."""
    by_rank = sorted(listings, key=lambda listing: listing.rank)
    kospi = [listing for listing in by_rank if listing.market is Market.KOSPI]
    kosdaq = [listing for listing in by_rank if listing.market is Market.KOSDAQ]
    sectors = {**_kospi(kospi), **_kospi200(kospi), **_kosdaq(kosdaq), **_krx(kospi, kosdaq)}
    return {code: tuple(sorted(result, key=_by_symbol)) for code, result in sectors.items() if result}


def _by_symbol(listing: Listing) -> str:
    return listing.symbol


def _commons(board: Ranked) -> Ranked:
    return [listing for listing in board if listing.kind is ListingKind.COMMON]


def _of(board: Ranked, industries: Iterable[str]) -> Ranked:
    wanted = frozenset(industries)
    return [listing for listing in board if listing.industry in wanted]


def _kospi(board: Ranked) -> dict[str, Ranked]:
    commons = _commons(board)
    industries = {code: _of(board, (code,)) for code in KOSPI_INDUSTRIES}
    manufacturing = _of(board, (code for code in KOSPI_INDUSTRIES if "005" <= code <= "015"))
    sizes = {"002": commons[:100], "003": commons[100:300], "004": commons[300:]}
    indices = {"401": commons[:100], "402": commons[:50]}
    return {"001": board, "027": manufacturing, **sizes, **indices, **industries}


def _kospi200(board: Ranked) -> dict[str, Ranked]:
    largest = _commons(board)[:200]
    sectors = {code: _of(largest, industries.split()) for code, industries in _K200_SECTORS.items()}
    return {"201": largest, "255": largest[100:], **sectors}


def _kosdaq(board: Ranked) -> dict[str, Ranked]:
    commons = _commons(board)
    industries = {code: _of(board, (code,)) for code in KOSDAQ_INDUSTRIES}
    manufacturing = _of(board, (code for code in KOSDAQ_INDUSTRIES if "115" <= code <= "127"))
    sizes = {"138": commons[:100], "139": commons[100:399], "140": commons[399:]}
    indices = {"150": commons[:150], "151": commons[:50]}
    return {"101": board, "106": manufacturing, **sizes, **indices, **_quality(commons), **industries}


def _quality(commons: Ranked) -> dict[str, Ranked]:
    """The four departments of KOSDAQ, without overlap. Some listings belong to none."""
    drawn = sorted(commons, key=lambda listing: unit(listing.key, _MEMBERSHIP))
    cut = 0
    departments: dict[str, Ranked] = {}
    for code, size in _QUALITY:
        departments[code] = drawn[cut : cut + size]
        cut += size
    return departments


def _krx(kospi: Ranked, kosdaq: Ranked) -> dict[str, Ranked]:
    """Indices over both markets. A KOSDAQ listing counts as smaller than a KOSPI listing of the same rank."""
    both = sorted((*_commons(kospi), *_commons(kosdaq)), key=_size)
    sectors = {
        code: _of(both, industries.split())[:count] for code, (industries, count) in _KRX_SECTORS.items()
    }
    return {"701": both[:100], "730": both[:30], "750": both[:150], "771": both[:300], **sectors}


def _size(listing: Listing) -> int:
    return listing.rank if listing.market is Market.KOSPI else 3 * listing.rank
