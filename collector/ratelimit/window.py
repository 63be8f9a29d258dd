"""Computes when a permit is free: a sliding window seen from the far end of a network.

A server with a limit of N requests a second counts *arrivals*. Sending every 1/N seconds is not enough:
jitter bunches requests up on the way. Therefore N permits exist, and a permit comes free one second after the
latest possible arrival of its request at the server. That is the arrival of the answer minus the smallest
round trip, estimated from the answers seen so far.
"""

from datetime import timedelta

WINDOW = timedelta(seconds=1)
COOLDOWN = timedelta(seconds=1.3)
"""Pause of all callers after a refusal; public clients measured that a shorter pause is refused again."""
UNANSWERED_MARGIN = timedelta(seconds=0.25)
"""Margin after the end of an unanswered request, which may still arrive at the server."""


class PermitExpired(Exception):
    """The permit's send time passed, and nothing was sent."""


def free_after(answered_ago: float, certain: float) -> timedelta:
    """Return the time from now until a permit is free, if its answer came `answered_ago` seconds ago.

    `certain` is the lower bound of a round trip in seconds.
    """
    return WINDOW - timedelta(seconds=answered_ago + certain)
