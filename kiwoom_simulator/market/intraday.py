"""The course of one listing's day on KRX: from its opening through a few turns to its close, by legal ticks."""

from math import sqrt
from typing import NamedTuple

from kiwoom_simulator.market import ticks
from kiwoom_simulator.market.closes import Closes, TradingDay
from kiwoom_simulator.market.listings import Listing

_TURNS = 9
_PATH = tuple(
    (turn / (_TURNS + 1), sqrt(turn * (_TURNS + 1 - turn)) / (_TURNS + 1)) for turn in range(1, _TURNS + 1)
)
"""For each turn: the part of the session that has passed, and how far off the straight line it may lie."""


class IntradayPath(NamedTuple):
    """What a day's quotes are read from.

    `starts` is the part of the session that passes before the first trade; 1.0: there is none that day.
    `share` is NXT's volume as a part of KRX's.
    """

    base: int
    lowest: int
    highest: int
    points: tuple[int, ...]
    volume: int
    starts: float
    share: float


class Stand(NamedTuple):
    """How far a course has come: the price on it, and the extremes so far."""

    price: int
    high: int
    low: int


def draw(closes: Closes, day: int) -> IntradayPath:
    """The course of a trading day."""
    listing = closes.listing
    if not closes.trades(day):
        base = closes.base(day)
        lowest, highest = ticks.limits(base, fund=listing.is_fund)
        return IntradayPath(base, lowest, highest, (base,), 0, 1.0, 0.0)
    today = closes.on(day)
    base = closes.base(day)
    lowest, highest = ticks.limits(base, fund=listing.is_fund)
    points = _points(listing, today, base, lowest, highest)
    starts = today.chances[2] / 110_000 if listing.is_thin else 0.0
    share = 0.05 + today.chances[3] / 220_000
    return IntradayPath(base, lowest, highest, points, _volume(listing, today), starts, share)


def stand(course: IntradayPath, passed: float, *, fund: bool) -> Stand:
    """Where a course stands after this part of its session."""
    if passed >= 1.0:
        return Stand(course.points[-1], max(course.points), min(course.points))
    index, rest = divmod(passed * (_TURNS + 1), 1)
    turn = int(index)
    left, right = course.points[turn], course.points[turn + 1]
    price = left if left == right else ticks.floor(left + (right - left) * rest, fund=fund)
    behind = (*course.points[: turn + 1], price)
    return Stand(price, max(behind), min(behind))


def part_of_volume(passed: float) -> float:
    """The part of a day's volume that is done: quick in the morning and towards the end."""
    return 0.02 + 0.98 * passed * (1.6 - passed * (1.8 - passed * 1.2))


def _points(listing: Listing, today: TradingDay, base: int, lowest: int, highest: int) -> tuple[int, ...]:
    """The opening, the turns, the close; a day that ends at its limit reaches it two thirds through."""
    _, chances, close = today
    fund = listing.is_fund
    opening = base + (close - base) * chances[4] / 131_072 + base * (chances[5] - 32_768) / 6_553_600
    span, reach = close - opening, base * listing.swing / 1_638_400
    turns = [
        opening + span * passed + reach * width * (chance - 32_768)
        for (passed, width), chance in zip(_PATH, chances[6:], strict=False)
    ]
    points = ticks.legal((opening, *turns), lowest, highest, fund=fund)
    if close in (lowest, highest):
        points[7:] = [close] * len(points[7:])
    return (*points, close)


def _volume(listing: Listing, today: TradingDay) -> int:
    """A day's shares: a small part of those listed, larger on some days; split shares trade in larger numbers."""
    turnover = 0.0004 * 30.0 ** (today.chances[1] / 65_536)
    shares = listing.shares * turnover * (0.05 if listing.is_thin else 1.0)
    split = listing.split
    if split is not None and today.day < split.day:
        shares = shares * split.old / split.new
    return max(1, int(shares))
