"""Finds mistakes in schedules, alone or in combination."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import pairwise
from typing import NamedTuple

from collector.base import duration
from collector.base.days import days_between
from collector.market.calendar import Calendar, kst
from collector.market.schedule import HORIZON, Every, Schedule, instants, next_slot

_MINUTE = timedelta(minutes=1)
# A year includes every day with unusual hours, on which rare overlaps happen.
_YEAR = timedelta(days=366)


class ScheduleWarning(NamedTuple):
    """A mistake in one key of a schedule; --force overrides a `forcible` one."""

    schedule: str
    field: str
    message: str
    forcible: bool = False


def validate(
    schedules: Sequence[Schedule], calendar: Calendar, *, start: datetime
) -> Iterator[ScheduleWarning]:
    """Yield each mistake of schedules that run from `start` on."""
    for schedule in schedules:
        yield from _alone(schedule, calendar, start)
    for universe in dict.fromkeys(schedule.universe for schedule in schedules):
        same = [schedule for schedule in schedules if schedule.universe == universe]
        yield from _together(same, calendar, start)


def _alone(schedule: Schedule, calendar: Calendar, start: datetime) -> Iterator[ScheduleWarning]:
    if next_slot([schedule], calendar, start) is None:
        message = f"never falls due within {HORIZON.days} days; use a session that opens"
        yield ScheduleWarning(schedule.name, _key(schedule), message)
    if isinstance(schedule.when, Every):
        yield from _interval(schedule.name, schedule.when, calendar, kst(start).date())


def _interval(name: str, when: Every, calendar: Calendar, start: date) -> Iterator[ScheduleWarning]:
    shown = duration.show(when.interval)
    if when.interval < _MINUTE:
        message = f"{shown} is below one minute; use 1m or more, or --force"
        yield ScheduleWarning(name, "every", message, forcible=True)
    if when.session is None:
        return
    year = days_between(start, start + _YEAR)
    sessions = filter(None, (calendar.session(day, when.session) for day in year))
    longest = max((session.closes - session.opens for session in sessions), default=when.interval)
    if when.interval > longest:
        message = f"{shown} is longer than {when.session}; use up to {duration.show(longest)}"
        yield ScheduleWarning(name, "every", message)


def _together(same: Sequence[Schedule], calendar: Calendar, start: datetime) -> Iterator[ScheduleWarning]:
    """Yield the slots that two schedules of one universe share on ordinary days.

    On a day with unusual hours two sessions may touch. That is no mistake of the config, and `timetable`
    shows such a slot once.
    """
    if len(same) < 2:
        return
    seen = set()
    marks = merge(*(_marks(schedule, calendar, start) for schedule in same))
    for (at, first, _), (other_at, second, key) in pairwise(marks):
        if at != other_at or (first, second) in seen or calendar.special_reason(at.date()):
            continue
        seen.add((first, second))
        message = f"falls on {at:%Y-%m-%d %H:%M:%S} like {first}, for the same universe; remove one of them"
        yield ScheduleWarning(second, key, message)


def _marks(schedule: Schedule, calendar: Calendar, start: datetime) -> Iterator[tuple[datetime, str, str]]:
    key = _key(schedule)
    return ((at, schedule.name, key) for at in instants(schedule, calendar, start, start + _YEAR))


def _key(schedule: Schedule) -> str:
    return "during" if isinstance(schedule.when, Every) else "at"
