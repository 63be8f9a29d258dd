"""Computes due slots as a pure function of the schedules, the calendar and a time range.

A schedule is `every: 5m, during: SESSION` (or `day`: around the clock), or `at: HH:MM`, or `at:
SESSION.open|close [± span]`. The slots of `every` are the session's opening, each interval counted from it,
and always the closing, because closing prices matter most. The last step is shorter if the interval does not
divide the session.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from heapq import merge
from typing import NamedTuple

from collector.base.days import ONE_DAY, day_start, days_between
from collector.market.calendar import Calendar, Session, kst
from collector.market.schedule_spec import (
    AtSessionBoundary,
    AtTime,
    Days,
    Every,
    Schedule,
    ScheduleError,
    parse,
)
from collector.model import KST

__all__ = [
    "HORIZON",
    "AtSessionBoundary",
    "AtTime",
    "Days",
    "Every",
    "Schedule",
    "ScheduleError",
    "ScheduledSlot",
    "Skip",
    "due_slots",
    "instants",
    "list_skips",
    "merge_slots",
    "next_slot",
    "parse",
    "slots",
]

HORIZON = timedelta(days=800)
"""Search range for a next slot; a schedule without one in this time never falls due."""

_REACH = timedelta(minutes=10)


class ScheduledSlot(NamedTuple):
    """A due sweep: KST, whole seconds; `session` is the origin of the slot's time.

    A slot noticed after `deadline` is missed. Without a `grace` the deadline is half an interval after the
    slot (ten minutes for `at:`), but no later than the end of the session around the slot. A slot outside all
    sessions, such as one at the closing, can start until a session opens.
    """

    at: datetime
    schedule: str
    universe: str
    session: str | None
    deadline: datetime


class Skip(NamedTuple):
    """A day on which some schedule does not run although it runs on others, with the reason."""

    day: date
    reason: str


def slots(schedule: Schedule, calendar: Calendar, start: datetime, end: datetime) -> Iterator[ScheduledSlot]:
    """Yield the schedule's slots from `start` on and before `end`, in time order."""
    for at, session in _instants_with_sessions(schedule, calendar, start, end):
        deadline = _deadline(schedule, calendar, session, at)
        yield ScheduledSlot(at, schedule.name, schedule.universe, schedule.session, deadline)


def instants(schedule: Schedule, calendar: Calendar, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants of the slots alone."""
    return (at for at, _ in _instants_with_sessions(schedule, calendar, start, end))


def merge_slots(
    schedules: Sequence[Schedule], calendar: Calendar, start: datetime, end: datetime
) -> Iterator[ScheduledSlot]:
    """Yield the slots of all schedules from `start` on and before `end`, in time order, then by schedule name.

    One universe is never due twice at an instant: if two of its schedules coincide, the first name gets the
    slot.
    """
    at, taken = None, set[str]()
    for slot in merge(*(slots(schedule, calendar, start, end) for schedule in schedules)):
        if slot.at != at:
            at, taken = slot.at, set()
        if slot.universe not in taken:
            taken.add(slot.universe)
            yield slot


def due_slots(
    schedules: Sequence[Schedule], calendar: Calendar, after: datetime, until: datetime
) -> Iterator[ScheduledSlot]:
    """Yield the slots later than `after` and not later than `until`."""
    return merge_slots(schedules, calendar, after + datetime.resolution, until + datetime.resolution)


def next_slot(schedules: Sequence[Schedule], calendar: Calendar, after: datetime) -> ScheduledSlot | None:
    """Return the first slot later than `after`; None if there is none within `HORIZON`."""
    return next(due_slots(schedules, calendar, after, after + HORIZON), None)


def list_skips(schedules: Sequence[Schedule], calendar: Calendar, start: date, end: date) -> Iterator[Skip]:
    """Yield the days from `start` on and before `end` skipped by some schedule, with the reasons."""
    for day in days_between(start, end):
        reasons = dict.fromkeys(filter(None, (_why_not(schedule, calendar, day) for schedule in schedules)))
        if reasons:
            yield Skip(day, "; ".join(reasons))


def _instants_with_sessions(
    schedule: Schedule, calendar: Calendar, start: datetime, end: datetime
) -> Iterator[tuple[datetime, Session | None]]:
    start, end = kst(start), kst(end)
    # An offset is at most a day either way, so a slot is at most one day from its session.
    for day in days_between(start.date() - ONE_DAY, end.date() + 2 * ONE_DAY):
        for at, session in _of_day(schedule, calendar, day, start):
            if at >= end:
                return
            if at >= start:
                yield at, session


def _of_day(
    schedule: Schedule, calendar: Calendar, day: date, start: datetime
) -> Iterator[tuple[datetime, Session | None]]:
    """The instants of a day; those before `start` may be left out."""
    if not _runs_on(schedule.days, calendar, day):
        return
    match schedule.when:
        case AtTime(clock):
            yield datetime.combine(day, clock, KST), None
        case AtSessionBoundary(name, edge, offset):
            if session := calendar.session(day, name):
                yield (session.opens if edge == "open" else session.closes) + offset, session
        case Every(interval, None):
            midnight = day_start(day)
            steps = range(max(0, (start - midnight) // interval), -(-ONE_DAY // interval))
            yield from ((midnight + step * interval, None) for step in steps)
        case Every(interval, str(name)):
            if session := calendar.session(day, name):
                yield from _steps(session, interval, start)


def _steps(session: Session, interval: timedelta, start: datetime) -> Iterator[tuple[datetime, Session]]:
    at = session.opens + max(0, (start - session.opens) // interval) * interval
    while at < session.closes:
        yield at, session
        at += interval
    yield session.closes, session


def _runs_on(days: Days, calendar: Calendar, day: date) -> bool:
    match days:
        case Days.ALL:
            return True
        case Days.WEEKDAYS:
            return day.weekday() < 5
        case Days.TRADING:
            return calendar.is_trading(day)


def _deadline(schedule: Schedule, calendar: Calendar, session: Session | None, at: datetime) -> datetime:
    if schedule.grace is not None:
        return at + schedule.grace
    latest = at + (schedule.when.interval / 2 if isinstance(schedule.when, Every) else _REACH)
    if session and session.opens <= at < session.closes:
        return min(latest, session.closes)
    return min(latest, _next_change(calendar, at, latest))


def _next_change(calendar: Calendar, at: datetime, latest: datetime) -> datetime:
    """Return the next change of the market: the last closing of the open sessions, or the next opening if
    none is open."""
    if running := calendar.open_sessions(at):
        return max(session.closes for session in running)
    ahead = (
        session.opens
        for day in days_between(at.date(), latest.date() + ONE_DAY)
        for session in calendar.sessions(day)
    )
    return min((opens for opens in ahead if opens > at), default=latest)


def _why_not(schedule: Schedule, calendar: Calendar, day: date) -> str | None:
    name = schedule.session
    closed = calendar.closed_reason(day)
    if closed and (name or not _runs_on(schedule.days, calendar, day)):
        return closed
    if closed or name is None or calendar.session(day, name):
        return None
    begins = calendar.begins(name)
    if begins is None or day < begins:
        return f"{name}: {f'not before {begins}' if begins else 'never open'}"
    return f"{name}: {calendar.special_reason(day) or 'closed'}"
