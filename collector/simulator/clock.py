"""The clock of the simulated market: real by default, or started elsewhere, accelerated, or standing still.

Only prices follow it. Tokens and quotas live in real time, because the client under test does.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """`at` was the market's time when the real (monotonic) clock showed `since`; from there it runs at `speed`."""

    at: datetime
    speed: float = 1.0
    since: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=(time.monotonic() - self.since) * self.speed)

    def turn(self, at: datetime | None = None, speed: float | None = None) -> None:
        """Set the hands, the speed (0: prices stand still), or both."""
        self.at = at or self.now()
        self.speed = self.speed if speed is None else speed
        self.since = time.monotonic()


def start(*, now: datetime | None, freeze: datetime | None, speed: float) -> Clock:
    """The clock that the options ask for."""
    if freeze is not None:
        return Clock(freeze, speed=0.0)
    return Clock(now or datetime.now(UTC), speed=speed)
