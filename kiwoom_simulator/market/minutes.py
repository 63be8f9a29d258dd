"""Minute bars of any listing, in agreement with what the snapshots of those minutes showed.

A bar is labelled with the start of its minute and ends with the quote at the end of it, which is what a
snapshot at that instant shows. A minute in which nothing changed has no bar.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice

from collector.model import KST, Exchange
from kiwoom_simulator.market.listings import Listing
from kiwoom_simulator.market.market import SimulatedMarket, sign
from kiwoom_simulator.market.quotes import SimulatedQuote
from kiwoom_simulator.market.sessions import Moments

PAGE = 900
"""Bars a page, as the real API has."""
_MINUTE = timedelta(minutes=1)
_KEPT_DAYS = 250
"""Trading days back to which bars are kept: about a year."""


def page(
    market: SimulatedMarket,
    listing: Listing,
    exchange: Exchange,
    *,
    newest: int,
    page_number: int,
    now: Moments,
) -> tuple[list[str], bool]:
    """One page of bars as JSON objects, newest first, and whether more follow."""
    exchange = exchange if listing.is_on_nxt else Exchange.KRX  # what is not on NXT has one tape
    start = (page_number - 1) * PAGE
    taken = list(islice(_bars(market, listing, exchange, newest, now), start, start + PAGE + 1))
    return taken[:PAGE], len(taken) > PAGE


def _bars(
    market: SimulatedMarket, listing: Listing, exchange: Exchange, newest: int, now: Moments
) -> Iterator[str]:
    current = now.krx.day if exchange is Exchange.KRX else now.nxt.day
    for day in islice(market.sessions.back_from(min(newest, current)), _KEPT_DAYS):
        if day < listing.listed:
            return
        yield from reversed(list(_bars_of_day(market, listing, exchange, day, now)))


def _bars_of_day(
    market: SimulatedMarket, listing: Listing, exchange: Exchange, day: int, now: Moments
) -> Iterator[str]:
    """A day's bars, oldest first."""
    before: SimulatedQuote | None = None
    for label in _labels(market, exchange, day):
        moments = market.sessions.moments(label + _MINUTE)
        moment = moments.krx if exchange is Exchange.KRX else moments.nxt
        if moment.day != day or _is_ahead(moments, now, exchange):
            continue
        quote = market.tape.quote(listing, exchange, moments)
        if quote.open is None or _is_alike(quote, before):
            continue
        yield _bar(label, quote, before)
        before = quote


def _labels(market: SimulatedMarket, exchange: Exchange, day: int) -> Iterator[datetime]:
    """The minutes in which the exchange is open, and the one that a session ends in."""
    hours = market.sessions.hours(day)
    spans = {Exchange.KRX: hours.krx, Exchange.NXT: hours.nxt}.get(exchange, (*hours.krx, *hours.nxt))
    midnight = datetime.combine(date.fromordinal(day), time(), KST)
    minutes = {minute for opens, closes in spans for minute in range(opens // 60, -(-closes // 60))}
    for minute in sorted(minutes):
        yield midnight + minute * _MINUTE


def _is_ahead(moments: Moments, now: Moments, exchange: Exchange) -> bool:
    """Whether the end of a minute has not come yet."""
    if exchange is Exchange.KRX:
        return moments.krx > now.krx
    return moments.nxt > now.nxt


def _is_alike(quote: SimulatedQuote, before: SimulatedQuote | None) -> bool:
    return before is not None and _visible_values(quote) == _visible_values(before)


def _visible_values(quote: SimulatedQuote) -> tuple[int | None, ...]:
    """The values that a trade changes; a minute may end where it began and have a new high."""
    return (quote.price, quote.volume, quote.high, quote.low)


def _bar(label: datetime, quote: SimulatedQuote, before: SimulatedQuote | None) -> str:
    """A minute as ka10080 spells it: every price with the sign of its relation to the previous close."""
    opening = quote.open if before is None else before.price
    assert opening is not None
    assert quote.high is not None
    assert quote.low is not None
    high, low = max(opening, quote.price), min(opening, quote.price)
    if before is None or quote.high != before.high:
        high = quote.high
    if before is None or quote.low != before.low:
        low = quote.low
    change = quote.price - quote.base
    volume = quote.volume - (before.volume if before else 0)
    prices = {"cur_prc": quote.price, "open_pric": opening, "high_pric": high, "low_pric": low}
    spelt = ",".join(f'"{name}":"{_with_direction(won, quote.base)}"' for name, won in prices.items())
    return (
        f'{{"cntr_tm":"{label:%Y%m%d%H%M%S}",{spelt},"trde_qty":"{volume}","acc_trde_qty":"{quote.volume}",'
        f'"pred_pre":"{f"{change:+}" if change else 0}","pred_pre_sig":"{sign(quote)}"}}'
    )


def _with_direction(won: int, base: int) -> str:
    return f"{'+' if won > base else '-' if won < base else ''}{won}"
