"""The clock of the simulated market: real by default, or with another start, accelerated, or frozen.

Only prices follow it. Tokens and quotas use real time, like the client under test (`Options.tokens_ahead`).
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kiwoom_simulator.market.sessions import Moments, Sessions
from kiwoom_simulator.options import Options


@dataclass
class SimulatedClock:
    """The market's time was `at` when the monotonic clock showed `since`; it runs at `speed` (0: frozen).

    `is_closed` makes the day a holiday absent from every calendar.
    """

    sessions: Sessions
    at: datetime
    speed: float = 1.0
    is_closed: bool = False
    since: float = field(default_factory=time.monotonic)
    _held: tuple[tuple[datetime, bool], Moments] | None = None

    def now(self) -> datetime:
        return self.at + timedelta(seconds=(time.monotonic() - self.since) * self.speed)

    def moments(self) -> Moments:
        """The current moments of the venues, computed once a second; their resolution is a second."""
        at = self.now().replace(microsecond=0)
        if self._held is None or self._held[0] != (at, self.is_closed):
            self._held = (at, self.is_closed), self.sessions.moments(at, closed=self.is_closed)
        return self._held[1]

    def turn(
        self, *, at: datetime | None = None, speed: float | None = None, is_closed: bool | None = None
    ) -> None:
        """Change the given values and keep the others."""
        self.at = at or self.now()
        self.since = time.monotonic()
        self.speed = self.speed if speed is None else speed
        self.is_closed = self.is_closed if is_closed is None else is_closed


def start_clock(options: Options, sessions: Sessions) -> SimulatedClock:
    """The clock according to the options."""
    if options.freeze is not None:
        return SimulatedClock(sessions, options.freeze, speed=0.0, is_closed=options.closed)
    return SimulatedClock(sessions, options.now or datetime.now(UTC), options.speed, options.closed)
