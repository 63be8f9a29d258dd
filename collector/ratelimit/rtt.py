"""Estimates the smallest round trip to the server from the answers seen so far."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field

TRUSTED_AFTER = 5
"""Number of answers before the estimate is used. Until there are `_FIRM`, it is the more careful the fewer there
are."""
_FEW, _FEW_DOUBT = 12, 4.0
"""With fewer answers the gap says little. Then the share `_FEW_DOUBT` ÷ answers of the quickest is doubted, if that is
less: 4/5 of it after 5 answers, half of it after 8."""
_FIRM = 24
"""Answers after which their number no longer makes the estimate more careful (decision 0004)."""
_SHARE_EVERY, _SHARE_EVERY_AT_FIRST = 12, 4
"""Answers between two writes of the estimate to the database, and between those before it is firm: each write is one
more statement, but programs that begin together learn from each other."""
_LEAST_SHARED = 0.5
"""Least share of the smallest sample that is worth a write: the stored value rises by small steps only."""
_LEAST_DOUBT, _MOST_LEAST_DOUBT = 0.02, 0.003
"""Share of the smallest sample that is doubted in any case, and the most that this comes to in seconds: clocks and
machines have a grain, and it does not grow with the distance."""
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
    smallest sample, more after few answers or refusals, and in any case a grain of 2 % and at most 3 ms.

    `prior` is the estimate shared through the database. It is discarded if a faster answer is seen.
    """

    prior: float | None = None
    _samples: deque[float] = field(default_factory=deque)
    _ascending: list[float] = field(default_factory=list)
    """The samples by size: an answer asks for the smallest ones several times."""
    _count: int = 0

    def add_sample(self, seconds: float) -> None:
        """Add the time of one answered request, from sending to the end of its headers."""
        if len(self._samples) == _SAMPLES:
            del self._ascending[bisect_left(self._ascending, self._samples.popleft())]
        self._samples.append(seconds)
        insort(self._ascending, seconds)
        self._count += 1

    def lower_bound(self, caution: float = 1.0) -> float:
        """Return the seconds of a round trip below which hardly any is; 0 until known.

        A `caution` above 1 subtracts so many times the gap.
        """
        bound = self._estimate()
        if self.prior is not None and (not self._samples or self._ascending[0] >= self.prior):
            bound = max(bound, self.prior)
        return max(0.0, bound - (max(caution, 1.0) - 1) * _GAPS * self._gap())

    def shareable_estimate(self) -> float | None:
        """Return the bound for other programs' `prior`: after every twelfth answer, at first after every fourth; else
        None."""
        is_firm = self._count >= _FIRM
        if self._count % (_SHARE_EVERY if is_firm else _SHARE_EVERY_AT_FIRST):
            return None
        estimate = self._estimate()
        is_worth_it = estimate > 0 and estimate >= _LEAST_SHARED * self._ascending[0]
        return self.lower_bound() if is_worth_it else None

    def _estimate(self) -> float:
        if len(self._samples) < TRUSTED_AFTER:
            return 0.0
        least = self._ascending[0]
        count = len(self._samples)
        doubt = _GAPS * max(1.0, _FIRM / count) * self._gap()
        if count < _FEW:
            doubt = min(doubt, _FEW_DOUBT / count * least)
        return max(0.0, least - max(doubt, min(_LEAST_DOUBT * least, _MOST_LEAST_DOUBT)))

    def _gap(self) -> float:
        least = self._ascending[:_RANK]
        return least[-1] - least[0] if least else 0.0
