"""Estimates the smallest round trip to the server from the answers seen so far."""

from collections import deque
from dataclasses import dataclass, field
from heapq import nsmallest

TRUSTED_AFTER = 8
"""Number of answers before the estimate is used. Until there are `_FIRM`, it is the more careful the fewer there
are."""
_FIRM = 36
"""Answers after which their number no longer makes the estimate more careful (decision 0004)."""
_SHARE_EVERY = 12
"""Answers between two writes of the estimate to the database: each write is one more statement."""
_MAX_SHARE = 0.98
"""Largest share of the smallest sample that counts: clocks and machines have a grain."""
_RANK = 8
"""The sample compared with the smallest is the eighth smallest (decision 0004)."""
_GAPS = 0.5
"""Gaps subtracted from the smallest sample. Of a round trip that varies within sharp limits this reaches the limit;
the caution multiplies it after refusals (decision 0004)."""
_SAMPLES = 512
"""Answers kept (decision 0004)."""


@dataclass
class MinRttEstimator:
    """The smallest round trip in seconds, by the last 512 answers; a change of route is forgotten in time.

    The minimum seen overestimates the true minimum. Subtract half the gap between the smallest and the eighth
    smallest sample, more after few answers or refusals, and never trust more than 98 % of the smallest.

    `prior` is the estimate shared through the database. It is discarded if a faster answer is seen.
    """

    prior: float | None = None
    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    _count: int = 0

    def add_sample(self, seconds: float) -> None:
        """Add the time of one answered request, from sending to the end of its headers."""
        self._samples.append(seconds)
        self._count += 1

    def lower_bound(self, caution: float = 1.0) -> float:
        """Return the seconds of a round trip below which hardly any is; 0 until known.

        A `caution` above 1 subtracts so many times the gap.
        """
        bound = self._estimate()
        if self.prior is not None and min(self._samples, default=self.prior) >= self.prior:
            bound = max(bound, self.prior)
        return max(0.0, bound - (max(caution, 1.0) - 1) * _GAPS * self._gap())

    def shareable_estimate(self) -> float | None:
        """Return the estimate for other programs' `prior`: the first at once, a firm one after every twelfth answer;
        else None."""
        is_due = self._count == TRUSTED_AFTER or (self._count >= _FIRM and not self._count % _SHARE_EVERY)
        return (self._estimate() or None) if is_due else None

    def _estimate(self) -> float:
        if len(self._samples) < TRUSTED_AFTER:
            return 0.0
        least = min(self._samples)
        doubt = _GAPS * max(1.0, _FIRM / len(self._samples))
        return max(0.0, min(_MAX_SHARE * least, least - doubt * self._gap()))

    def _gap(self) -> float:
        least = nsmallest(_RANK, self._samples)
        return least[-1] - least[0] if least else 0.0
