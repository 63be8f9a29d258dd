"""Daily bars of any listing, back to its first day, in agreement with the snapshots of those days."""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from collector.model import Exchange
from collector.simulator.listings import Listing
from collector.simulator.market import Market, percent, sign
from collector.simulator.prices import Quote
from collector.simulator.sessions import Moments

PAGE = 600
"""Bars a page, as the real API has."""


def bars(
    market: Market, listing: Listing, exchange: Exchange, *, newest: int, adjusted: bool, now: Moments
) -> Iterator[dict[str, str]]:
    """The bars up to the ordinal `newest`, newest first; suspended days are left out, the running day is not."""
    current = now.krx if exchange is Exchange.KRX else now.nxt
    for day in market.sessions.back_from(min(newest, current.day)):
        if day < listing.listed:
            return
        if day == current.day:
            quote = (
                market.tape.quote(listing, exchange, now) if market.tape.day(listing, exchange, day) else None
            )
        else:
            quote = market.tape.day(listing, exchange, day)
        if quote is not None:
            yield _bar(listing, day, quote, adjusted=adjusted)


def page(found: Iterator[dict[str, str]], number: int) -> tuple[list[dict[str, str]], bool]:
    """One page of bars, and whether more follow."""
    start = (number - 1) * PAGE
    taken = list(islice(found, start, start + PAGE + 1))
    return taken[:PAGE], len(taken) > PAGE


def _bar(listing: Listing, day: int, quote: Quote, *, adjusted: bool) -> dict[str, str]:
    """A day as ka10081 spells it: prices without direction; a day without trades is flat at its base."""
    new, old = 1, 1
    split = listing.split
    if adjusted and split is not None and day < split.day:
        new, old = split.new, split.old

    def shown(price: int | None) -> str:
        return str(max(1, ((quote.price if price is None else price) * old * 2 + new) // (2 * new)))

    change = quote.price - quote.base
    volume = quote.volume * new // old
    return {
        "cur_prc": shown(quote.price),
        "trde_qty": str(volume),
        "trde_prica": str(quote.volume * (quote.price + (quote.open or quote.price)) // 2_000_000),
        "dt": f"{date.fromordinal(day):%Y%m%d}",
        "open_pric": shown(quote.open),
        "high_pric": shown(quote.high),
        "low_pric": shown(quote.low),
        "pred_pre": f"{change * old // new:+}" if change else "0",
        "pred_pre_sig": sign(quote),
        "trde_tern_rt": percent(volume, listing.shares),
    }
