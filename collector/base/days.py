"""Computes day bounds and day ranges in Korean time (KST).

A day is a `date` of the Korean calendar. Bounds are aware instants in KST: the start is included, the end is not.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from collector.model import KST

ONE_DAY = timedelta(days=1)


def day_start(day: date) -> datetime:
    """Return the first instant of a day."""
    return datetime.combine(day, time(), KST)


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first instant of a day and the first instant of the next day."""
    return day_start(day), day_start(day + ONE_DAY)


def days_between(start: date, end: date) -> Iterator[date]:
    """Yield the days from `start` (included) to `end` (excluded), oldest first."""
    return (start + offset * ONE_DAY for offset in range((end - start).days))


def days_through(first: date, last: date) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included, oldest first."""
    return days_between(first, last + ONE_DAY)
