"""Judges which part of a round trip comes after the server has counted the request.

A round trip has a shortest duration and a rest, which varies. The server counts at an unknown moment: at its gate, so
that the rest is its work, or after the work. The `caution` of a key and api-id is the share of the rest that is taken
for the time before the count: 1 is all of it, which is right for every server. It shrinks while no request is refused
and grows with a refusal. Above 1, the shortest round trip itself is doubted.

All programs share the caution through the database (`permits`). Decision 0004 has the measurements.
"""

from datetime import timedelta

INITIAL = 1.0
MOST = 8.0
"""At this caution the estimate is as careful as a fixed rule that was never refused (decision 0004)."""
LEAST = 1 / 16
LEAST_MARGIN = 0.012
"""Seconds that a permit is always kept beyond the window, unless the whole rest is shorter. It covers the jitter of
the network and of a busy machine on the way to the gate, for at most 1.2 % of the quota. Where it is too short, a
refusal shows it, and the caution covers more."""
TRIALS_AT_FIRST = 32
"""Requests at one caution before it shrinks, as long as nothing was refused. About the first seven use permits that
were released by the caution before; with 10 in all, the caution shrank a step too far before the refusal came."""
TRIALS_OF_FULL = 12
"""The same at a caution of 1 or more: nothing can be refused there, so they only wait for a better estimate."""
STEP_AT_FIRST = 2**0.5
TRIALS = 1500
"""The same after a refusal: a caution just too small is refused about once in so many requests."""
STEP = 1.25
CALM_AFTER = timedelta(days=1)
"""Time after a refusal from which the caution shrinks as at first: servers change."""
GROWTH, GROWTH_SOON = STEP_AT_FIRST, 2.0
"""Factors after a refusal: one step back, to the smallest caution that was not refused; and after a refusal that came
`SOON` after the one before, since the caution is far from right then."""
SOON = timedelta(seconds=4)
LEAST_REFUSED = 0.25
"""Least caution after a refusal. Below it, a step adds less than a busy machine needs, and would be refused again."""


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
