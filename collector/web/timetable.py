"""The expected slots and targets, by the configuration in force: schedules, calendar and universes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from collector.config import Config, universe_targets
from collector.market.calendar import Calendar
from collector.market.schedule import ScheduledSlot, merge_slots
from collector.model import KST, Sector, Target

DAY = timedelta(days=1)


@dataclass(frozen=True)
class ConfiguredTimetable:
    """One version of the timetable, with targets by universe."""

    config: Config
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]

    def slots(self, day: date) -> list[ScheduledSlot]:
        """The slots of a Korean day, in time order."""
        start, end = span(day)
        return list(merge_slots(self.config.schedules, self.calendar, start, end))

    def universe(self, name: str) -> Sequence[Target]:
        """The targets of a universe, or of several joined by `+`; empty for a universe outside the
        configuration.
        """
        targets = (target for part in name.split("+") for target in self.targets.get(part, ()))
        return tuple(dict.fromkeys(targets))


def build_timetable(config: Config, calendar: Calendar, sectors: Mapping[str, Sector]) -> ConfiguredTimetable:
    """The timetable of a configuration, with the given sectors."""
    targets = {name: universe_targets(config, name, sectors) for name in config.universes}
    return ConfiguredTimetable(config, calendar, targets)


def span(day: date) -> tuple[datetime, datetime]:
    """The first instant of a Korean day, and of the next day."""
    start = datetime.combine(day, time(), KST)
    return start, start + DAY
