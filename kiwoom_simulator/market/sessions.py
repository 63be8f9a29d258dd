"""Position of the simulated venues in time: trading day and second, by instant.

Outside its sessions a venue stays at the last second of the previous session, because the API shows that
state until the next session opens. It is unknown whether KRX's after-market moves the prices of ka20002: by
default the prices follow the regular session, and `after_market_moves` changes that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from collector.base.resources import path
from collector.market.calendar import Calendar, Session, load
from collector.model import KST, Exchange


def _bundled_calendar() -> Calendar:
    """The calendar shipped with the program."""
    file = path("config", "calendar.yaml")
    return load(file.read_bytes(), str(file))


class SessionSpan(NamedTuple):
    """A session, in seconds since midnight."""

    opens: int
    closes: int


class DayHours(NamedTuple):
    """The sessions of a day with moving prices, by venue."""

    krx: tuple[SessionSpan, ...]
    nxt: tuple[SessionSpan, ...]

    @property
    def krx_open(self) -> int:
        return self.krx[0].opens

    @property
    def krx_close(self) -> int:
        return self.krx[0].closes

    @property
    def nxt_open(self) -> int:
        return self.nxt[0].opens

    @property
    def nxt_close(self) -> int:
        return self.nxt[-1].closes


class Moment(NamedTuple):
    """The ordinal of a trading day, and the second of that day."""

    day: int
    second: int


class Moments(NamedTuple):
    """The moments of both venues at one instant."""

    krx: Moment
    nxt: Moment

    def of(self, exchange: Exchange) -> Moment | tuple[Moment, Moment]:
        """The cache key for rows of this exchange: equal moments give equal rows."""
        if exchange is Exchange.KRX:
            return self.krx
        return self.nxt if exchange is Exchange.NXT else (self.krx, self.nxt)


@dataclass
class Sessions:
    """The calendar as ordinals and seconds. Prices move every `step` seconds. Results are cached."""

    calendar: Calendar = field(default_factory=_bundled_calendar)
    step: int = 5
    after_market_moves: bool = False
    _open: dict[int, bool] = field(default_factory=dict)
    _previous: dict[int, int] = field(default_factory=dict)
    _hours: dict[int, DayHours] = field(default_factory=dict)

    def is_open(self, day: int) -> bool:
        cached = self._open.get(day)
        if cached is None:
            cached = self._open[day] = self.calendar.is_trading(date.fromordinal(day))
        return cached

    def previous(self, day: int) -> int:
        """The trading day before an ordinal."""
        cached = self._previous.get(day)
        if cached is None:
            cached = day - 1
            while not self.is_open(cached):
                cached -= 1
            self._previous[day] = cached
        return cached

    def back_from(self, day: int) -> Iterator[int]:
        """The trading days from `day` into the past, newest first."""
        if not self.is_open(day):
            day = self.previous(day)
        while True:
            yield day
            day = self.previous(day)

    def hours(self, day: int) -> DayHours:
        """A trading day's hours. If NXT does not trade, its hours equal those of KRX."""
        cached = self._hours.get(day)
        if cached is None:
            cached = self._hours[day] = self._hours_of(self.calendar.sessions(date.fromordinal(day)))
        return cached

    def moments(self, at: datetime, *, closed: bool = False) -> Moments:
        """The moments of the venues at an aware instant. `closed` makes the day a holiday."""
        local = at.astimezone(KST)
        day = local.toordinal()
        second = local.hour * 3600 + local.minute * 60 + local.second
        if closed or not self.is_open(day):
            return self.last(self.previous(day))
        hours = self.hours(day)
        before = self.last(self.previous(day))
        krx = self._moment(day, second, hours.krx)
        nxt = self._moment(day, second, hours.nxt)
        return Moments(krx or before.krx, nxt or before.nxt)

    def last(self, day: int) -> Moments:
        """The final state of a trading day."""
        hours = self.hours(day)
        return Moments(Moment(day, hours.krx[-1].closes), Moment(day, hours.nxt[-1].closes))

    def regular(self, moments: Moments) -> Moments:
        """The same, but KRX not later than its regular close: daily bars cover the regular session."""
        day, second = moments.krx
        return moments._replace(krx=Moment(day, min(second, self.hours(day).krx_close)))

    def _hours_of(self, sessions: Iterable[Session]) -> DayHours:
        stretches = {
            session.name: SessionSpan(_second(session.opens), _second(session.closes)) for session in sessions
        }
        regular, after = (stretches["KRX.regular"],), stretches.get("KRX.after")
        nxt = tuple(stretch for name, stretch in stretches.items() if name.startswith("NXT."))
        return DayHours((*regular, after) if after and self.after_market_moves else regular, nxt or regular)

    def _moment(self, day: int, second: int, sessions: Iterable[SessionSpan]) -> Moment | None:
        """The last step of the last opened session; None before the first session."""
        opened = [session for session in sessions if session.opens <= second]
        if not opened:
            return None
        opens, closes = opened[-1]
        return Moment(day, min(closes, second - (second - opens) % self.step))


def _second(at: datetime) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second
