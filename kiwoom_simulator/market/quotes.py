"""The quote of every listing at every moment: a pure function of seed, listing, trading day and second."""

from typing import NamedTuple

from collector.model import Exchange
from kiwoom_simulator.market import ticks
from kiwoom_simulator.market.closes import Closes
from kiwoom_simulator.market.intraday import IntradayPath, Stand, draw, part_of_volume, stand
from kiwoom_simulator.market.listings import Listing
from kiwoom_simulator.market.noise import roll
from kiwoom_simulator.market.sessions import DayHours, Moment, Moments, Sessions

_KRX, _NXT = range(40, 42)
_LATE_PACE = 500_000
"""Seconds for one day's volume at the pace of the after-market; 3 % of it is traded until 20:00."""


class SimulatedQuote(NamedTuple):
    """One listing at one moment, in won and shares. None means "no quote" or "no trade yet"."""

    base: int
    price: int
    volume: int
    ask: int | None
    bid: int | None
    open: int | None
    high: int | None
    low: int | None
    lowest: int
    highest: int


class QuoteModel:
    """Quotes by listing, exchange and moment."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._closes: dict[str, Closes] = {}
        self._courses: dict[str, tuple[int, IntradayPath]] = {}

    def quote(self, listing: Listing, exchange: Exchange, moments: Moments) -> SimulatedQuote:
        """The quote in the API; on NXT only for listings with trading there."""
        if exchange is Exchange.KRX or not listing.is_on_nxt:
            return self._krx(listing, self._course(listing, moments.krx.day), moments.krx)
        if exchange is Exchange.CONSOLIDATED and moments.krx.day > moments.nxt.day:
            # On days with a late start NXT opens half a minute after KRX and still shows the day before.
            return self._krx(listing, self._course(listing, moments.krx.day), moments.krx)
        nxt = self._nxt(listing, self._course(listing, moments.nxt.day), moments.nxt)
        if exchange is Exchange.NXT or nxt.open is None or moments.krx.day != moments.nxt.day:
            return nxt
        krx = self._krx(listing, self._course(listing, moments.krx.day), moments.krx)
        return self._consolidate(krx, nxt, moments)

    def running(self, listing: Listing, exchange: Exchange, moments: Moments) -> SimulatedQuote | None:
        """The quote for the bar of the running day; None if the listing is suspended."""
        now = moments.krx if exchange is Exchange.KRX else moments.nxt
        if self._closes_of(listing).is_suspended(now.day):
            return None
        return self.quote(listing, exchange, self._sessions.regular(moments))

    def day(self, listing: Listing, exchange: Exchange, day: int) -> SimulatedQuote | None:
        """The final quote of a trading day, for its daily bar; None if the listing was suspended."""
        closes = self._closes_of(listing)
        if closes.is_suspended(day):
            return None
        course = draw(closes, day)
        krx = _closing_quote(course)
        if exchange is Exchange.KRX or not listing.is_on_nxt:
            return krx
        last = self._sessions.last(day)
        nxt = self._nxt(listing, course, last.nxt)
        return nxt if exchange is Exchange.NXT else self._consolidate(krx, nxt, last)

    def _krx(self, listing: Listing, course: IntradayPath, moment: Moment) -> SimulatedQuote:
        hours = self._sessions.hours(moment.day)
        late = max(0, moment.second - hours.krx_close)
        passed = (moment.second - late - hours.krx_open) / (hours.krx_close - hours.krx_open)
        if passed < course.starts or course.starts >= 1.0:
            return self._quote_untraded(listing, course, moment)
        chance = roll(listing.key, _KRX, moment.day * 100_000 + moment.second)
        # Opening and close lie exactly on the path, because today's close is tomorrow's base.
        shift = chance % 3 - 1 if 0.0 < passed < 1.0 or late else 0
        volume = max(1, int(course.volume * part_of_volume(passed))) + course.volume * late // _LATE_PACE
        now = stand(course, passed, fund=listing.is_fund)
        return _trade_quote(listing, course, now, course.points[0], volume, shift=shift, chance=chance)

    def _nxt(self, listing: Listing, course: IntradayPath, moment: Moment) -> SimulatedQuote:
        """NXT follows KRX at the distance of one tick: before KRX opens towards its opening, afterwards
        around its close.
        """
        if course.starts >= 1.0:
            return self._quote_untraded(listing, course, moment)
        hours = self._sessions.hours(moment.day)
        passed = (moment.second - hours.nxt_open) / (hours.nxt_close - hours.nxt_open)
        chance = roll(listing.key, _NXT, moment.day * 100_000 + moment.second)
        volume = 1 + int(course.volume * course.share * part_of_volume(passed))
        opening = _nxt_opening(course, hours)
        now = _nxt_stand(course, moment.second, hours, opening)
        return _trade_quote(listing, course, now, opening, volume, shift=chance % 3 - 1, chance=chance)

    def _quote_untraded(self, listing: Listing, course: IntradayPath, moment: Moment) -> SimulatedQuote:
        """A listing without a trade today has bid and ask around its base; a suspended one has nothing but a price.

        Both were seen in Kiwoom's own capture of 2026-07-01.
        """
        plain = _quote_without_trades(course)
        if self._closes_of(listing).is_suspended(moment.day):
            return plain
        is_sold = roll(listing.key, _KRX, moment.day) & 4 == 0
        ask, bid = _spread(course, course.base, fund=listing.is_fund, is_sold=is_sold)
        return plain._replace(ask=ask, bid=bid)

    def _consolidate(self, krx: SimulatedQuote, nxt: SimulatedQuote, moments: Moments) -> SimulatedQuote:
        """Both venues together: the last trade is that of KRX while KRX is open, else that of NXT."""
        if krx.open is None or nxt.open is None:
            return nxt
        is_krx_open = moments.nxt.second <= self._sessions.hours(moments.krx.day).krx_close
        return (krx if is_krx_open else nxt)._replace(
            volume=krx.volume + nxt.volume,
            open=nxt.open,
            high=max(krx.high or 0, nxt.high or 0),
            low=min(krx.low or krx.price, nxt.low or nxt.price),
        )

    def _course(self, listing: Listing, day: int) -> IntradayPath:
        """The price path of a day, cached for the current day of the market."""
        cached = self._courses.get(listing.symbol)
        if cached is None or cached[0] != day:
            cached = self._courses[listing.symbol] = day, draw(self._closes_of(listing), day)
        return cached[1]

    def _closes_of(self, listing: Listing) -> Closes:
        closes = self._closes.get(listing.symbol)
        if closes is None:
            closes = self._closes[listing.symbol] = Closes(listing, self._sessions)
        return closes


def _trade_quote(
    listing: Listing, course: IntradayPath, now: Stand, opening: int, volume: int, *, shift: int, chance: int
) -> SimulatedQuote:
    """A quote `shift` ticks away from the path, but within its extremes; the extremes then need no memory."""
    fund, price = listing.is_fund, now.price
    if shift > 0:
        price = min(ticks.above(price, fund=fund), now.high)
    elif shift < 0:
        price = max(ticks.below(price, fund=fund), now.low)
    ask, bid = _spread(course, price, fund=fund, is_sold=chance & 4 == 0)
    if chance & 0b111000 == 0:
        ask, bid = _move_on(course, ask, bid, fund=fund)
    return SimulatedQuote(
        course.base, price, volume, ask, bid, opening, now.high, now.low, course.lowest, course.highest
    )


def _closing_quote(course: IntradayPath) -> SimulatedQuote:
    """The end of a day on KRX, without ask and bid; bars have neither."""
    if course.starts >= 1.0:
        return _quote_without_trades(course)
    base, lowest, highest, points, volume, _, _ = course
    return SimulatedQuote(
        base, points[-1], volume, None, None, points[0], max(points), min(points), lowest, highest
    )


def _quote_without_trades(course: IntradayPath) -> SimulatedQuote:
    return SimulatedQuote(
        course.base, course.base, 0, None, None, None, None, None, course.lowest, course.highest
    )


def _spread(course: IntradayPath, price: int, *, fund: bool, is_sold: bool) -> tuple[int | None, int | None]:
    """Ask and bid, one tick apart. The price is one of the two. At a daily limit the far side is empty."""
    if price == course.highest:
        return None, price
    if price == course.lowest:
        return price, None
    ask = ticks.above(price, fund=fund) if is_sold else price
    return ask, ticks.below(ask, fund=fund)


def _move_on(
    course: IntradayPath, ask: int | None, bid: int | None, *, fund: bool
) -> tuple[int | None, int | None]:
    """A book that has moved up two ticks since the last trade, so that its price lies below the bid.

    The price outside of bid and ask was seen in Kiwoom's own capture of 2026-07-01: it is that of the last trade.
    """
    if ask is None or bid is None:
        return ask, bid
    moved = ticks.above(ticks.above(ask, fund=fund), fund=fund)
    return (moved, ticks.below(moved, fund=fund)) if moved < course.highest else (ask, bid)


def _nxt_opening(course: IntradayPath, hours: DayHours) -> int:
    """The opening price on NXT: halfway between the base and KRX's opening if NXT opens before KRX."""
    start = course.points[0]
    return start if hours.nxt_open >= hours.krx_open else _between(course.base, start, 0.5)


def _nxt_stand(course: IntradayPath, second: int, hours: DayHours, opening: int) -> Stand:
    if second < hours.krx_open:
        part = (second - hours.nxt_open) / (hours.krx_open - hours.nxt_open)
        price = _between(opening, course.points[0], part)
        return Stand(price, max(opening, price), min(opening, price))
    passed = (second - hours.krx_open) / (hours.krx_close - hours.krx_open)
    now = stand(course, passed, fund=False)
    return Stand(now.price, max(opening, now.high), min(opening, now.low))


def _between(left: int, right: int, part: float) -> int:
    return left if left == right else ticks.floor(left + (right - left) * part)
