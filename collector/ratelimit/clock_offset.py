"""Bounds the offset between the local clock and the database's clock."""

from collections import deque
from dataclasses import dataclass, field

_SAMPLE_LIFETIME = 20.0
"""Seconds a sample counts: at 50 ppm, two clocks drift apart by a millisecond meanwhile."""


@dataclass
class ClockOffset:
    """How far the remote clock is ahead of the local one, in seconds: two bounds, narrowed by every sample.

    The remote clock showed its value between the request and the answer. The samples of the last 20 seconds
    count, since clocks drift. If two of them contradict each other, one of the clocks was set, and only the
    newest counts.
    """

    _samples: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=64))
    _least: float = 0.0
    _most: float = 0.0

    def add_sample(self, asked: float, shown: float, answered: float) -> None:
        """Add a sample: the remote clock showed `shown` between the local times `asked` and `answered`."""
        self._samples.append((answered, shown - answered, shown - asked))
        while self._samples[0][0] < answered - _SAMPLE_LIFETIME:
            self._samples.popleft()
        self._least = max(least for _, least, _ in self._samples)
        self._most = min(most for _, _, most in self._samples)
        if self._least > self._most:
            self._samples = deque([self._samples[-1]], maxlen=64)
            _, self._least, self._most = self._samples[0]

    def to_local(self, theirs: float) -> float:
        """Return the local time at which the remote clock has certainly reached `theirs`."""
        return theirs - self._least

    def to_local_earliest(self, theirs: float) -> float:
        """Return the local time before which the remote clock has certainly not reached `theirs`."""
        return theirs - self._most

    def to_remote(self, ours: float) -> float:
        """Return the latest possible remote time at a local time."""
        return ours + self._most
