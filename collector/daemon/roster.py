"""What the daemon is to do: when it sweeps which targets, by which calendar, and how long rows are kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from collector import schedule as slots
from collector.calendar import Calendar
from collector.model import Target
from collector.schedule import Schedule, Slot


@dataclass(frozen=True)
class Roster:
    """One complete, valid version of it. `keep_days` 0 is for ever."""

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]
    """By universe."""
    keep_days: int = 0

    def due(self, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots later than `after` and not later than `until`, in time order."""
        return slots.due(self.schedules, self.calendar, after, until)

    def next(self, after: datetime) -> Slot | None:
        """The first slot later than `after`, None if there is none for years."""
        return slots.next_slot(self.schedules, self.calendar, after)

    def is_slot(self, schedule: Schedule, at: datetime) -> bool:
        """Whether the schedule falls due at that very instant."""
        return any(slots.instants(schedule, self.calendar, at, at + datetime.resolution))
