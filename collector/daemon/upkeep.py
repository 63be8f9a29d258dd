"""The daemon's nightly work as configured: how long rows and answers are kept, archiving, repair."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.db.retention import Prove
from collector.market.calendar import Calendar, kst
from collector.market.visibility import visible_day

MORNING = 6
"""The hour of Korea after which no day is archived: sweeps have the machine to themselves."""


async def _archive_nothing(_before: date) -> None:
    """Archives nothing."""


async def _read_nothing(_day: date, _files: Sequence[tuple[str, str]]) -> str:
    """Reads no files, so no file counts as whole."""
    return "its files cannot be read here"


@dataclass(frozen=True)
class Upkeep:
    """One version of the settings. `keep_days` 0 means for ever, `archive_after_days` 0 never."""

    keep_days: int = 0
    archive_after_days: int = 0
    archive: Callable[[date], Awaitable[None]] = _archive_nothing
    """Archives the days before a date."""
    prove: Prove = _read_nothing
    """Reads the files of an archived day."""
    raw_days: int = 0
    """Days for which answers are kept as received."""
    repair: Callable[[date], Awaitable[None]] | None = None
    """Reconstructs the missed slots of a day; None: nothing is repaired."""

    def archivable(self, calendar: Calendar, now: datetime) -> date | None:
        """Returns the day before which days may be archived now; None during the day, or if archiving is off.

        Excludes the day whose closing prices the API still shows; archiving it would be refused every night
        of a weekend.
        """
        local = kst(now)
        if not self.archive_after_days or local.hour >= MORNING:
            return None
        return min(local.date() - timedelta(days=self.archive_after_days), visible_day(calendar, now))

    def repairable(self, calendar: Calendar, now: datetime) -> date | None:
        """Returns the newest day to be repaired now; None during the day, or if repair is off."""
        local = kst(now)
        if self.repair is None or local.hour >= MORNING:
            return None
        return calendar.previous_trading_day(local.date())
