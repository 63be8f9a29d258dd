"""Bounds the offset between the local clock and the clock of the database."""

from collections import deque
from dataclasses import dataclass, field

_LOOK_COUNTS = 20.0
"""Seconds: at 50 millionths, two clocks drift apart by a millisecond meanwhile."""


@dataclass
class ClockOffset:
    """How far another clock is ahead of ours, in seconds: between two bounds that every look at it narrows.

    It showed what it showed after we asked and before we were answered. The looks of the last seconds count,
    since clocks drift; where two contradict each other, one of the clocks was set, and only the newest counts.
    """

    _looks: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=64))
    _least: float = 0.0
    _most: float = 0.0

    def add_sample(self, asked: float, shown: float, answered: float) -> None:
        """It showed `shown` between two moments of our clock."""
        self._looks.append((answered, shown - answered, shown - asked))
        while self._looks[0][0] < answered - _LOOK_COUNTS:
            self._looks.popleft()
        self._least = max(least for _, least, _ in self._looks)
        self._most = min(most for _, _, most in self._looks)
        if self._least > self._most:
            self._looks = deque([self._looks[-1]], maxlen=64)
            _, self._least, self._most = self._looks[0]

    def to_local(self, theirs: float) -> float:
        """The moment of our clock at which the other one has certainly come to `theirs`."""
        return theirs - self._least

    def to_local_earliest(self, theirs: float) -> float:
        """The moment of our clock before which the other one has certainly not come to `theirs`."""
        return theirs - self._most

    def to_remote(self, ours: float) -> float:
        """What the other clock shows at most at a moment of ours."""
        return ours + self._most
