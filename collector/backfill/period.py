"""The days that are asked for: which of them can have a bar, and which are not over yet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from collector.calendar import Calendar, Session, kst
from collector.errors import ConfigError
from collector.model import Exchange

_DAY = timedelta(days=1)
_VENUES = {
    Exchange.KRX: ("KRX.",),
    Exchange.NXT: ("NXT.",),
    Exchange.CONSOLIDATED: ("KRX.", "NXT."),
}
_MOVES = {
    Exchange.KRX: ("KRX.regular",),
    Exchange.NXT: ("NXT.",),
    Exchange.CONSOLIDATED: ("KRX.regular", "NXT."),
}
"""The sessions that certainly change what is shown. Whether KRX's after-market does, nobody documents."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the past, both ends included.

    `days` are its trading days that are over, oldest first, `pending` the one that is not, with when it will
    be. `newest` is the newest trading day that is over at all, within the period or after it.
    """

    first: date
    last: date
    days: tuple[date, ...]
    pending: tuple[tuple[date, datetime], ...]
    newest: date


def judged(first: date, last: date, calendar: Calendar, now: datetime) -> Period:
    """The period from one day to another as it stands now; ConfigError for one that cannot have been meant."""
    today = kst(now).date()
    if last < first:
        raise ConfigError(
            f"the period ends on {last}, before it begins on {first}; nothing was fetched",
            hint=f"was --from {last} --to {first} meant?",
        )
    if last > today:
        raise ConfigError(
            f"{last} is in the future: it is {today} in Korea; nothing was fetched",
            hint=f"the last day that can be asked for is {today}",
        )
    trading = [day for day in _days(first, last) if calendar.is_trading(day)]
    if not trading:
        raise ConfigError(
            f"from {first} to {last} there is no trading day: {_reasons(first, last, calendar)}",
            hint="`collector schedule --from DATE --to DATE` shows which days are",
        )
    over = tuple(day for day in trading if over_at(calendar, day) <= now)
    pending = tuple((day, over_at(calendar, day)) for day in trading[len(over) :])
    return Period(first, last, over, pending, newest_over(calendar, now))


def over_at(calendar: Calendar, day: date) -> datetime:
    """When a trading day's bar is final: at the end of KRX's last session of the day."""
    return max(session.closes for session in calendar.sessions(day) if session.name.startswith("KRX."))


def newest_over(calendar: Calendar, now: datetime) -> date:
    """The newest trading day whose bar is final."""
    day = kst(now).date()
    if calendar.is_trading(day) and over_at(calendar, day) <= now:
        return day
    return calendar.previous_trading_day(day)


def trading_days(calendar: Calendar, first: date, last: date) -> list[date]:
    """The trading days from one day to another, both included, oldest first."""
    return [day for day in _days(first, last) if calendar.is_trading(day)]


def shown_until(calendar: Calendar, exchange: Exchange, at: datetime) -> datetime | None:
    """Until when the API goes on showing what it shows at an instant; None during a session of the exchange.

    Outside its sessions an exchange stands still: the final state of the last one is shown until the next
    one opens. KRX's after-market does not count as one here, see `is_disturbed`.
    """
    day = kst(at).date()
    if any(session.opens <= at for session in _after(calendar, day, at, _VENUES[exchange])):
        return None
    while True:
        for session in _after(calendar, day, at, _MOVES[exchange]):
            return session.opens
        day = calendar.next_trading_day(day)


def is_disturbed(calendar: Calendar, exchange: Exchange, at: datetime, now: datetime) -> bool:
    """Whether a session of the exchange has opened since an instant, if only its after-market."""
    days = trading_days(calendar, kst(at).date(), kst(now).date())
    found = (session for day in days for session in _after(calendar, day, at, _VENUES[exchange]))
    return any(session.opens <= now for session in found)


def _after(calendar: Calendar, day: date, at: datetime, names: tuple[str, ...]) -> Iterator[Session]:
    """A day's sessions of these names that end later than an instant."""
    return (each for each in calendar.sessions(day) if each.name.startswith(names) and each.closes > at)


def day_shown(calendar: Calendar, at: datetime) -> date:
    """The trading day whose prices KRX shows at an instant."""
    day = kst(at).date()
    regular = calendar.session(day, "KRX.regular")
    return day if regular and regular.opens <= at else calendar.previous_trading_day(day)


class Closing(NamedTuple):
    """When a trading day's final state can be seen on KRX: until it may change, and until it certainly does."""

    day: date
    closes: datetime
    stands_until: datetime
    shown_until: datetime


def closings(calendar: Calendar, days: Iterable[date]) -> Iterator[Closing]:
    """The closings of trading days on KRX, in their order."""
    for day in days:
        regular = calendar.session(day, "KRX.regular")
        until = shown_until(calendar, Exchange.KRX, regular.closes) if regular else None
        if regular and until:
            later = (each.opens for each in _after(calendar, day, regular.closes, _VENUES[Exchange.KRX]))
            yield Closing(day, regular.closes, min(later, default=until), until)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((last - first).days + 1))


def _reasons(first: date, last: date, calendar: Calendar) -> str:
    found = [f"{day} {calendar.closed_reason(day)}" for day in _days(first, last)]
    return ", ".join(found[:7]) + (", ..." if len(found) > 7 else "")
