"""Daily bars of a listing back to its first day, consistent with the snapshots of those days."""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import islice

from collector.model import Exchange
from kiwoom_simulator.market.listings import Listing, Split
from kiwoom_simulator.market.market import SimulatedMarket, percent, sign
from kiwoom_simulator.market.quotes import SimulatedQuote
from kiwoom_simulator.market.sessions import Moments

PAGE = 600
"""Bars per page, as in the real API."""


def bars(
    market: SimulatedMarket,
    listing: Listing,
    exchange: Exchange,
    *,
    newest: int,
    adjusted: bool,
    now: Moments,
) -> Iterator[str]:
    """The bars up to the ordinal `newest`, newest first, each as a JSON object.

    Suspended days are absent. The running day is present.
    """
    current = now.krx if exchange is Exchange.KRX else now.nxt
    for day in market.sessions.back_from(min(newest, current.day)):
        if day < listing.listed:
            return
        if day == current.day:
            quote = market.tape.running(listing, exchange, now)
        else:
            quote = market.tape.day(listing, exchange, day)
        if quote is not None:
            yield _bar(listing, day, quote, adjusted=adjusted)


def page(bars: Iterator[str], page_number: int) -> tuple[list[str], bool]:
    """One page of bars; the second value is True if more bars follow."""
    start = (page_number - 1) * PAGE
    taken = list(islice(bars, start, start + PAGE + 1))
    return taken[:PAGE], len(taken) > PAGE


def _bar(listing: Listing, day: int, quote: SimulatedQuote, *, adjusted: bool) -> str:
    """A day in the form of ka10081. Prices have no direction; a day without trades is flat at its base.

    The JSON is built directly, because histories are long and clients request thousands of them.
    """
    price, change, volume = quote.price, quote.price - quote.base, quote.volume
    opening, high, low = quote.open or price, quote.high or price, quote.low or price
    value = volume * (opening + price) // 2_000_000
    split = listing.split
    if adjusted and split is not None and day < split.day:
        opening, high, low, price, change = (
            _scale(won, split) for won in (opening, high, low, price, change)
        )
        volume = volume * split.new // split.old
    return (
        f'{{"cur_prc":"{price}","trde_qty":"{volume}","trde_prica":"{value}","dt":"{_date(day)}",'
        f'"open_pric":"{opening}","high_pric":"{high}","low_pric":"{low}",'
        f'"pred_pre":"{f"{change:+}" if change else 0}","pred_pre_sig":"{sign(quote)}",'
        f'"trde_tern_rt":"{percent(volume, listing.shares)}"}}'
    )


def _scale(won: int, split: Split) -> int:
    """A price in shares from before the split, converted to today's shares and rounded half up."""
    return (2 * won * split.old + split.new) // (2 * split.new)


@lru_cache(16_384)
def _date(day: int) -> str:
    return f"{date.fromordinal(day):%Y%m%d}"
