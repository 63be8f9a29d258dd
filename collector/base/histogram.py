"""Counts durations in buckets, as Prometheus does: a bucket holds all durations up to its bound."""

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)
"""Seconds. A page of the real host takes 0.1 to 0.5; a request is given up after `api.timeout`, 10 by default."""


class Histogram:
    """The durations of one kind of work, in seconds."""

    def __init__(self) -> None:
        self.total = 0.0
        """The sum of all durations."""
        self._counts = [0] * (len(BOUNDS) + 1)

    def observe(self, seconds: float) -> None:
        """Add a duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add(self, other: "Histogram") -> None:
        """Add the durations of another histogram."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.total += other.total

    def buckets(self) -> Sequence[tuple[str, int]]:
        """The bounds as texts with the number of durations up to each; the last bound is +Inf."""
        names = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        return [(name, sum(self._counts[: index + 1])) for index, name in enumerate(names)]
