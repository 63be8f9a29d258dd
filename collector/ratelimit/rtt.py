"""Estimates the smallest round trip to the server from the answers seen so far."""

from collections import deque
from dataclasses import dataclass, field
from heapq import nsmallest

TRUSTED_AFTER = 36
"""Answers after which round trips are judged by those that were seen."""
_SHARE_EVERY = 12
_TRUST = 0.9
_COMPARED = 8
_DOUBT = 4
_REMEMBERED = 512


@dataclass
class MinRttEstimator:
    """What a round trip takes at least, in seconds, by the last 512 answers; a change of route is forgotten in time.

    The quickest one that was seen was hardly the quickest possible. How much quicker one may be shows in how
    near to it the next ones lie: four times as far below it as the eighth lies above it is certain enough, and
    a tenth of it is doubted in any case, since servers and machines have quicker hours.

    `prior` is what all programs have found, good from the first answer on, unless an answer is quicker than
    that, which shows that the network is another one now. A program that has seen fewer than 512 leaves it at that.
    """

    prior: float | None = None
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _count: int = 0

    def add_sample(self, seconds: float) -> None:
        """One answered request took this long from sending to the end of its headers."""
        self._seen.append(seconds)
        self._count += 1

    def lower_bound(self) -> float:
        """The seconds of a round trip that certainly lay after the arrival; 0 until that is known."""
        own = self._estimate()
        if self.prior is None or not self._bears_out(self.prior):
            return own
        return min(own, self.prior) if self._has_seen_enough() else self.prior

    def shareable_estimate(self) -> float | None:
        """What others may take for their `prior`: once in so many answers, and no poorer one than they have."""
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
