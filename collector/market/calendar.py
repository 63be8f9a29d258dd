"""Answers which days and hours KRX and NXT trade, and for which days the answer is certain.

Closures come from the package `holidays`; a dated table (`config/calendar.yaml`) wins over it and has the
hours. Days are Korean dates, instants are aware; the zone and language of the host have no effect.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple

from collector.base.days import ONE_DAY
from collector.market.calendar_file import SESSIONS, WEEKDAYS, CalendarTable, OpeningHours, read
from collector.model import KST, Exchange

__all__ = ["SESSIONS", "VENUES", "Calendar", "Session", "exchange_holidays", "kst", "load"]

VENUES: Mapping[Exchange, tuple[str, ...]] = {
    Exchange.KRX: ("KRX.",),
    Exchange.NXT: ("NXT.",),
    Exchange.CONSOLIDATED: ("KRX.", "NXT."),
}
"""Prefixes of the session names of an exchange, such as `KRX.` of `KRX.regular`."""


class Session(NamedTuple):
    """One trading session of one day, from `opens` (included) to `closes` (excluded)."""

    name: str
    opens: datetime
    closes: datetime


@cache
def exchange_holidays(year: int, language: str = "en_US") -> Mapping[date, str]:
    """Return KRX's closures of a year with their names in English or Korean (`ko`), from the package `holidays`."""
    from holidays import financial_holidays  # noqa: PLC0415  # costs 0.1 s, and most commands do not need it

    # The language is explicit because its default follows the host's LANG.
    return dict(financial_holidays("XKRX", years=year, language=language))


@dataclass(frozen=True)
class Calendar:
    """The trading days and sessions of both venues for any date; `sure` tells how reliable the answer is."""

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
        """Whether the table covers the day; answers for other days follow the same rules and may be wrong."""
        return self.coverage_start <= day <= self.coverage_end

    def is_trading(self, day: date) -> bool:
        return self.closed_reason(day) is None

    def closed_reason(self, day: date) -> str | None:
        """Return the reason for a closed day, such as "Saturday" or "Chuseok"; None on a trading day."""
        if day.weekday() >= 5:
            return WEEKDAYS[day.weekday()]
        if day in self.table.open:
            return None
        return self.table.closed.get(day) or self.holidays(day.year).get(day)

    def special_reason(self, day: date) -> str | None:
        """Return the reason for unusual hours on a trading day; None if the hours are usual."""
        if day in self.table.special:
            return self.table.special[day].reason
        return "first trading day of the year" if self._first_of_year(day) else None

    def sessions(self, day: date) -> tuple[Session, ...]:
        """Return the day's sessions in the order of their openings; none on a closed day."""
        if day not in self._sessions:
            self._sessions[day] = self._sessions_of(day) if self.is_trading(day) else ()
        return self._sessions[day]

    def session(self, day: date, name: str) -> Session | None:
        """Return one session of a day, None if it does not open."""
        return next((session for session in self.sessions(day) if session.name == name), None)

    def begins(self, name: str) -> date | None:
        """Return the first day on which a session exists; None if it never does."""
        return next((day for day, hours in self.table.sessions.get(name, {}).items() if hours), None)

    def open_sessions(self, at: datetime) -> tuple[Session, ...]:
        day = kst(at).date()
        return tuple(session for session in self.sessions(day) if session.opens <= at < session.closes)

    def previous_trading_day(self, day: date) -> date:
        """Return the last trading day before a day; the day need not be a trading day."""
        return next(candidate for candidate in _days_from(day, -ONE_DAY) if self.is_trading(candidate))

    def next_trading_day(self, day: date) -> date:
        """Return the first trading day after a day; the day need not be a trading day."""
        return next(candidate for candidate in _days_from(day, ONE_DAY) if self.is_trading(candidate))

    def _first_of_year(self, day: date) -> bool:
        return day.month == 1 and self.is_trading(day) and self.previous_trading_day(day).year < day.year

    def _sessions_of(self, day: date) -> tuple[Session, ...]:
        hours = {name: _in_force(steps, day) for name, steps in self.table.sessions.items()}
        if self._first_of_year(day):
            # A session without hours yet has no other hours on the first day either.
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
    """Load the calendar from a file's bytes; ConfigError `ORIGIN:LINE: …` for an invalid entry.

    With a `base` the file may be partial, such as a single closure: it overrides parts of that calendar.
    """
    return Calendar(read(data, origin, base.table if base else None))


def kst(at: datetime) -> datetime:
    """Convert an instant to Korean time; ValueError if it has no zone."""
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
