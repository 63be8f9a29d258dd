"""Computes the visible prices outside trading: their trading day, and the end of their visibility.

ka20002 shows only the present, so the value of a closing slot depends on the time of its walk.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import NamedTuple

from collector.base.days import days_through
from collector.market.calendar import VENUES, Calendar, Session, kst
from collector.model import Exchange

_MOVES = {
    Exchange.KRX: ("KRX.regular",),
    Exchange.NXT: ("NXT.",),
    Exchange.CONSOLIDATED: ("KRX.regular", "NXT."),
}
"""The sessions that certainly change the shown prices. For KRX's after-market this is undocumented."""


def trading_days(calendar: Calendar, first: date, last: date) -> list[date]:
    """Return the trading days from one day to another, both included, oldest first."""
    return [day for day in days_through(first, last) if calendar.is_trading(day)]


def visible_until(calendar: Calendar, exchange: Exchange, at: datetime) -> datetime | None:
    """Return the end of visibility of the prices shown at an instant; None during a session of the exchange.

    Outside its sessions an exchange stands still: the final state of the last session is shown until the next
    one opens. KRX's after-market does not count as a session here, see `is_disturbed`.
    """
    day = kst(at).date()
    if any(session.opens <= at for session in _after(calendar, day, at, VENUES[exchange])):
        return None
    while True:
        for session in _after(calendar, day, at, _MOVES[exchange]):
            return session.opens
        day = calendar.next_trading_day(day)


def is_disturbed(calendar: Calendar, exchange: Exchange, at: datetime, now: datetime) -> bool:
    """Whether a session of the exchange has opened since an instant, its after-market included."""
    days = trading_days(calendar, kst(at).date(), kst(now).date())
    later_sessions = (session for day in days for session in _after(calendar, day, at, VENUES[exchange]))
    return any(session.opens <= now for session in later_sessions)


def _after(calendar: Calendar, day: date, at: datetime, names: tuple[str, ...]) -> Iterator[Session]:
    """Yield a day's sessions with these name prefixes that end after an instant."""
    return (
        session
        for session in calendar.sessions(day)
        if session.name.startswith(names) and session.closes > at
    )


def visible_day(calendar: Calendar, at: datetime) -> date:
    """Return the trading day of the prices that KRX shows at an instant."""
    day = kst(at).date()
    regular = calendar.session(day, "KRX.regular")
    return day if regular and regular.opens <= at else calendar.previous_trading_day(day)


class Closing(NamedTuple):
    """The visibility of a trading day's final state on KRX: unchanged until `stands_until`, gone at
    `shown_until`."""

    day: date
    closes: datetime
    stands_until: datetime
    shown_until: datetime


def closings(calendar: Calendar, days: Iterable[date]) -> Iterator[Closing]:
    """Yield the closings of trading days on KRX, in their order."""
    for day in days:
        regular = calendar.session(day, "KRX.regular")
        until = visible_until(calendar, Exchange.KRX, regular.closes) if regular else None
        if regular and until:
            later = (session.opens for session in _after(calendar, day, regular.closes, VENUES[Exchange.KRX]))
            yield Closing(day, regular.closes, min(later, default=until), until)
