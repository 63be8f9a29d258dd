"""What every listing costs at every moment: a pure function of seed, listing, trading day and second.

A close is read from slow waves that belong to the listing; a day's course is tied to its base (the close of the
trading day before) and to its own close. Nothing is walked from the start, so any day costs the same to ask for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from math import exp, log, sqrt
from struct import unpack
from typing import NamedTuple

from collector.model import Exchange
from collector.simulator import ticks
from collector.simulator.listings import Listing
from collector.simulator.noise import roll, unit
from collector.simulator.sessions import Hours, Moment, Moments, Sessions

_WAVES = ((5, 0.02), (20, 0.04), (80, 0.08), (320, 0.2))
"""Length in days and height (of the logarithm) of the waves that a price rides on; a day adds up to 0.8 % itself."""

_BLOCK = 64
"""Days of which at most one is out of the ordinary; so two such events never meet."""
_RECOVERY = 24
"""Days that a price takes to come back from a day at its limit: fewer would need another one."""

_DAILY, _EVENT, _UNTRADED, _START, _TURNOVER, _KRX, _NXT, _SHARE, _QUOTE, _WAVE = range(20, 30)

_KNOTS = 13
"""A course is drawn by straight lines between this many points and the opening."""


class Quote(NamedTuple):
    """One listing at one moment, in won and shares; None is "no quote" and "no trade yet"."""

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


class _Event(Enum):
    LIMIT_UP = auto()
    LIMIT_DOWN = auto()
    SUSPENSION = auto()


class _Strike(NamedTuple):
    kind: _Event
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Course:
    """A listing's day on KRX: its limits, the points between which the price moves, its volume and first trade."""

    base: int
    lowest: int
    highest: int
    points: tuple[int, ...]
    highs: tuple[int, ...]
    lows: tuple[int, ...]
    volume: int
    starts: float
    """The part of the session that passes before the first trade; 1.0 or more: there is none."""


class _Stand(NamedTuple):
    """How far a course has come: what the price would be without jitter, and the extremes so far."""

    price: int
    high: int
    low: int


_CourseOf = Callable[[Listing, int], _Course]


class Tape:
    """Quotes by listing, exchange and moment."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._courses: dict[str, tuple[int, _Course]] = {}

    def quote(self, listing: Listing, exchange: Exchange, moments: Moments) -> Quote:
        """What the API would show of the listing; on NXT only for listings that trade there."""
        return self._quote(listing, exchange, moments, self._course)

    def day(self, listing: Listing, exchange: Exchange, day: int) -> Quote | None:
        """The final state of a trading day, for its daily bar; None if the listing was suspended."""
        if self._is_suspended(listing, day):
            return None
        return self._quote(listing, exchange, self._sessions.last(day), self._draw)

    def _quote(self, listing: Listing, exchange: Exchange, moments: Moments, course_of: _CourseOf) -> Quote:
        if exchange is Exchange.KRX or not listing.is_on_nxt:
            return self._krx(listing, course_of(listing, moments.krx.day), moments.krx)
        nxt = self._nxt(listing, course_of(listing, moments.nxt.day), moments.nxt)
        if exchange is Exchange.NXT or nxt.open is None or moments.krx.day != moments.nxt.day:
            return nxt
        return self._consolidated(
            self._krx(listing, course_of(listing, moments.krx.day), moments.krx), nxt, moments
        )

    def _krx(self, listing: Listing, course: _Course, moment: Moment) -> Quote:
        hours = self._sessions.hours(moment.day)
        passed = (moment.second - hours.krx_open) / (hours.krx_close - hours.krx_open)
        if passed < course.starts or course.starts >= 1.0:
            return _untraded(course)
        stand = _stand(course, passed, listing.is_fund)
        shift = _shift(listing, _KRX, moment) if 0.0 < passed < 1.0 else 0
        volume = max(1, int(course.volume * _part_of_volume(passed)))
        chance = roll(listing.key, _QUOTE, _at(moment))
        return _traded(
            listing, course, stand, opening=course.points[0], shift=shift, volume=volume, chance=chance
        )

    def _nxt(self, listing: Listing, course: _Course, moment: Moment) -> Quote:
        """NXT follows KRX by a tick: before it opens towards its opening, afterwards around its close."""
        if course.starts >= 1.0:
            return _untraded(course)
        hours = self._sessions.hours(moment.day)
        passed = (moment.second - hours.nxt_open) / (hours.nxt_close - hours.nxt_open)
        opening = _nxt_opening(course, hours)
        stand = _nxt_stand(course, moment.second, hours, opening)
        share = 0.05 + 0.3 * unit(listing.key, _SHARE, moment.day)
        volume = 1 + int(course.volume * share * _part_of_volume(passed))
        chance = roll(listing.key, _QUOTE, ~_at(moment))
        shift = _shift(listing, _NXT, moment)
        return _traded(listing, course, stand, opening=opening, shift=shift, volume=volume, chance=chance)

    def _consolidated(self, krx: Quote, nxt: Quote, moments: Moments) -> Quote:
        """Both tapes together: the last trade is KRX's while it is open, else NXT's."""
        if krx.open is None:
            return nxt
        is_krx_open = moments.nxt.second <= self._sessions.hours(moments.krx.day).krx_close
        return (krx if is_krx_open else nxt)._replace(
            volume=krx.volume + nxt.volume,
            open=nxt.open,
            high=max(krx.high or 0, nxt.high or 0),
            low=min(krx.low or krx.price, nxt.low or nxt.price),
        )

    def _course(self, listing: Listing, day: int) -> _Course:
        """The course of a day, drawn once while the market stands on that day."""
        held = self._courses.get(listing.symbol)
        if held is None or held[0] != day:
            held = self._courses[listing.symbol] = day, self._draw(listing, day)
        return held[1]

    def _draw(self, listing: Listing, day: int) -> _Course:
        base = self._base(listing, day)
        lowest, highest = ticks.limits(base, fund=listing.is_fund)
        if not self._trades(listing, day):
            return _Course(base, lowest, highest, (base,), (base,), (base,), 0, 1.0)
        close = self._mark(listing, day)
        chance = unpack("<32H", blake2b(b"%d/%d" % (listing.key, day), digest_size=64).digest())
        points = _points(listing, base, close, lowest=lowest, highest=highest, chance=chance)
        return _Course(
            base, lowest, highest, points, _running(max, points), _running(min, points),
            _volume(listing, day), unit(listing.key, _START, day) * 0.6 if listing.is_thin else 0.0,
        )  # fmt: skip

    def _base(self, listing: Listing, day: int) -> int:
        """The previous close, in the shares of `day`."""
        before = self._sessions.previous(day)
        close = self._close(listing, before)
        split = listing.split
        if split is None or not before < split.day <= day:
            return close
        return ticks.floor(close * split.old / split.new, fund=listing.is_fund)

    def _close(self, listing: Listing, day: int) -> int:
        """The last price at the end of a trading day, which may be older than the day."""
        if listing.dormant_since is not None and day >= listing.dormant_since:
            day = self._sessions.previous(listing.dormant_since)
        while not self._trades(listing, day):
            day = self._sessions.previous(day)
        return self._mark(listing, day)

    def _mark(self, listing: Listing, day: int) -> int:
        """The close of a day on which the listing traded."""
        strike = _strike(listing, day)
        if strike is None or strike.kind is _Event.SUSPENSION or not self._sessions.is_open(strike.first):
            return ticks.floor(_level(listing, day), fund=listing.is_fund)
        at_limit = strike.kind is _Event.LIMIT_UP
        if day == strike.first:
            return ticks.limits(self._base(listing, day), fund=listing.is_fund)[at_limit]
        distance = (day - strike.first) / _RECOVERY
        pull = log(1.3 if at_limit else 0.7) * (1 - distance) if 0 < distance < 1 else 0.0
        return ticks.floor(_level(listing, day) * exp(pull), fund=listing.is_fund)

    def _trades(self, listing: Listing, day: int) -> bool:
        if self._is_suspended(listing, day):
            return False
        return not listing.is_thin or roll(listing.key, _UNTRADED, day) % 5 > 1

    def _is_suspended(self, listing: Listing, day: int) -> bool:
        if listing.dormant_since is not None and day >= listing.dormant_since:
            return True
        if listing.split is not None and 0 < listing.split.day - day <= 3:
            return True
        strike = _strike(listing, day)
        return strike is not None and strike.kind is _Event.SUSPENSION and strike.first <= day <= strike.last


def _strike(listing: Listing, day: int) -> _Strike | None:
    """What is out of the ordinary in the block of days around `day`: a day at the limit, or a suspension."""
    if (
        listing.is_thin
        or listing.swing < 0.5
        or listing.dormant_since is not None
        or listing.split is not None
    ):
        return None
    phase = listing.key & 511
    block = (day + phase) // _BLOCK
    chance = roll(listing.key, _EVENT, block)
    outcome = chance % 1_000
    first = block * _BLOCK - phase + 24 + (chance >> 16) % 12
    if outcome < 40:
        return _Strike(_Event.LIMIT_UP, first, first)
    if outcome < 65:
        return _Strike(_Event.LIMIT_DOWN, first, first)
    if outcome < 95:
        return _Strike(_Event.SUSPENSION, first, first + (chance >> 32) % 6)
    return None


def _level(listing: Listing, day: int) -> float:
    """The price that the waves give a day, in the shares of that day."""
    place = day + (listing.key & 511)
    height = 0.016 * (unit(listing.key, _DAILY, day) - 0.5)
    for number, (length, amplitude) in enumerate(_WAVES):
        index, offset = divmod(place, length)
        left = unit(listing.key, _WAVE + number, index)
        right = unit(listing.key, _WAVE + number, index + 1)
        height += amplitude * 2 * (left + (right - left) * offset / length - 0.5)
    level = listing.price * exp(listing.swing * height)
    split = listing.split
    return level * split.new / split.old if split is not None and day < split.day else level


def _points(
    listing: Listing, base: int, close: int, *, lowest: int, highest: int, chance: tuple[int, ...]
) -> tuple[int, ...]:
    """The opening, the turns between, the close; a day that ends at its limit reaches it two thirds through."""
    fund = listing.is_fund
    opening = base + (close - base) * chance[30] / 131_072 + base * 0.01 * (chance[31] / 65_536 - 0.5)
    drawn = [opening]
    for number in range(1, _KNOTS):
        passed = number / _KNOTS
        wiggle = 0.02 * listing.swing * sqrt(passed * (1 - passed)) * (chance[number] / 32_768 - 1)
        drawn.append(opening + (close - opening) * passed + base * wiggle)
    points = [min(max(ticks.floor(point, fund=fund), lowest), highest) for point in drawn]
    if close in (lowest, highest):
        points[9:] = [close] * len(points[9:])
    return (*points, close)


def _running(pick: Callable[[int, int], int], points: tuple[int, ...]) -> tuple[int, ...]:
    extremes = [points[0]]
    for point in points[1:]:
        extremes.append(pick(extremes[-1], point))
    return tuple(extremes)


def _volume(listing: Listing, day: int) -> int:
    """A day's shares: a small part of those listed, larger on some days; split shares trade in larger numbers."""
    turnover = 0.0004 * 30 ** unit(listing.key, _TURNOVER, day)
    shares = listing.shares * turnover * (0.05 if listing.is_thin else 1.0)
    split = listing.split
    if split is not None and day < split.day:
        shares = shares * split.old / split.new
    return max(1, int(shares))


def _part_of_volume(passed: float) -> float:
    """The part of a day's volume that is done: quick in the morning and towards the end."""
    return 0.02 + 0.98 * passed * (1.6 - passed * (1.8 - passed * 1.2))


def _stand(course: _Course, passed: float, fund: bool) -> _Stand:
    if passed >= 1.0:
        return _Stand(course.points[-1], course.highs[-1], course.lows[-1])
    knot, rest = divmod(passed * _KNOTS, 1)
    index = int(knot)
    left, right = course.points[index], course.points[index + 1]
    price = left if left == right else ticks.floor(left + (right - left) * rest, fund=fund)
    return _Stand(price, max(course.highs[index], price), min(course.lows[index], price))


def _at(moment: Moment) -> int:
    return moment.day * 100_000 + moment.second


def _shift(listing: Listing, stream: int, moment: Moment) -> int:
    """The ticks by which the last trade lies off the course."""
    return roll(listing.key, stream, _at(moment)) % 3 - 1


def _traded(
    listing: Listing, course: _Course, stand: _Stand, *, opening: int, shift: int, volume: int, chance: int
) -> Quote:
    """A quote `shift` ticks off the course, but within its extremes, so that these need no memory."""
    price = min(max(_shifted(stand.price, shift, listing), stand.low), stand.high)
    ask, bid = _spread(listing, course, price, chance)
    return Quote(
        base=course.base, price=price, volume=volume, ask=ask, bid=bid,
        open=opening, high=stand.high, low=stand.low, lowest=course.lowest, highest=course.highest,
    )  # fmt: skip


def _untraded(course: _Course) -> Quote:
    return Quote(course.base, course.base, 0, None, None, None, None, None, course.lowest, course.highest)


def _shifted(price: int, shift: int, listing: Listing) -> int:
    if shift == 0:
        return price
    return ticks.above(price, fund=listing.is_fund) if shift > 0 else ticks.below(price, fund=listing.is_fund)


def _spread(listing: Listing, course: _Course, price: int, chance: int) -> tuple[int | None, int | None]:
    """Ask and bid, one tick apart, the price being one of them; at a limit nobody stands on the far side."""
    if price == course.highest:
        return None, price
    if price == course.lowest:
        return price, None
    ask = ticks.above(price, fund=listing.is_fund) if chance & 1 else price
    return ask, ticks.below(ask, fund=listing.is_fund)


def _nxt_opening(course: _Course, hours: Hours) -> int:
    """Where NXT opened: before KRX, halfway between the base and KRX's opening."""
    start = course.points[0]
    return start if hours.nxt_open >= hours.krx_open else _between(course.base, start, 0.5)


def _nxt_stand(course: _Course, second: int, hours: Hours, opening: int) -> _Stand:
    if second < hours.krx_open:
        part = (second - hours.nxt_open) / (hours.krx_open - hours.nxt_open)
        price = _between(opening, course.points[0], part)
        return _Stand(price, max(opening, price), min(opening, price))
    passed = (second - hours.krx_open) / (hours.krx_close - hours.krx_open)
    stand = _stand(course, passed, fund=False)
    return _Stand(stand.price, max(opening, stand.high), min(opening, stand.low))


def _between(left: int, right: int, part: float) -> int:
    return left if left == right else ticks.floor(left + (right - left) * part)
