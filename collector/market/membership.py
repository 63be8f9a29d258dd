"""Compares the listings of a walk with each other and with their board, and computes their digests."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from typing import NamedTuple

from collector.model import (
    Market,
    PageListings,
    WalkResult,
)

FEWEST_TRADED = 3
"""Fewest listings with trades on both exchanges for a comparison: one or two may agree by chance."""

_BOARD = {
    Market.KOSPI: Market.KOSPI,
    Market.KOSPI200: Market.KOSPI,
    Market.KOSPI100: Market.KOSPI,
    Market.KOSDAQ: Market.KOSDAQ,
}
"""The board that lists a market's members; KRX100 draws on both."""

Boards = dict[str, Market]
"""symbol → the board of a listing in earlier complete walks."""


def is_copy(traded: int, equal: int) -> bool:
    """Whether a walk of NXT or CONSOLIDATED holds the rows of KRX: `equal` of `traded` in price and volume.

    `traded` counts listings with a volume on KRX and in the walk. For CONSOLIDATED a listing also needs a
    volume on NXT, because without one it rightly equals KRX. Volumes of two exchanges hardly ever agree, so
    four in five are enough: the busiest listings trade on between two walks of an open market. Before KRX
    opens nothing has traded there, and nothing is judged.
    """
    return traded >= FEWEST_TRADED and equal * 5 >= traded * 4


def board(market: Market) -> Market | None:
    """Return the board of every member of this market, None if both are possible."""
    return _BOARD.get(market)


def members_digest(reading: WalkResult) -> bytes | None:
    """Return eight bytes that are equal exactly if two walks list the same symbols (up to a hash collision).

    A listing with an undecodable row is a member. None if even its symbol is unreadable.
    """
    bad = [row.symbol for page in reading.pages for row in page.bad]
    if not bad:
        return check_listings(reading).digest
    return _digest({*check_listings(reading).symbols, *bad}) if all(bad) else None


def _digest(symbols: Iterable[str]) -> bytes:
    return blake2b(",".join(sorted(symbols)).encode(), digest_size=8).digest()


def names_digest(reading: WalkResult) -> bytes:
    """Return eight bytes that are equal exactly if two walks list the same symbols and names in the same
    order."""
    return check_listings(reading).names_digest


class ListingCheck(NamedTuple):
    """The symbols on a walk's pages, in their order, with the facts derived from them."""

    symbols: Sequence[str]
    members: frozenset[str]
    repeats: bool
    out_of_order: bool
    digest: bytes
    names_digest: bytes


def check_listings(reading: WalkResult) -> ListingCheck:
    return _check_symbols(tuple(page.rows.listings for page in reading.pages))


@lru_cache(maxsize=1024)  # walks list the same symbols all day
def _check_symbols(pages: Sequence[PageListings]) -> ListingCheck:
    symbols = tuple(chain.from_iterable(page.symbol for page in pages))
    distinct = frozenset(symbols)
    return ListingCheck(
        symbols,
        distinct,
        repeats=len(distinct) < len(symbols),
        out_of_order=_out_of_order([page.symbol for page in pages]),
        digest=_digest(distinct),
        names_digest=blake2b("\n".join(_name_lines(pages)).encode(), digest_size=8).digest(),
    )


def _name_lines(pages: Sequence[PageListings]) -> Iterator[str]:
    for page in pages:
        yield from (f"{symbol}\t{name}" for symbol, name in zip(page.symbol, page.name, strict=True))


def has_unsorted_page(reading: WalkResult) -> bool:
    """Whether a page is not in the order of codes."""
    return any(list(page.rows.symbol) != sorted(page.rows.symbol) for page in reading.pages)


def _out_of_order(pages: Sequence[Sequence[str]]) -> bool:
    """Whether a page begins before its predecessor ended, although each page is in stock-code order by itself.

    A page of another target or another walk looks like this. Codes are in plain ASCII order, letters included
    (000087 < 0000D0 < 000100). A list in any other order has unsorted pages and is not judged.
    """
    if any(list(page) != sorted(page) for page in pages):
        return False
    full = [page for page in pages if page]
    return any(later[0] < earlier[-1] for earlier, later in pairwise(full))
