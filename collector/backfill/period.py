"""The period of a backfill: its finished trading days, and the pending ones."""

from dataclasses import dataclass
from datetime import date, datetime

from collector.base.days import ONE_DAY, day_start, days_through
from collector.errors import ConfigError
from collector.market.calendar import Calendar, kst


@dataclass(frozen=True, slots=True)
class Period:
    """A range of past days, both ends included.

    `days` are its finished trading days, oldest first. `pending` are the others, with the time of their end.
    `newest` is the newest finished trading day, within the period or after it.
    """

    first: date
    last: date
    days: tuple[date, ...]
    pending: tuple[tuple[date, datetime], ...]
    newest: date


def parse_period(first: date, last: date, calendar: Calendar, now: datetime) -> Period:
    """Returns the period as of now; ConfigError for an impossible one."""
    today = kst(now).date()
    if last < first:
        raise ConfigError(
            f"the period ends on {last}, before it begins on {first}; nothing was fetched",
            hint=f"did you mean --from {last} --to {first}?",
        )
    if last > today:
        raise ConfigError(
            f"{last} is in the future: it is {today} in Korea; nothing was fetched",
            hint=f"the last possible day is {today}",
        )
    trading = [day for day in days_through(first, last) if calendar.is_trading(day)]
    if not trading:
        raise ConfigError(
            f"from {first} to {last} there is no trading day: {_reasons(first, last, calendar)}",
            hint="`collector schedule --from DATE --to DATE` shows the trading days",
        )
    over = tuple(day for day in trading if over_at(calendar, day) <= now)
    pending = tuple((day, over_at(calendar, day)) for day in trading[len(over) :])
    return Period(first, last, over, pending, newest_over(calendar, now))


def over_at(calendar: Calendar, day: date) -> datetime:
    """Returns the time a trading day's bar is final: the end of KRX's last session of the day.

    It is midnight if the calendar knows no hours, as before May 2000.
    """
    closes = (session.closes for session in calendar.sessions(day) if session.name.startswith("KRX."))
    return max(closes, default=day_start(day + ONE_DAY))


def newest_over(calendar: Calendar, now: datetime) -> date:
    """Returns the newest trading day with a final bar."""
    day = kst(now).date()
    if calendar.is_trading(day) and over_at(calendar, day) <= now:
        return day
    return calendar.previous_trading_day(day)


def _reasons(first: date, last: date, calendar: Calendar) -> str:
    reasons = [f"{day} {calendar.closed_reason(day)}" for day in days_through(first, last)]
    return ", ".join(reasons[:7]) + (", ..." if len(reasons) > 7 else "")
