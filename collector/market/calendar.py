"""Which days and hours KRX and NXT trade, as far as it is known, and how far that is.

Closures come from the package `holidays`; a dated table (`config/calendar.yaml`) wins over it and knows the
hours. Days are Korean dates, instants are aware; the host's zone and language play no part.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from collector.market.calendar_file import SESSIONS, WEEKDAYS, CalendarTable, OpeningHours, read
from collector.model import KST

__all__ = ["SESSIONS", "Calendar", "Session", "exchange_holidays", "kst", "load"]

_DAY = timedelta(days=1)


class Session(NamedTuple):
    """One stretch of trading on one day; it is open from `opens` on and no more at `closes`."""

    name: str
    opens: datetime
    closes: datetime


@cache
def exchange_holidays(year: int) -> Mapping[date, str]:
    """KRX's closures of a year and what each is called, as the package `holidays` has them."""
    from holidays import financial_holidays  # noqa: PLC0415  # 0.1 s that most commands need not spend

    # The language is named because its default follows the host's LANG.
    return dict(financial_holidays("XKRX", years=year, language="en_US"))


@dataclass(frozen=True)
class Calendar:
    """The trading days and sessions of both venues; any date is answered, `sure` says how well."""

    table: CalendarTable
    holidays: Callable[[int], Mapping[date, str]] = exchange_holidays
    _sessions: dict[date, tuple[Session, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def coverage_start(self) -> date:
        return self.table.coverage_start

    @property
    def coverage_end(self) -> date:
        return self.table.coverage_end

    def sure(self, day: date) -> bool:
        """Whether the table knows that day; any other is answered by the same rules, which may be wrong."""
        return self.coverage_start <= day <= self.coverage_end

    def is_trading(self, day: date) -> bool:
        return self.closed_reason(day) is None

    def closed_reason(self, day: date) -> str | None:
        """Why nothing trades on that day, such as "Saturday" or "Chuseok"; None if it is a trading day."""
        if day.weekday() >= 5:
            return WEEKDAYS[day.weekday()]
        if day in self.table.open:
            return None
        return self.table.closed.get(day) or self.holidays(day.year).get(day)

    def special_reason(self, day: date) -> str | None:
        """Why a trading day's hours are not the ordinary ones; None if they are."""
        if day in self.table.special:
            return self.table.special[day].reason
        return "first trading day of the year" if self._first_of_year(day) else None

    def sessions(self, day: date) -> tuple[Session, ...]:
        """The day's sessions in the order in which they open; none on a closed day."""
        if day not in self._sessions:
            self._sessions[day] = self._sessions_of(day) if self.is_trading(day) else ()
        return self._sessions[day]

    def session(self, day: date, name: str) -> Session | None:
        """One session of a day, None where it does not open."""
        return next((session for session in self.sessions(day) if session.name == name), None)

    def begins(self, name: str) -> date | None:
        """The first day on which a session exists at all; None if it never does."""
        return next((day for day, hours in self.table.sessions.get(name, {}).items() if hours), None)

    def open_sessions(self, at: datetime) -> tuple[Session, ...]:
        day = kst(at).date()
        return tuple(session for session in self.sessions(day) if session.opens <= at < session.closes)

    def previous_trading_day(self, day: date) -> date:
        """The last trading day before that day, which need not be one itself."""
        return next(candidate for candidate in _days_from(day, -_DAY) if self.is_trading(candidate))

    def next_trading_day(self, day: date) -> date:
        """The first trading day after that day, which need not be one itself."""
        return next(candidate for candidate in _days_from(day, _DAY) if self.is_trading(candidate))

    def _first_of_year(self, day: date) -> bool:
        return day.month == 1 and self.is_trading(day) and self.previous_trading_day(day).year < day.year

    def _sessions_of(self, day: date) -> tuple[Session, ...]:
        hours = {name: _in_force(steps, day) for name, steps in self.table.sessions.items()}
        if self._first_of_year(day):
            # A session that does not exist yet has no other hours either.
            hours |= {
                name: _in_force(steps, day)
                for name, steps in self.table.first_day.items()
                if hours.get(name) and any(since <= day for since in steps)
            }
        if day in self.table.special:
            hours |= self.table.special[day].hours
        sessions = (_session(name, day, times) for name, times in hours.items() if times)
        return tuple(sorted(sessions, key=lambda session: (session.opens, session.name)))


def load(data: bytes, origin: str, base: Calendar | None = None) -> Calendar:
    """The calendar in a file's bytes; ConfigError `ORIGIN:LINE: …` for what it cannot mean.

    With a `base` the file may be partial, such as a single closure: it lies over that calendar.
    """
    return Calendar(read(data, origin, base.table if base else None))


def kst(at: datetime) -> datetime:
    """The same instant as Korea's clocks show it; ValueError for one without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    return at.astimezone(KST)


def _days_from(day: date, step: timedelta) -> Iterator[date]:
    while True:
        day += step
        yield day


def _in_force(steps: Mapping[date, OpeningHours | None], day: date) -> OpeningHours | None:
    dates = list(steps)
    index = bisect_right(dates, day)
    return steps[dates[index - 1]] if index else None


def _session(name: str, day: date, hours: OpeningHours) -> Session:
    return Session(name, datetime.combine(day, hours.opens, KST), datetime.combine(day, hours.closes, KST))
