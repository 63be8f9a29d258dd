"""The expected work: the slots of all schedules by one calendar, and the targets of each universe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.base.days import ONE_DAY, day_bounds, day_start
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, ScheduledSlot, due_slots, instants, merge_slots, next_slot
from collector.model import Target

_LONG_AGO = 60
"""Days to look back for the newest day with slots: longer than any closure of the market."""
_LOOK_BACK = timedelta(minutes=15)
"""The newest slots are sought in this time first: a day of a schedule may have thousands."""


@dataclass(frozen=True)
class Timetable:
    """One version of the schedules, the calendar and the targets by universe.

    All slots come in time order, and a universe is due once at most at an instant.
    """

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]

    def universe(self, name: str) -> tuple[Target, ...]:
        """Returns the targets of a universe, or of several joined by `+`, each target once.

        Empty for a universe outside the timetable.
        """
        targets = (target for part in name.split("+") for target in self.targets.get(part, ()))
        return tuple(dict.fromkeys(targets))

    def between(self, start: datetime, end: datetime) -> Iterator[ScheduledSlot]:
        """Yields the slots from `start` on and before `end`."""
        return merge_slots(self.schedules, self.calendar, start, end)

    def on(self, day: date) -> list[ScheduledSlot]:
        """Returns the slots of a Korean day."""
        return list(self.between(*day_bounds(day)))

    def due(self, after: datetime, until: datetime) -> Iterator[ScheduledSlot]:
        """Yields the slots later than `after` and not later than `until`."""
        return due_slots(self.schedules, self.calendar, after, until)

    def newest(self, after: datetime, until: datetime) -> Mapping[str, ScheduledSlot]:
        """Returns the last slot of each schedule later than `after` and not later than `until`, by schedule."""
        span = _LOOK_BACK
        while True:
            start = max(after, until - span)
            found = {slot.schedule: slot for slot in self.due(start, until)}
            if start == after or len(found) == len(self.schedules):
                return found
            span *= 10

    def next(self, after: datetime) -> ScheduledSlot | None:
        """Returns the first slot later than `after`, None without one for years."""
        return next_slot(self.schedules, self.calendar, after)

    def instants(self, schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yields the instants of one schedule from `start` on and before `end`."""
        return instants(schedule, self.calendar, start, end)

    def is_slot(self, schedule: Schedule, at: datetime) -> bool:
        """Returns True if the schedule falls due at exactly this instant."""
        return any(self.instants(schedule, at, at + datetime.resolution))

    def overdue(self, first: date, last: date, now: datetime) -> list[ScheduledSlot]:
        """Returns the slots of the days from `first` to `last`, both included, with a deadline not after `now`."""
        end = min(day_start(last + ONE_DAY), now)
        return [slot for slot in self.between(day_start(first), end) if slot.deadline <= now]

    def last_overdue_day(self, now: datetime) -> tuple[date, list[ScheduledSlot]] | None:
        """Returns the newest day with overdue slots, and those slots; None without any in the last 60 days."""
        today = kst(now).date()
        for day in (today - days_ago * ONE_DAY for days_ago in range(_LONG_AGO)):
            if overdue := self.overdue(day, day, now):
                return day, overdue
        return None
