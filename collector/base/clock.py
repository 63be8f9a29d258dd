"""The clock that the daemon lives by: the wall's, since slots are instants of the wall's time.

It is an argument everywhere, so that a test can let a year pass in a minute.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

GLANCE = 1.0
"""Seconds at most between two looks at the wall: it may be stepped, and the machine may have been suspended."""
STEP = timedelta(seconds=1)
"""A wall that goes back by this much has been stepped; less is a clock being disciplined."""

DISCIPLINED = timedelta(minutes=1)
"""A wall that goes back by less only makes the next slot wait; by more, it was wrong before."""


class Clock(Protocol):
    """The wall, and waiting for it to show a time."""

    def now(self) -> datetime: ...

    async def sleep_until(self, at: datetime, unless: asyncio.Event) -> None:
        """Return when the wall shows `at`, when it was stepped back, or when `unless` is set."""


class SystemClock:
    """The machine's own."""

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
