"""When the simulated venues trade: which days, and from when to when (KST).

A moment is a trading day and a second of it; outside the session it is the last one of the session before,
because the API goes on showing that until the next session opens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from collector.model import KST, Exchange

_CLOSURES: dict[int, str] = {
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225 1231",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
    2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227 1231",
}
CLOSURES = frozenset(
    date(year, int(day[:2]), int(day[2:])) for year, days in _CLOSURES.items() for day in days.split()
)
_LATE_STARTS = frozenset({date(2025, 11, 13), date(2026, 11, 19)})
"""Days of the university entrance exam: everything opens and closes an hour later."""


def is_open_by_default(day: date) -> bool:
    return day.weekday() < 5 and day not in CLOSURES


class Hours(NamedTuple):
    """Seconds since midnight: when KRX and NXT open and close."""

    krx_open: int
    krx_close: int
    nxt_open: int
    nxt_close: int


_USUAL = Hours(9 * 3600, 15 * 3600 + 1800, 8 * 3600, 20 * 3600)
_EXAM = Hours(10 * 3600, 16 * 3600 + 1800, 10 * 3600, 20 * 3600)
_NEW_YEAR = _USUAL._replace(krx_open=10 * 3600)


class Moment(NamedTuple):
    """A place on the tape: the ordinal of a trading day, and the second of that day."""

    day: int
    second: int


class Moments(NamedTuple):
    """Where the tapes of both venues stand at one instant."""

    krx: Moment
    nxt: Moment

    def of(self, exchange: Exchange) -> Moment | tuple[Moment, Moment]:
        """What a row of this exchange depends on: equal moments, equal rows."""
        if exchange is Exchange.KRX:
            return self.krx
        return self.nxt if exchange is Exchange.NXT else (self.krx, self.nxt)


@dataclass(frozen=True)
class Sessions:
    """The trading days and hours; `is_open` says whether a date is a trading day, `step` how often prices move."""

    is_open: Callable[[date], bool] = is_open_by_default
    step: timedelta = timedelta(seconds=5)

    def previous(self, day: int) -> int:
        """The trading day before an ordinal."""
        day -= 1
        while not self.is_open(date.fromordinal(day)):
            day -= 1
        return day

    def hours(self, day: int) -> Hours:
        when = date.fromordinal(day)
        if when in _LATE_STARTS:
            return _EXAM
        is_first_of_year = date.fromordinal(self.previous(day)).year < when.year
        return _NEW_YEAR if is_first_of_year else _USUAL

    def moments(self, at: datetime) -> Moments:
        """Where the tapes stand at an aware instant."""
        local = at.astimezone(KST)
        day = local.toordinal()
        second = local.hour * 3600 + local.minute * 60 + local.second
        if not self.is_open(local.date()):
            return self.last(self.previous(day))
        hours = self.hours(day)
        return Moments(
            self._moment(day, second, hours.krx_open, hours.krx_close, venue=0),
            self._moment(day, second, hours.nxt_open, hours.nxt_close, venue=1),
        )

    def last(self, day: int) -> Moments:
        """The final state of a trading day."""
        hours = self.hours(day)
        return Moments(Moment(day, hours.krx_close), Moment(day, hours.nxt_close))

    def _moment(self, day: int, second: int, opens: int, closes: int, *, venue: int) -> Moment:
        if second < opens:
            return self.last(self.previous(day))[venue]
        step = max(1, round(self.step.total_seconds()))
        return Moment(day, min(closes, opens + (second - opens) // step * step))


def instant(day: date, clock: time) -> datetime:
    """A wall-clock time in Korea as an aware instant."""
    return datetime.combine(day, clock, KST)
