"""Refuses schedules that cannot be kept: those that make no sense, and those that the quota cannot carry."""

from collections.abc import Iterator
from datetime import datetime

from collector.calendar import Calendar
from collector.cli.world import World
from collector.config import Config
from collector.errors import ConfigError
from collector.postgres.database import Database
from collector.schedule import sanity


def refuse_complaints(config: Config, calendar: Calendar, now: datetime, *, force: bool) -> None:
    """ConfigError with a line for whatever is wrong with the schedules as such or beside each other."""
    if lines := list(complaints(config, calendar, now, force=force)):
        raise ConfigError("\n".join(lines))


def complaints(config: Config, calendar: Calendar, now: datetime, *, force: bool = False) -> Iterator[str]:
    """The same as lines `FILE:LINE: …`."""
    if not config.schedules:
        example = "schedules: {intraday: {universe: U, every: 5m, during: KRX.regular}}"
        yield config.complaint(("schedules",), f"there are no schedules; allowed is for example `{example}`")
    for found in sanity.complaints(config.schedules, calendar, start=now):
        if not (force and found.forcible):
            path = ("schedules", found.schedule, found.field)
            yield config.complaint(path, f"schedules.{found.schedule}.{found.field}: {found.message}")


async def refuse_infeasible(world: World, calendar: Calendar, held: Database, *, force: bool) -> None:
    """ConfigError with the arithmetic if a sweep cannot end before the next one of its schedule."""
