"""The daemon's timetable: schedules, targets and calendar, and how long rows are kept."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from collector.db.retention import Prove
from collector.market import schedule as slots
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, ScheduledSlot
from collector.market.visibility import visible_day
from collector.model import Target

MORNING = 6
"""The hour of Korea after which no day is archived: sweeps have the machine to themselves."""


async def _nothing(_before: date) -> None:
    """Archives nothing."""


async def _unread(_day: date, _files: Sequence[tuple[Path, str]]) -> str:
    """Reads no files, so no file counts as whole."""
    return "its files cannot be read here"


@dataclass(frozen=True)
class Timetable:
    """One valid version of the timetable. `keep_days` 0 means for ever, `archive_after_days` 0 never."""

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]
    """By universe."""
    keep_days: int = 0
    archive_after_days: int = 0
    archive: Callable[[date], Awaitable[None]] = _nothing
    """Archives the days before a date."""
    prove: Prove = _unread
    """Reads the files of an archived day."""
    raw_days: int = 0
    """Days that answers are kept as they came."""
    repair: Callable[[date], Awaitable[None]] | None = None
    """Reconstructs the missed slots up to a day; None: that is not wanted."""

    def archivable(self, now: datetime) -> date | None:
        """Returns the day before which days may be archived now; None during the day, or if archiving is off.

        Excludes the day whose closing prices the API still shows; archiving it would be refused every night
        of a weekend.
        """
        local = kst(now)
        if not self.archive_after_days or local.hour >= MORNING:
            return None
        return min(local.date() - timedelta(days=self.archive_after_days), visible_day(self.calendar, now))

    def repairable(self, now: datetime) -> date | None:
        """The newest day that may be repaired now; None by day, and where nothing is repaired."""
        here = kst(now)
        if self.repair is None or here.hour >= MORNING:
            return None
        return self.calendar.previous_trading_day(here.date())

    def due(self, after: datetime, until: datetime) -> Iterator[ScheduledSlot]:
        """Yields the slots after `after` and up to `until`, in time order."""
        return slots.due_slots(self.schedules, self.calendar, after, until)

    def next(self, after: datetime) -> ScheduledSlot | None:
        """Returns the first slot after `after`, None without one for years."""
        return slots.next_slot(self.schedules, self.calendar, after)

    def is_slot(self, schedule: Schedule, at: datetime) -> bool:
        """Returns True if the schedule falls due at exactly this instant."""
        return any(slots.instants(schedule, self.calendar, at, at + datetime.resolution))
