"""Judges which part of a round trip comes after the server has counted the request.

A round trip has a shortest duration and a rest, which varies. The server counts at an unknown moment: at its gate, so
that the rest is its work, or after the work. The `caution` of a key and api-id is the share of the rest that is taken
for the time before the count: 1 is all of it, which is right for every server. It shrinks while no request is refused
and doubles with a refusal. Above 1, the shortest round trip itself is doubted.

All programs share the caution through the database (`permits`). Decision 0004 has the measurements.
"""

from datetime import timedelta

INITIAL = 1.0
MOST = 8.0
"""At this caution the estimate is as careful as a fixed rule that was never refused (decision 0004)."""
LEAST = 1 / 16
LEAST_MARGIN = 0.025
"""Seconds that a permit is always kept beyond the window, unless the whole rest is shorter. It covers the jitter of
the network and of a busy machine on the way to the gate, for at most 2.5 % of the quota."""
TRIALS_AT_FIRST = 10
"""Requests at one caution before it shrinks, as long as nothing was refused."""
STEP_AT_FIRST = 2**0.5
TRIALS = 1500
"""The same after a refusal: a caution just too small is refused about once in so many requests."""
STEP = 1.25
CALM_AFTER = timedelta(days=1)
"""Time after a refusal from which the caution shrinks as at first: servers change."""
GROWTH = 2.0
"""Factor after a refusal: two steps back."""


def time_after_count(round_trip: float, shortest: float, caution: float) -> float:
    """Return the seconds of a round trip that are taken to have passed after the server counted the request.

    `shortest` is the lower bound of a round trip; 0 until it is known, and then nothing is assumed.
    """
    rest = round_trip - shortest
    if shortest <= 0 or rest <= 0:
        return min(shortest, round_trip)
    return round_trip - min(rest, max(LEAST_MARGIN, min(caution, 1.0) * rest))


def is_trial(round_trip: float, shortest: float, caution: float) -> bool:
    """Return whether such a request says anything about the caution: a smaller one would free its permit earlier."""
    return shortest > 0 and min(caution, 1.0) * (round_trip - shortest) > LEAST_MARGIN
