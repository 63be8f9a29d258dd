"""What should be there: the schedules, their calendar and their targets, as the configuration says now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from collector.calendar import Calendar
from collector.config import Config, universe_targets
from collector.model import KST, Sector, Target
from collector.schedule import Slot, timetable

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Wanted:
    """One version of it; targets by universe."""

    config: Config
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]

    def slots(self, day: date) -> list[Slot]:
        """The slots of a Korean day, in time order."""
        start, end = span(day)
        return list(timetable(self.config.schedules, self.calendar, start, end))

    def universe(self, name: str) -> Sequence[Target]:
        """The targets of a universe, or of several joined by +; none of those that are not known any more."""
        found = (target for part in name.split("+") for target in self.targets.get(part, ()))
        return tuple(dict.fromkeys(found))


def wanted(config: Config, calendar: Calendar, sectors: Mapping[str, Sector]) -> Wanted:
    """What a configuration asks for, by a table of sectors."""
    targets = {name: universe_targets(config, name, sectors) for name in config.universes}
    return Wanted(config, calendar, targets)


def span(day: date) -> tuple[datetime, datetime]:
    """A Korean day's first instant and the next one's."""
    start = datetime.combine(day, time(), KST)
    return start, start + DAY
