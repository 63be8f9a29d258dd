"""The certificate of a history: decides if bars are missing. A pure function of the history read.

A trading day without a bar proves no gap, since a suspended listing has none. The price decides: each bar
states the change of its close, and so the close before it. If this equals the close of the previous bar
present, no trade happened between the two, and nothing is missing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from operator import gt, itemgetter, le
from typing import NamedTuple

from collector.market.bar_changes import Suspected
from collector.model import Bar, BarReading, Certificate, Remark, Status

PAGE_BARS = 600
"""Bars of a full page of ka10081, newest first (measured by public clients)."""

_NOTES = frozenset({Remark.SUSPENDED, Remark.YOUNGER})
"""Remarks a complete history may carry."""
_LONG = 5
"""Trading days without a bar explaining a new price: mergers and capital reductions take weeks."""
_MOST = 100
"""The largest ratio of shares accepted as a split or consolidation."""
_HALVES = (2.5, 12.5)
"""Fractional ratios of the par values in use (100, 200, 500, 1,000, 2,500 and 5,000 won)."""
_date_of = itemgetter(1)
_prices_of = itemgetter(2, 3, 4, 5, 6)  # open, high, low, close, volume


class ListingFacts(NamedTuple):
    """Facts about a listing from complete walks of ka20002, enough to judge its bars.

    `since` is the day of its first sighting, `day` the trading day of its newest snapshot, `base` the close
    its price was compared with there, `traded` tells if it was traded on that day.
    """

    since: date
    day: date
    base: int | None
    traded: bool


def is_gap_alone(certificate: Certificate) -> bool:
    """Returns True if only missing days speak against a history."""
    return certificate.status is Status.SUSPECT and set(certificate.remarks) - _NOTES == {Remark.ABSENT_DAYS}


def is_settled_gap(reading: BarReading, days: Sequence[date], before: Suspected) -> bool:
    """Returns True if the days without a bar are those of an earlier fetch, so asking again is useless.

    Days after the newest bar are never settled: their bars may still come.
    """
    dates = set(map(_date_of, reading.bars))
    missing = {day for day in days if day not in dates}
    missing_before = {day for day in days if before.first <= day <= before.last and day not in before.dates}
    return bool(dates) and missing == missing_before and max(missing, default=min(dates)) < max(dates)


def certify_bars(
    reading: BarReading, days: Sequence[date], seen: ListingFacts | None, *, adjusted: bool
) -> Certificate:
    """Judges a listing's bars against the trading days of the request, oldest first."""
    remarks = tuple(dict.fromkeys(_remarks(reading, days, seen, adjusted)))
    status = Status.COMPLETE if _NOTES.issuperset(remarks) else Status.SUSPECT
    return Certificate(status, remarks)


def _remarks(
    reading: BarReading, days: Sequence[date], seen: ListingFacts | None, adjusted: bool
) -> Iterator[Remark]:
    bars = reading.bars
    if reading.stopped is not None:
        yield reading.stopped
    yield from _shape(reading, bars)
    if any(page.bad for page in reading.pages):
        yield Remark.UNDECODED
    dates = list(map(_date_of, bars))
    if dates and not (dates[0] <= reading.newest and all(map(gt, dates, dates[1:]))):
        yield Remark.DATE_ORDER
        return
    if not _is_sane(bars):
        yield Remark.ABSURD
    if not bars:
        yield Remark.YOUNGER if seen and seen.since > reading.newest else Remark.EMPTY
    elif days:
        yield from _against_calendar(bars, dates, days, seen, adjusted)


def _shape(reading: BarReading, bars: Sequence[Bar]) -> Iterator[Remark]:
    """Checks the pages: as announced, full before the last, and with a plausible end."""
    *before, last = reading.pages
    if any(page.announced not in (None, page.size) for page in reading.pages):
        yield Remark.PAGE_COUNT
    if any(page.size == 0 for page in before) or (before and last.size == 0):
        yield Remark.EMPTY_PAGE
    if any(0 < page.size < PAGE_BARS for page in before):
        yield Remark.SHORT_PAGE
    reached = bool(bars) and bars[-1].trading_date <= reading.oldest
    # A history ending exactly with a full page is rarer than a list broken off there.
    if not reached and last.next_key is None and (last.end_unsaid or last.size >= PAGE_BARS):
        yield Remark.NO_END


def _is_sane(bars: Sequence[Bar]) -> bool:
    """Returns True if every day is possible. Days without a trade are checked one by one, the rest by column."""
    if not bars:
        return True
    _, _, opened, high, low, close, _, _ = zip(*bars, strict=True)
    if not all(map(all, (opened, high, low, close))):
        return not any(map(_is_absurd, map(_prices_of, bars)))
    pairs = ((low, opened), (opened, high), (low, close), (close, high))
    return all(all(map(le, *pair)) for pair in pairs)


def _is_absurd(prices: tuple[int | None, int | None, int | None, int | None, int]) -> bool:
    """Returns True for an impossible day: a price outside high and low, no price, or trades without one."""
    opened, high, low, close, volume = prices
    if opened and high and low and close:
        return not (low <= opened <= high and low <= close <= high)
    return not close or volume > 0 or bool(opened or high or low)


def _against_calendar(
    bars: Sequence[Bar],
    dates: Sequence[date],
    days: Sequence[date],
    seen: ListingFacts | None,
    adjusted: bool,
) -> Iterator[Remark]:
    had = set(dates).intersection(days)
    if len(had) < _count_within(dates, days[0], days[-1]):
        yield Remark.CLOSED_DAY
    missing = [day for day in days if day not in had]
    if not missing:
        return
    oldest, newest = dates[-1], dates[0]
    if missing[0] < oldest:
        yield Remark.ABSENT_DAYS if _was_there(seen, missing, oldest) else Remark.YOUNGER
    if missing[-1] > newest:
        yield Remark.SUSPENDED if _stands_still(seen, bars[0], missing[-1]) else Remark.ABSENT_DAYS
    if within := missing[bisect_left(missing, oldest) : bisect_right(missing, newest)]:
        yield from _gaps(bars, within, adjusted)


def _count_within(falling: Sequence[date], first: date, last: date) -> int:
    rising = falling[::-1]
    return bisect_right(rising, last) - bisect_left(rising, first)


def _was_there(seen: ListingFacts | None, missing: Sequence[date], oldest: date) -> bool:
    """Returns True if the listing was seen before a day without a bar, and its history begins later."""
    return seen is not None and any(seen.since < day < oldest for day in missing)


def _stands_still(seen: ListingFacts | None, last: Bar, until: date) -> bool:
    """Returns True if nothing was traded after the last bar: snapshots still compare with its close.

    A snapshot compares with the day before its own; for its own day the traded flag counts.
    """
    if seen is None or not seen.base or not last.close or seen.day < until:
        return False
    if seen.day == until and seen.traded:
        return False
    return seen.base == last.close or _is_split(last.close, seen.base)


def _gaps(bars: Sequence[Bar], missing: Sequence[date], adjusted: bool) -> Iterator[Remark]:
    """Explains the days without a bar, each gap by the two bars around it."""
    for later, earlier in pairwise(bars):
        start = bisect_right(missing, earlier.trading_date)
        count = bisect_left(missing, later.trading_date) - start
        if count:
            follows = count >= _LONG or _follows(earlier, later, adjusted)
            yield Remark.SUSPENDED if follows else Remark.ABSENT_DAYS


def _follows(earlier: Bar, later: Bar, adjusted: bool) -> bool:
    """Returns True if nothing was traded between two bars: the later bar counts from the close of the earlier
    one.

    Adjusted prices and changes are rounded separately, so a difference of one in a hundred passes.
    """
    if earlier.close is None or later.close is None or later.change is None:
        return False
    base = later.close - later.change
    if adjusted:
        return abs(base - earlier.close) <= max(2, earlier.close // 100)
    return base == earlier.close or _is_split(earlier.close, base)


def _is_split(before: int, after: int) -> bool:
    """Returns True if one price is a multiple of the other, up to a tick: a split or a consolidation of shares."""
    low, high = sorted((before, after))
    if low <= 0:
        return False
    times = (high + low // 2) // low
    whole = (times,) if 2 <= times <= _MOST else ()
    return any(abs(high - ratio * low) * 100 <= ratio * low for ratio in (*whole, *_HALVES))
