"""Estimates the smallest round trip to the server from the answers seen so far."""

from collections import deque
from dataclasses import dataclass, field
from heapq import nsmallest

TRUSTED_AFTER = 36
"""Number of answers before the estimate is used. Decision 0004 compares 12, 32 and 36: after 36, with a
distance of four gaps, no window held one request too many, for one percent of the quota."""
_SHARE_EVERY = 12
_TRUST = 0.9
_COMPARED = 8
_DOUBT = 4
_REMEMBERED = 512


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
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _count: int = 0

    def add_sample(self, seconds: float) -> None:
        """Add the time of one answered request, from sending to the end of its headers."""
        self._seen.append(seconds)
        self._count += 1

    def lower_bound(self) -> float:
        """Return the seconds of a round trip that certainly passed after the arrival; 0 until known."""
        own = self._estimate()
        if self.prior is None or not self._bears_out(self.prior):
            return own
        return min(own, self.prior) if self._has_seen_enough() else self.prior

    def shareable_estimate(self) -> float | None:
        """Return the estimate for other programs' `prior`, after every twelfth answer and if not worse than
        theirs; else None."""
        own = self._estimate()
        if self._count % _SHARE_EVERY or not own:
            return None
        is_poorer = self.prior is not None and own < self.prior and self._bears_out(self.prior)
        return None if is_poorer and not self._has_seen_enough() else own

    def _has_seen_enough(self) -> bool:
        return len(self._seen) == _REMEMBERED

    def _bears_out(self, prior: float) -> bool:
        return min(self._seen, default=prior) >= prior

    def _estimate(self) -> float:
        if len(self._seen) < TRUSTED_AFTER:
            return 0.0
        least = nsmallest(_COMPARED, self._seen)
        return max(0.0, min(_TRUST * least[0], least[0] - _DOUBT * (least[-1] - least[0])))
