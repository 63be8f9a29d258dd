"""When to ask again and when to stop: decisions as values, made without a clock of their own.

Three bounds keep a struggling server from being hammered. A page is asked at most three times. The retries
of a sweep are a tenth of its requests, so that a server that fails everything sees little more than the
load it fails under. And when failures come in a row, everybody stops and one request probes.
"""

from dataclasses import dataclass

from collector.errors import ApiError, Rejected, TokenExpired

ATTEMPTS = 3
"""Requests for one page, the first one included."""
WALK_ATTEMPTS = 2
"""Whole walks of one target in one sweep: a key of the next page that is not good any more starts it over once."""
_BASE, _LONGEST = 0.5, 20.0
_FLOOR, _EVERY = 10, 10
_IN_A_ROW = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def backoff(attempt: int, chance: float) -> float:
    """Seconds before attempt number `attempt` + 1, with full jitter: `chance` is uniform in [0, 1)."""
    return chance * float(min(_LONGEST, _BASE * 2**attempt))


def is_cured_by_first_page(error: ApiError, *, key: str | None) -> bool:
    """Whether a walk that was refused at the page of this next-key may go well if it begins anew.

    The token may have died, which nobody knows a key to outlive; the list may have changed since page 1; or the
    key is unknown or has expired. A server that is away, a quota or a denial is no affair of the key.
    """
    return isinstance(error, TokenExpired) or (key is not None and isinstance(error, Rejected))


@dataclass
class RetryBudget:
    """How many retries a sweep may still spend: ten, and one for every ten requests sent."""

    requests: int = 0
    retries: int = 0

    def count_request(self) -> None:
        """One request went out, whatever came of it."""
        self.requests += 1

    def spend(self) -> bool:
        """Take one retry; False if there is none left."""
        if self.retries >= _FLOOR + self.requests // _EVERY:
            return False
        self.retries += 1
        return True


@dataclass
class CircuitBreaker:
    """Stops everybody when the API is down, and lets one request at a time find out whether it is back.

    Times are seconds of any one monotonic clock. `max_outage_seconds` is how long an outage may last before waiting
    for it is given up: from then on `wait` answers None to all but the probe, and the walks that are left
    fail at once.
    """

    max_outage_seconds: float
    _failures: int = 0
    _since: float = 0.0
    _closed_until: float = 0.0
    _pause: float = 0.0
    _probe_until: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether requests are being held back."""
        return self._failures >= _IN_A_ROW

    def wait(self, now: float) -> float | None:
        """Seconds to wait before asking again, 0 to go ahead; None: the outage outlasted our patience.

        Who is told to go ahead while it is open is the probe, and says so with `release_probe` when it is done. One
        that says nothing (it was cancelled while it waited for its turn) is given up after a while.
        """
        if not self.is_open:
            return 0.0
        if now >= max(self._closed_until, self._probe_until):
            self._probe_until = now + _LONGEST_PAUSE
            return 0.0
        if now - self._since > self.max_outage_seconds:
            return None
        return max(self._closed_until - now, 0.1)

    def record(self, now: float, *, away: bool) -> None:
        """A request was answered, if only with a refusal, or (`away`) found nobody there."""
        if not away:
            self._failures = 0
            self._pause = 0.0
            return
        if self._failures == 0:
            self._since = now
        self._failures += 1
        if self.is_open:
            self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
            self._closed_until = now + self._pause

    def release_probe(self) -> None:
        """A request has ended, however: the next one may probe."""
        self._probe_until = float("-inf")
