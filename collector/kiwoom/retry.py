"""Decides when to retry and when to stop, as values and without a clock of its own.

Three bounds protect a struggling server. A page is requested at most three times. The retries of a sweep are
a tenth of its requests, so a failing server receives little more than its usual load. After several failures
in a row, all requests stop and one request probes.
"""

from dataclasses import dataclass

from collector.errors import ApiError, Rejected, TokenExpired

ATTEMPTS = 3
"""Requests for one page, the first one included."""
WALK_ATTEMPTS = 2
"""Whole walks of one target in one sweep: an invalid next-key restarts the walk once."""
_BASE, _LONGEST = 0.5, 20.0
"""Seconds: the first upper bound of the backoff, doubled with each attempt, and its maximum."""
_FREE_RETRIES, _REQUESTS_PER_RETRY = 10, 10
"""Retries of a sweep in any case, and the sent requests that earn one more: a tenth of additional load at most."""
_FAILURES_TO_OPEN = 5
"""Unavailable answers in a row that open the circuit breaker: more than the retries of a single page."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two probes of an outage, doubled with each failure, and their maximum: a recovery is noticed within
half a minute."""


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds before attempt number `attempt` + 1, min(20, 0.5 · 2^attempt) with full jitter.

    `chance` is uniform in [0, 1).
    """
    return chance * float(min(_LONGEST, _BASE * 2**attempt))


def is_cured_by_first_page(error: ApiError, *, key: str | None) -> bool:
    """Whether a walk refused at this next-key may succeed from its first page.

    The token may have died, and a next-key may not survive that; the list may have changed since page 1; or
    the key is unknown or has expired. An unavailable server, a quota or a denial has nothing to do with the
    key.
    """
    return isinstance(error, TokenExpired) or (key is not None and isinstance(error, Rejected))


@dataclass
class RetryBudget:
    """The retries left to a sweep: ten, and one more for every ten requests sent."""

    requests: int = 0
    retries: int = 0

    def count_request(self) -> None:
        """Count one sent request with any result."""
        self.requests += 1

    def spend(self) -> bool:
        """Take one retry; False if there is none left."""
        if self.retries >= _FREE_RETRIES + self.requests // _REQUESTS_PER_RETRY:
            return False
        self.retries += 1
        return True


@dataclass
class CircuitBreaker:
    """Stops all requests during an outage of the API, and lets one request at a time probe it.

    Times are seconds of any one monotonic clock. `max_outage_seconds` is the longest outage worth waiting
    for: after that `wait` returns None except for the probe, and the remaining walks fail at once.
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
        return self._failures >= _FAILURES_TO_OPEN

    def wait(self, now: float) -> float | None:
        """Return the seconds to wait before the next request, 0 to send it, None if the outage lasted too long.

        If the breaker is open, a caller that gets 0 is the probe and must call `release_probe` at its end. A
        probe without that call (cancelled while it waited for its permit) expires after a while.
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
        """Record the result of a request: an answer, even a refusal, or (`away`) none."""
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
        """Record the end of a request, with any result: the next request may probe."""
        self._probe_until = float("-inf")
