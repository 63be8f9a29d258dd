"""Reconstructs a listing's quotes at past slots from the minute bars of that day. Pure.

The label of a bar is the start of its minute, so a slot takes the last bar labelled before it. Minutes
without a trade have no bar. Bid and ask are in no bar. Source of the rule: public descriptions of ka10080;
it was not measured at the live server yet.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from operator import attrgetter, sub
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.kiwoom.protocol.minutes import MinuteBar

_UNCHANGED = 3
_LONGEST_PAUSE = timedelta(days=60)
"""How old the close may be that an untraded day is measured against: beyond that, shares may have been split."""


_starts_at, _high, _low, _close, _volume, _change, _total_volume = map(
    attrgetter, ("starts_at", "high", "low", "close", "volume", "change", "total_volume")
)


class CannotReconstruct(ValueError):
    """The bars do not tell the day; the text says why."""


class SlotQuote(NamedTuple):
    """A listing at one slot. `rate`: basis points × 8 + sign, as the tables have it. None: no trade yet.

    `volume` None: the bars do not say it.
    """

    slot: datetime
    price: int
    change: int
    rate: int
    volume: int | None
    open: int | None
    high: int | None
    low: int | None


class ObservedQuote(NamedTuple):
    """An answer of ka20002 about the listing at a slot: won, shares, and the arrival of the page."""

    slot: datetime
    received_at: datetime
    price: int
    volume: int


@dataclass(frozen=True)
class BarAgreement:
    """The numbers of `compared` observed quotes with a price and with a volume confirmed by the bars."""

    compared: int = 0
    prices: int = 0
    volumes: int = 0


@dataclass(frozen=True)
class MinuteDay:
    """A listing's day, oldest bar first, with what has run up at the end of each bar.

    `base` is the close of the trading day before, in the shares of this one.
    """

    bars: Sequence[MinuteBar]
    base: int
    labels: Sequence[datetime]
    volumes: Sequence[int] | None
    highs: Sequence[int]
    lows: Sequence[int]

    def at(self, slot: datetime) -> SlotQuote:
        """The quote at a slot."""
        index = bisect_left(self.labels, slot) - 1
        if index < 0:
            return SlotQuote(slot, self.base, 0, _UNCHANGED, 0, None, None, None)
        bar = self.bars[index]
        change = bar.close - self.base
        rate = basis_points(change, self.base) << 3 | bar.sign
        volume = self.volumes[index] if self.volumes is not None else None
        first = self.bars[0].open
        return SlotQuote(slot, bar.close, change, rate, volume, first, self.highs[index], self.lows[index])

    def agree(self, observed: Sequence[ObservedQuote]) -> BarAgreement:
        """Compare with what was observed. A page arrives after its slot, so trades between the two may be in it."""
        prices = volumes = 0
        for quote in observed:
            here = self.at(quote.slot)
            start = bisect_left(self.labels, quote.slot)
            later = self.bars[start : bisect_right(self.labels, quote.received_at)]
            low, high = (
                min([here.price, *(bar.low for bar in later)]),
                max([here.price, *(bar.high for bar in later)]),
            )
            prices += low <= quote.price <= high
            most = (here.volume or 0) + sum(bar.volume for bar in later)
            volumes += here.volume is not None and here.volume <= quote.volume <= most
        return BarAgreement(len(observed), prices, volumes)


def minute_day(bars: Sequence[MinuteBar], day: date, *, is_last_page: bool) -> MinuteDay:
    """The bars of a day out of those served, newest first or not; CannotReconstruct where they do not tell it.

    A day is whole if an older bar was served too, if the server has no further page, or if the cumulative volume
    begins with the first bar.
    """
    begins, ends = day_bounds(day)
    ordered = sorted(bars, key=_starts_at)
    labels = list(map(_starts_at, ordered))
    start, end = bisect_left(labels, begins), bisect_left(labels, ends)
    own = ordered[start:end]
    if not own:
        return _make_untraded_day(ordered[:start], begins)
    if len(set(labels[start:end])) < len(own):
        raise CannotReconstruct("two bars have the same label")
    first = own[0]
    if first.total_volume not in (None, first.volume):
        raise CannotReconstruct("the first bars of the day are missing")
    if first.total_volume is None and not start and not is_last_page:
        raise CannotReconstruct("nothing shows that the first bars of the day are there")
    bases = set(map(sub, map(_close, own), map(_change, own)))
    if len(bases) > 1 or min(bases) <= 0:
        raise CannotReconstruct("its bars do not agree on the previous close")
    return _day(own, labels[start:end], bases.pop())


def _day(own: Sequence[MinuteBar], labels: Sequence[datetime], base: int) -> MinuteDay:
    highs, lows = accumulate(map(_high, own), max), accumulate(map(_low, own), min)
    return MinuteDay(own, base, labels, _volumes(own), list(highs), list(lows))


def _volumes(own: Sequence[MinuteBar]) -> list[int]:
    """Shares until the end of each bar: as the API says them, else added up."""
    added = list(accumulate(map(_volume, own)))
    said = list(map(_total_volume, own))
    if said.count(None) == len(said):
        return added
    if said != added:
        raise CannotReconstruct("its bars do not add up to the cumulative volume, so some are missing")
    return added


def _make_untraded_day(earlier: Sequence[MinuteBar], begins: datetime) -> MinuteDay:
    """A day on which nothing was traded: it stands at the last close before."""
    if not earlier:
        raise CannotReconstruct("there are no minute bars")
    last = earlier[-1]
    if begins - last.starts_at > _LONGEST_PAUSE:
        raise CannotReconstruct(
            f"its last bar is of {last.starts_at:%Y-%m-%d}: too long ago to stand for that day"
        )
    return MinuteDay((), last.close, (), (), (), ())


def reconstruct(day: MinuteDay, slots: Sequence[datetime]) -> Iterator[SlotQuote]:
    """The quotes at these slots, in their order."""
    return map(day.at, slots)


def basis_points(change: int, base: int) -> int:
    """A change in hundredths of a percent, rounded half away from zero as the API rounds it."""
    points = (abs(change) * 20_000 + base) // (2 * base)
    return points if change >= 0 else -points
