"""Estimates the smallest round trip to the server from the answers seen so far."""

from collections import deque
from dataclasses import dataclass, field
from heapq import nsmallest

TRUSTED_AFTER = 36
"""Number of answers before the estimate is used. Decision 0004 compares 12, 32 and 36: after 36, with a
distance of four gaps, no window held one request too many, for one percent of the quota."""
_SHARE_EVERY = 12
"""Answers between two writes of the estimate to the database: each write is one more statement."""
_MAX_SHARE = 0.9
"""Largest share of the smallest sample that counts: servers and machines have faster hours (decision 0004)."""
_RANK = 8
"""The sample compared with the smallest is the eighth smallest (decision 0004)."""
_GAPS = 4
"""Gaps subtracted from the smallest sample: with one gap after 12 answers, nine of 3,000 requests would have come too
early; with four after 36, none did (decision 0004)."""
_SAMPLES = 512
"""Answers kept; a program with fewer does not lower the shared estimate (decision 0004)."""


@dataclass
class MinRttEstimator:
    """The smallest round trip in seconds, by the last 512 answers; a change of route is forgotten in time.

    The minimum seen overestimates the true minimum. Subtract four times the gap between the smallest and the
    eighth smallest sample, and never trust more than 90 % of the smallest, since servers and machines have
    faster hours.

    `prior` is the estimate shared through the database. It is discarded if a faster answer is seen, and
    overridden only after 512 own samples.
    """

    prior: float | None = None
    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    _count: int = 0

    def add_sample(self, seconds: float) -> None:
        """Add the time of one answered request, from sending to the end of its headers."""
        self._samples.append(seconds)
        self._count += 1

    def lower_bound(self) -> float:
        """Return the seconds of a round trip that certainly passed after the arrival; 0 until known."""
        own = self._estimate()
        if self.prior is None or not self._is_consistent(self.prior):
            return own
        return min(own, self.prior) if self._has_full_history() else self.prior

    def shareable_estimate(self) -> float | None:
        """Return the estimate for other programs' `prior`, after every twelfth answer and if not worse than
        theirs; else None."""
        own = self._estimate()
        if self._count % _SHARE_EVERY or not own:
            return None
        is_worse = self.prior is not None and own < self.prior and self._is_consistent(self.prior)
        return None if is_worse and not self._has_full_history() else own

    def _has_full_history(self) -> bool:
        return len(self._samples) == _SAMPLES

    def _is_consistent(self, prior: float) -> bool:
        return min(self._samples, default=prior) >= prior

    def _estimate(self) -> float:
        if len(self._samples) < TRUSTED_AFTER:
            return 0.0
        least = nsmallest(_RANK, self._samples)
        return max(0.0, min(_MAX_SHARE * least[0], least[0] - _GAPS * (least[-1] - least[0])))
