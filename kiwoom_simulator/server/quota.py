"""Kiwoom's rate limit, judged by the arrival times of requests."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 1.0


@dataclass
class Window:
    """A strict sliding second: at most `limit` arrivals in any half-open second; 0 means no limit.

    `peak` is the largest number of arrivals within one second, refused ones included.
    """

    limit: int
    counts_refused: bool = False
    peak: int = 0
    _all: deque[float] = field(default_factory=deque)
    _granted: deque[float] = field(default_factory=deque)

    def admits(self, arrival: float) -> bool:
        self._all.append(arrival)
        _forget(self._all, arrival)
        self.peak = max(self.peak, len(self._all))
        granted = self._all if self.counts_refused else self._granted
        _forget(self._granted, arrival)
        taken = len(granted) - (1 if self.counts_refused else 0)
        if self.limit and taken >= self.limit:
            return False
        self._granted.append(arrival)
        return True


@dataclass
class Bucket:
    """A burst allowance: `size` requests at once, refilled at `rate` a second."""

    rate: float
    size: int
    _level: float = -1.0
    _at: float = 0.0

    def admits(self, arrival: float) -> bool:
        filled = self.size if self._level < 0 else self._level + (arrival - self._at) * self.rate
        self._level, self._at = min(float(self.size), filled), arrival
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


def _forget(arrivals: deque[float], now: float) -> None:
    while arrivals and arrivals[0] <= now - WINDOW:
        arrivals.popleft()
