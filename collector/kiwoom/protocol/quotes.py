"""Converts rows of ka20002 into columns, a page at a time.

Numbers are parsed all at once, not looked up: a table of earlier values exceeds the CPU cache and costs more
than parsing again. The listings of a page change once a day at most. See
docs/decisions/0009-columns-from-the-answer-to-copy.md.
"""

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import astuple

from collector.kiwoom.protocol import numbers
from collector.kiwoom.protocol.requests import SUFFIX
from collector.model import Exchange, PageListings, QuoteColumns


class PriceRow(msgspec.Struct, gc=False):
    """A listing as sent: twelve texts."""

    stk_cd: str
    stk_nm: str
    cur_prc: str
    pred_pre_sig: str
    pred_pre: str
    flu_rt: str
    now_trde_qty: str
    sel_bid: str
    buy_bid: str
    open_pric: str
    high_pric: str
    low_pric: str


class PriceResponse(msgspec.Struct, gc=False):
    """The whole body as documented."""

    inds_stkpc: list[PriceRow]
    return_code: int
    return_msg: str


_ENVELOPE_QUOTES = 8  # three keys and a text
_ROW_QUOTES = 48  # twelve keys and twelve values


def count_quotes(answer: PriceResponse) -> int:
    """Return the number of quotes in a body without undocumented keys."""
    return _ENVELOPE_QUOTES + _ROW_QUOTES * len(answer.inds_stkpc)


_CACHE_SIZE = 1 << 12
"""Pages with distinct listings; a full cache is cleared, which bounds memory for any input."""
_symbols = {
    exchange: numbers.Memo(partial(numbers.symbol, suffix=suffix)) for exchange, suffix in SUFFIX.items()
}
_name = numbers.Memo(numbers.name)
_rate = numbers.Rates()


class _CachedListings(NamedTuple):
    listings: PageListings
    strangers: int


_listings_cache: dict[tuple[Exchange, tuple[str, ...], tuple[str, ...]], _CachedListings] = {}


class Columns(NamedTuple):
    """The rows, the number of symbols without the exchange's suffix, and the number of values in unusual
    form."""

    rows: QuoteColumns
    strangers: int
    decorated: int


def columns(rows: Sequence[PriceRow], exchange: Exchange) -> Columns:
    """Return the rows as columns; FieldError if a value does not decode."""
    texts = list(zip(*map(astuple, rows), strict=True)) or [()] * len(PriceRow.__struct_fields__)
    code, name, price, sign, change, rate, volume, *quotes = texts
    listings, strangers = _shared_listings(exchange, code, name)
    amounts = numbers.amounts((price, *quotes), change, volume)
    won, *depth = amounts.prices
    signs, decorated = numbers.signs(sign)
    result = QuoteColumns(
        listings,
        won,
        amounts.change,
        array("i", map(_rate.__getitem__, rate)),
        signs,
        amounts.volume,
        *depth,
    )
    return Columns(result, strangers, amounts.decorated + decorated + _rate.count_noncanonical(rate))


def _shared_listings(exchange: Exchange, code: tuple[str, ...], name: tuple[str, ...]) -> _CachedListings:
    """Return the listings of a page; pages with the same list share one object."""
    cached = _listings_cache.get((exchange, code, name))
    if cached is None:
        symbols = [_symbols[exchange][text] for text in code]
        listings = PageListings(tuple(symbol for symbol, _ in symbols), tuple(_name[text] for text in name))
        cached = _CachedListings(listings, sum(not has_suffix for _, has_suffix in symbols))
        if len(_listings_cache) >= _CACHE_SIZE:
            _listings_cache.clear()
        # If the decoded texts are equal, only one copy is kept.
        _listings_cache[
            exchange, _first_if_equal(listings.symbol, code), _first_if_equal(listings.name, name)
        ] = cached
    return cached


def _first_if_equal(kept: tuple[str, ...], texts: tuple[str, ...]) -> tuple[str, ...]:
    return kept if kept == texts else texts


_GRAMMAR: dict[str, Callable[[str], object]] = {
    "stk_cd": partial(numbers.symbol, suffix=""),
    "stk_nm": numbers.name,
    "cur_prc": numbers.price,
    "pred_pre": numbers.parse_signed,
    "flu_rt": numbers.basis_points,
    "pred_pre_sig": numbers.sign,
    "now_trde_qty": numbers.volume,
    "sel_bid": numbers.price,
    "buy_bid": numbers.price,
    "open_pric": numbers.price,
    "high_pric": numbers.price,
    "low_pric": numbers.price,
}


def first_wrong(row: PriceRow) -> str | None:
    """Return the first undecodable value of a row with the reason; None if all decode."""
    return numbers.first_wrong(row, _GRAMMAR)
