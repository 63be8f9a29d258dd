"""The duration of a round trip to the server, and of opening a connection to it.

`real` stands for the real host: figures of three public clients, 2026. A warm call takes 0.37–0.65 s with a median of
0.46 s, and up to 2.5 s now and then; a new connection takes 0.8–1.4 s more.
"""

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from kiwoom_simulator.options import Options

FASTEST, MEDIAN, USUAL_MAXIMUM, SLOWEST = 0.37, 0.46, 0.65, 2.5
"""Seconds of a warm call to the real host."""
SLOW_SHARE = 0.01
"""Share of the calls between `USUAL_MAXIMUM` and `SLOWEST`."""
CONNECTION = (0.8, 1.4)
"""Seconds from the opening of a connection to the real host until its first request can be read."""
SHARE_BEFORE_COUNT = {"before": 0.0, "middle": 0.5, "after": 1.0}
"""Share of a round trip before the quota counts its request, by the option `count`."""


@dataclass
class Latency:
    """Draws durations in seconds. The same options give the same draws."""

    options: Options

    def __post_init__(self) -> None:
        self._random = Random(self.options.seed)  # noqa: S311 - durations, not a secret

    def split_round_trip(self) -> tuple[float, float]:
        """Seconds of one round trip before the request counts, and after that."""
        seconds = self._round_trip()
        share = SHARE_BEFORE_COUNT[self.options.count]
        return seconds * share, seconds * (1 - share)

    def connection(self) -> float:
        """Seconds that a new connection takes, in addition to its first round trip."""
        return self._random.uniform(*CONNECTION) if self.options.latency == "real" else 0.0

    def _round_trip(self) -> float:
        if self.options.latency == "real":
            return self._real_round_trip() + self._jitter()
        return self.options.latency / timedelta(seconds=1) + self._jitter()

    def _jitter(self) -> float:
        jitter = self.options.jitter / timedelta(seconds=1)
        return jitter * self._random.random() if jitter else 0.0

    def _real_round_trip(self) -> float:
        if self._random.random() < SLOW_SHARE:
            return self._random.uniform(USUAL_MAXIMUM, SLOWEST)
        is_fast = self._random.random() < 0.5
        return self._random.uniform(*((FASTEST, MEDIAN) if is_fast else (MEDIAN, USUAL_MAXIMUM)))
