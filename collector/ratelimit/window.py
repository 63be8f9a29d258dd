"""How fast a key may ask: the arithmetic of a sliding window seen from the far end of a network.

A server that grants N requests a second counts *arrivals*. Sending every 1/N seconds is not enough: with
jitter, requests bunch up on the way. So N places are kept, and a place comes free one second after the
latest moment at which its request can have arrived: its answer's arrival less the shortest way back, for
which stands what a round trip takes at least, as far as those that were seen can tell.
"""

from datetime import timedelta

WINDOW = timedelta(seconds=1)
COOLDOWN = timedelta(seconds=1.3)
"""How long a refusal holds everybody at least (public clients measured that less is refused again)."""
UNANSWERED_MARGIN = timedelta(seconds=0.25)
"""How much later than its end a request that was not answered may still arrive."""


class PermitExpired(Exception):
    """The moment until which a request might be sent is over, and nothing went out."""


def free_after(answered_ago: float, certain: float) -> timedelta:
    """How long from now until a place is free again, if its answer came `answered_ago` seconds ago."""
    return WINDOW - timedelta(seconds=answered_ago + certain)
