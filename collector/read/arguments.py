"""The arguments of a reader: days, instants, names of markets and exchanges."""

from collections.abc import Sequence
from datetime import date, datetime

from collector.base.day_text import parse_day
from collector.base.days import ONE_DAY
from collector.errors import ConfigError
from collector.model import KST, Exchange, Market

Day = date | str
"""A day of Korea: a date, or a text such as 2026-11-20, 20261120, today, yesterday or -5d."""
Instant = datetime | str
"""An instant: a datetime, or a text such as 2026-11-20T11:00; without an offset it is Korea's time."""


def read_day(day: Day) -> date:
    """Returns a day as a date. ConfigError for a text that is not a day."""
    if isinstance(day, datetime):
        return day.astimezone(KST).date()
    if isinstance(day, date):
        return day
    try:
        return parse_day(day, today())
    except ValueError as error:
        raise ConfigError(str(error)) from None


def read_instant(at: Instant) -> datetime:
    """Returns an instant with an offset; without one it is Korean time. ConfigError for another text."""
    try:
        instant = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    except ValueError:
        raise ConfigError(
            f"{at!r} is not an instant; use 2026-11-20T11:00 or 2026-11-20T11:00+09:00"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=KST)


def check_names(market: str | None, exchange: str | None) -> None:
    """ConfigError for a market or an exchange that does not exist."""
    for text, names, noun in ((market, Market, "a market"), (exchange, Exchange, "an exchange")):
        if text is not None and text not in {str(name) for name in names}:
            raise ConfigError(f"{text!r} is not {noun}; use one of {', '.join(map(str, names))}")


def today() -> date:
    """Returns the day in Korea."""
    return datetime.now(KST).date()


def list_stretches(days: Sequence[date]) -> list[tuple[date, date]]:
    """Days in order as stretches without a gap: the database answers a stretch at once."""
    stretches: list[tuple[date, date]] = []
    for day in days:
        if stretches and day - stretches[-1][1] == ONE_DAY:
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches
