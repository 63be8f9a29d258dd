"""What the daemon is to do: when it sweeps which targets, by which calendar, and how long rows are kept where."""

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
"""The hour of Korea from which on no day is archived: sweeps have the machine for themselves."""


async def _nothing(_before: date) -> None:
    """No day is archived."""


async def _unread(_day: date, _files: Sequence[tuple[Path, str]]) -> str:
    """Nothing reads files here, so none is whole."""
    return "its files cannot be read here"


@dataclass(frozen=True)
class Timetable:
    """One complete, valid version of it. `keep_days` 0 is for ever, `archive_after_days` 0 never."""

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]
    """By universe."""
    keep_days: int = 0
    archive_after_days: int = 0
    archive: Callable[[date], Awaitable[None]] = _nothing
    """Moves the days before a date into files."""
    prove: Prove = _unread
    """Reads the files of an archived day."""
    raw_days: int = 0
    """Days that answers are kept as they came."""
    repair: Callable[[date], Awaitable[None]] | None = None
    """Reconstructs the missed slots up to a day; None: that is not wanted."""

    def archivable(self, now: datetime) -> date | None:
        """The day before which all may be archived now; None by day, and where nothing is archived.

        That of which the closing is on show is not among them: over a weekend it would be refused each night.
        """
        here = kst(now)
        if not self.archive_after_days or here.hour >= MORNING:
            return None
        return min(here.date() - timedelta(days=self.archive_after_days), visible_day(self.calendar, now))

    def repairable(self, now: datetime) -> date | None:
        """The newest day that may be repaired now; None by day, and where nothing is repaired."""
        here = kst(now)
        if self.repair is None or here.hour >= MORNING:
            return None
        return self.calendar.previous_trading_day(here.date())

    def due(self, after: datetime, until: datetime) -> Iterator[ScheduledSlot]:
        """The slots later than `after` and not later than `until`, in time order."""
        return slots.due_slots(self.schedules, self.calendar, after, until)

    def next(self, after: datetime) -> ScheduledSlot | None:
        """The first slot later than `after`, None if there is none for years."""
        return slots.next_slot(self.schedules, self.calendar, after)

    def is_slot(self, schedule: Schedule, at: datetime) -> bool:
        """Whether the schedule falls due at that very instant."""
        return any(slots.instants(schedule, self.calendar, at, at + datetime.resolution))
