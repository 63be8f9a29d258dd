"""Daily bars of any listing, back to its first day, in agreement with the snapshots of those days."""

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
"""Bars a page, as the real API has."""


def bars(
    market: SimulatedMarket,
    listing: Listing,
    exchange: Exchange,
    *,
    newest: int,
    adjusted: bool,
    now: Moments,
) -> Iterator[str]:
    """The bars up to the ordinal `newest`, newest first; suspended days are left out, the running day is not.

    Each is a JSON object.
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
    """One page of bars, and whether more follow."""
    start = (page_number - 1) * PAGE
    taken = list(islice(bars, start, start + PAGE + 1))
    return taken[:PAGE], len(taken) > PAGE


def _bar(listing: Listing, day: int, quote: SimulatedQuote, *, adjusted: bool) -> str:
    """A day as ka10081 spells it: prices without direction; a day without trades is flat at its base.

    Written as JSON at once: histories are long, and asked for by the thousand.
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
    """An amount a share of before the split, in shares of today, rounded half up."""
    return (2 * won * split.old + split.new) // (2 * split.new)


@lru_cache(16_384)
def _date(day: int) -> str:
    return f"{date.fromordinal(day):%Y%m%d}"
