"""Provides the daemon's wall clock, because slots are instants of wall time.

The clock is always an argument, so a test can simulate a year in a minute.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

GLANCE = 1.0
"""Longest sleep in seconds between two reads of the clock: it may be stepped, and the machine may be
suspended."""
STEP = timedelta(seconds=1)
"""A backward jump this large is a clock step; a smaller one is NTP slewing."""

DISCIPLINED = timedelta(minutes=1)
"""A smaller backward step only delays the next slot. After a larger one the earlier time is taken as wrong."""


class Clock(Protocol):
    """Wall time, and sleeping until a given time."""

    def now(self) -> datetime: ...

    async def sleep_until(self, at: datetime, unless: asyncio.Event) -> None:
        """Return when the clock shows `at`, when it was stepped back, or when `unless` is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, at: datetime, unless: asyncio.Event) -> None:
        before = now = self.now()
        while now < at and now > before - STEP and not unless.is_set():
            try:
                async with asyncio.timeout(min(GLANCE, (at - now).total_seconds())):
                    await unless.wait()
            except TimeoutError:
                before, now = max(before, now), self.now()
