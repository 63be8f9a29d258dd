"""How fast a key may ask: the arithmetic of a sliding window seen from the far end of a network.

A server that grants N requests a second counts *arrivals*. Sending every 1/N seconds is not enough: with
jitter, requests bunch up on the way. So N places are kept, and a place comes free one second after the
latest moment at which its request can have arrived: its answer's arrival less the shortest way back, for
which stands what a round trip takes at least, as far as those that were seen can tell.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import nsmallest

WINDOW = timedelta(seconds=1)
COOLDOWN = timedelta(seconds=1.3)
"""How long a refusal holds everybody at least (public clients measured that less is refused again)."""
UNANSWERED_MARGIN = timedelta(seconds=0.25)
"""How much later than its end a request that was not answered may still arrive."""
TRUSTED_AFTER = 36
"""Answers after which round trips are judged by those that were seen."""
_SHARE_EVERY = 12
_TRUST = 0.9
_COMPARED = 8
_DOUBT = 4
_REMEMBERED = 512
_LOOK_COUNTS = 20.0
"""Seconds: at 50 millionths, two clocks drift apart by a millisecond meanwhile."""


class PermitExpired(Exception):
    """The moment until which a request might be sent is over, and nothing went out."""


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


def free_after(answered_ago: float, certain: float) -> timedelta:
    """How long from now until a place is free again, if its answer came `answered_ago` seconds ago."""
    return WINDOW - timedelta(seconds=answered_ago + certain)


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
