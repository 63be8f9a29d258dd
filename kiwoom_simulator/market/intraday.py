"""The price path of one listing's day on KRX: from the opening over a few turning points to the close, on
legal ticks.
"""

from math import sqrt
from typing import NamedTuple

from kiwoom_simulator.market import ticks
from kiwoom_simulator.market.closes import Closes, TradingDay
from kiwoom_simulator.market.listings import Listing

_TURNS = 9
_PATH = tuple(
    (turn / (_TURNS + 1), sqrt(turn * (_TURNS + 1 - turn)) / (_TURNS + 1)) for turn in range(1, _TURNS + 1)
)
"""For each turning point: the elapsed part of the session, and its largest distance from the straight line.
"""


class IntradayPath(NamedTuple):
    """The source of a day's quotes.

    `starts` is the part of the session before the first trade; 1.0 means a day without trades. `share` is the
    volume on NXT as a fraction of the volume on KRX.
    """

    base: int
    lowest: int
    highest: int
    points: tuple[int, ...]
    volume: int
    starts: float
    share: float


class Stand(NamedTuple):
    """The price at one moment of the path, with the high and the low so far."""

    price: int
    high: int
    low: int


def draw(closes: Closes, day: int) -> IntradayPath:
    """The price path of a trading day."""
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
    """Price, high and low after the given part of the session."""
    if passed >= 1.0:
        return Stand(course.points[-1], max(course.points), min(course.points))
    index, rest = divmod(passed * (_TURNS + 1), 1)
    turn = int(index)
    left, right = course.points[turn], course.points[turn + 1]
    price = left if left == right else ticks.floor(left + (right - left) * rest, fund=fund)
    behind = (*course.points[: turn + 1], price)
    return Stand(price, max(behind), min(behind))


def part_of_volume(passed: float) -> float:
    """The traded part of a day's volume. Trading is fast in the morning and towards the end."""
    return 0.02 + 0.98 * passed * (1.6 - passed * (1.8 - passed * 1.2))


def _points(listing: Listing, today: TradingDay, base: int, lowest: int, highest: int) -> tuple[int, ...]:
    """The opening, the turning points and the close. On a limit day the path reaches the limit after two
    thirds.
    """
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
    """A day's volume: a small part of the listed shares, larger on some days. Split shares trade in larger
    numbers.
    """
    turnover = 0.0004 * 30.0 ** (today.chances[1] / 65_536)
    shares = listing.shares * turnover * (0.05 if listing.is_thin else 1.0)
    split = listing.split
    if split is not None and today.day < split.day:
        shares = shares * split.old / split.new
    return max(1, int(shares))
