"""The simulated listings: 2,477 on KOSPI and 1,821 on KOSDAQ; the same seed gives the same listings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from collector.model import Market
from kiwoom_simulator.market import invented
from kiwoom_simulator.market.known import KnownListing, known_listings
from kiwoom_simulator.market.noise import mix, roll, unit


class ListingKind(StrEnum):
    COMMON = "common"
    PREFERRED = "preferred"
    REIT = "reit"
    FUND = "fund"
    SPAC = "spac"
    ETF = "etf"
    ETN = "etn"


class Split(NamedTuple):
    """From `day` (an ordinal) on, `old` shares become `new` shares."""

    day: int
    new: int
    old: int


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The constant facts of one listing.

    `rank` orders a market by size; 0 is the largest. `price` is the centre of the price, in today's shares.
    Days are ordinals. `dormant_since` is the first day of a suspension without an end.
    """

    key: int
    symbol: str
    name: str
    market: Market
    kind: ListingKind
    industry: str
    rank: int
    price: int
    shares: int
    swing: float
    is_thin: bool
    is_on_nxt: bool
    listed: int
    dormant_since: int | None
    split: Split | None
    is_fund: bool
    """True if the ticks of funds (ETF, ETN) apply."""


KOSPI_INDUSTRIES: dict[str, tuple[str, int]] = {
    "005": ("food", 40),
    "006": ("textile", 28),
    "007": ("paper", 21),
    "008": ("chemical", 123),
    "009": ("drug", 50),
    "010": ("mineral", 22),
    "011": ("metal", 54),
    "012": ("machine", 55),
    "013": ("electric", 81),
    "014": ("medical", 8),
    "015": ("vehicle", 75),
    "016": ("trade", 62),
    "017": ("energy", 10),
    "018": ("construction", 33),
    "019": ("transport", 28),
    "020": ("telecom", 5),
    "021": ("finance", 40),
    "024": ("securities", 20),
    "025": ("insurance", 11),
    "026": ("service", 30),
    "028": ("property", 6),
    "029": ("software", 24),
    "030": ("leisure", 12),
}
"""Line of business and number of common stocks by industry; 005 to 015 are manufacturing (027, 557 of them).
"""

KOSDAQ_INDUSTRIES: dict[str, tuple[str, int]] = {
    "103": ("service", 170),
    "107": ("construction", 22),
    "108": ("trade", 130),
    "110": ("transport", 8),
    "111": ("finance", 30),
    "115": ("food", 45),
    "116": ("textile", 18),
    "117": ("paper", 12),
    "118": ("publishing", 10),
    "119": ("chemical", 130),
    "120": ("drug", 170),
    "121": ("mineral", 20),
    "122": ("metal", 75),
    "123": ("machine", 210),
    "124": ("electric", 260),
    "125": ("medical", 95),
    "126": ("vehicle", 55),
    "127": ("other", 16),
    "128": ("telecom", 12),
    "129": ("software", 190),
    "141": ("leisure", 66),
}
"""As above; 115 to 127 are manufacturing (106, 1,116 of them). The 75 SPACs are added to 111."""

_PREFERRED, _REITS, _FUNDS, _ETFS, _ETNS, _SPACS = 117, 24, 3, 1_090, 405, 75
_ON_NXT = {Market.KOSPI: 350, Market.KOSDAQ: 256}
_SPLITS = 24

_NAME, _CODE, _PRICE, _SHARES, _SWING, _THIN, _LISTED, _DORMANT, _SPLIT = range(9)


class _Draft(NamedTuple):
    symbol: str
    name: str
    kind: ListingKind
    industry: str
    price: int | None


@cache
def universe(seed: int = 1) -> tuple[Listing, ...]:
    """Every listing of both markets, in the order of their symbols."""
    taken: set[str] = set()
    boards = ((Market.KOSPI, _kospi), (Market.KOSDAQ, _kosdaq))
    listings = [
        _listing(seed, market, rank, draft)
        for market, drafts in boards
        for rank, draft in enumerate(drafts(mix(seed), taken))
    ]
    return tuple(sorted(listings, key=lambda listing: listing.symbol))


def _kospi(seed: int, taken: set[str]) -> Sequence[_Draft]:
    _claim(taken, *map(known_listings, ("kospi", "preferred", "reits", "funds", "etfs", "kosdaq")))
    commons = list(_commons(seed, known_listings("kospi"), KOSPI_INDUSTRIES, taken))
    return (
        *commons,
        *_draft_preferred(known_listings("preferred"), commons, _PREFERRED, taken),
        *_fill_kind(
            seed,
            ListingKind.REIT,
            known_listings("reits"),
            invented.company("reit"),
            size=_REITS,
            taken=taken,
        ),
        *_fill_kind(
            seed,
            ListingKind.FUND,
            known_listings("funds"),
            invented.company("fund"),
            size=_FUNDS,
            taken=taken,
        ),
        *_fill_kind(seed, ListingKind.ETF, known_listings("etfs"), invented.etf(), size=_ETFS, taken=taken),
        *_fill_kind(seed, ListingKind.ETN, (), invented.etn(), size=_ETNS, taken=taken),
    )


def _kosdaq(seed: int, taken: set[str]) -> Sequence[_Draft]:
    commons = list(_commons(seed + 1, known_listings("kosdaq"), KOSDAQ_INDUSTRIES, taken))
    return (
        *commons,
        *_draft_preferred((), commons[100:], 2, taken),
        *_fill_kind(
            seed + 1, ListingKind.SPAC, (), invented.spac(), size=_SPACS, taken=taken, industry="111"
        ),
    )


def _claim(taken: set[str], *tables: Sequence[KnownListing]) -> None:
    """Reserve names and symbols in one set, so a name never equals a symbol."""
    for table in tables:
        taken.update(line.symbol for line in table)
        taken.update(line.name for line in table)


def _commons(
    seed: int,
    best_known: Sequence[KnownListing],
    industries: dict[str, tuple[str, int]],
    taken: set[str],
) -> Iterator[_Draft]:
    """The known common stocks, then invented ones up to the size of each industry. The industries are well
    mixed.
    """
    yield from (_draft(line, ListingKind.COMMON) for line in best_known)
    names = {industry: invented.company(trade) for industry, (trade, _) in industries.items()}
    missing = [
        industry
        for industry, (_, size) in industries.items()
        for _ in range(size - sum(line.industry == industry for line in best_known))
    ]
    shuffled = sorted(enumerate(missing), key=lambda numbered: roll(seed, _NAME, numbered[0]))
    for _, industry in shuffled:
        symbol, name = _new_symbol(seed, ListingKind.COMMON, taken), _new_name(names[industry], taken)
        yield _Draft(symbol, name, ListingKind.COMMON, industry, None)


def _draft_preferred(
    best_known: Sequence[KnownListing], commons: Sequence[_Draft], size: int, taken: set[str]
) -> Iterator[_Draft]:
    yield from (_draft(line, ListingKind.PREFERRED) for line in best_known)
    count = len(best_known)
    for common in commons:
        symbol = f"{common.symbol[:5]}{'K' if roll(0, _CODE, int(common.symbol[:4], 36)) % 5 == 0 else '5'}"
        if count == size or common.symbol[5] != "0" or symbol in taken:
            continue
        taken.add(symbol)
        count += 1
        name = _new_name(invented.preferred_names(common.name), taken)
        yield _Draft(symbol, name, ListingKind.PREFERRED, "", common.price and common.price * 6 // 10)


def _fill_kind(
    seed: int,
    kind: ListingKind,
    best_known: Sequence[KnownListing],
    names: Iterator[str],
    *,
    size: int,
    taken: set[str],
    industry: str = "",
) -> Iterator[_Draft]:
    """The known listings of a kind, then invented ones up to its size."""
    yield from (_draft(line, kind) for line in best_known)
    for _ in range(size - len(best_known)):
        yield _Draft(_new_symbol(seed, kind, taken), _new_name(names, taken), kind, industry, None)


def _draft(line: KnownListing, kind: ListingKind) -> _Draft:
    return _Draft(line.symbol, line.name, kind, line.industry.strip("-"), line.price)


def _new_symbol(seed: int, kind: ListingKind, taken: set[str]) -> str:
    """A free code in the exchange's form for this kind. Since 2024 some codes contain a letter."""
    for attempt in range(1_000_000):
        chance = roll(mix(seed ^ len(taken)), _CODE, attempt)
        code = chance >> 16
        if kind is ListingKind.ETN:
            symbol = f"{500_000 + code % 90_000:06}"
        elif kind in (ListingKind.ETF, ListingKind.COMMON) and chance % 100 < (
            15 if kind is ListingKind.ETF else 2
        ):
            symbol = f"0{code % 300:03}{'ABCDEFGHJKLMNPRSTVWXYZ'[code // 300 % 22]}0"
        else:
            symbol = f"{100 + code % 48_000:05}0"
        if symbol not in taken:
            taken.add(symbol)
            return symbol
    raise AssertionError("the codes are used up")


def _new_name(names: Iterator[str], taken: set[str]) -> str:
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


_LIST_PRICE = {ListingKind.SPAC: 2_050, ListingKind.REIT: 4_200, ListingKind.FUND: 8_000}
_SWINGS = {
    ListingKind.SPAC: 0.1,
    ListingKind.REIT: 0.3,
    ListingKind.FUND: 0.3,
    ListingKind.ETF: 0.5,
    ListingKind.ETN: 0.6,
    ListingKind.PREFERRED: 0.6,
}


def _listing(seed: int, market: Market, rank: int, draft: _Draft) -> Listing:
    key = mix(seed ^ int(draft.symbol, 36) << 8)
    ordinary = draft.kind is ListingKind.COMMON
    is_thin = _is_thin(key, rank, draft.kind)
    price = draft.price or _LIST_PRICE.get(draft.kind) or _price(key)
    swing = _SWINGS.get(draft.kind) or 0.5 + 0.7 * unit(key, _SWING)
    is_known = draft.price is not None
    return Listing(
        key=key,
        symbol=draft.symbol,
        name=draft.name,
        market=market,
        kind=draft.kind,
        industry=draft.industry,
        rank=rank,
        price=price,
        shares=_shares(key, rank, price),
        swing=min(swing, 0.3) if is_thin else swing,
        is_thin=is_thin,
        is_on_nxt=ordinary and rank < _ON_NXT[market],
        listed=_listing_day(key, is_known=is_known),
        dormant_since=_dormant_since(key, draft.symbol, is_candidate=ordinary and rank > 400),
        is_fund=draft.kind in (ListingKind.ETF, ListingKind.ETN),
        split=_split(key) if ordinary and not is_known and rank % 40 == 7 else None,
    )


def _is_thin(key: int, rank: int, kind: ListingKind) -> bool:
    """True if the listing has many days without a trade."""
    likely = {
        ListingKind.ETN: 0.5,
        ListingKind.ETF: 0.08,
        ListingKind.SPAC: 0.1,
        ListingKind.PREFERRED: 0.1,
    }.get(kind, 0.02)
    return rank > 150 and unit(key, _THIN) < likely


def _price(key: int) -> int:
    """Most prices lie between 1,000 and 50,000 won; few lie below 500 or above 200,000."""
    low_and_high = unit(key, _PRICE) + unit(key, _PRICE, 1) + unit(key, _PRICE, 2)
    return int(400 * 10.0 ** (low_and_high * 0.93))


def _shares(key: int, rank: int, price: int) -> int:
    """The market value falls with the rank as on a real market."""
    value = 6e14 / (rank + 4) ** 1.25 * (0.7 + 0.6 * unit(key, _SHARES))
    return max(500_000, int(value / price))


def _listing_day(key: int, *, is_known: bool) -> int:
    """Most listings are older than any requested history; every twelfth came in 2024 to 2026."""
    if is_known or roll(key, _LISTED) % 12:
        return date(1990, 1, 3).toordinal() + roll(key, _LISTED, 1) % 11_000
    return date(2024, 1, 2).toordinal() + roll(key, _LISTED, 1) % 1_000


def _dormant_since(key: int, symbol: str, *, is_candidate: bool) -> int | None:
    if symbol == "001570" or (is_candidate and unit(key, _DORMANT) < 0.03):
        return date(2023, 1, 2).toordinal() + roll(key, _DORMANT, 1) % 600
    return None


def _split(key: int) -> Split:
    """Splits lie in 2025 and 2026, so adjusted and unadjusted histories of those years differ."""
    day = date(2025, 2, 3).toordinal() + roll(key, _SPLIT) % 560
    new, old = ((5, 1), (10, 1), (2, 1), (1, 10))[roll(key, _SPLIT, 1) % 4]
    return Split(day, new, old)
