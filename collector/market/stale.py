"""A closure that the calendar did not know: the API goes on showing the last session, and nothing else.

A holiday must never be stored as a trading day, and no real opening be taken for a holiday. So only venues
that have been open for a while are judged: before that, an answer like yesterday's is how it should be.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.market.calendar import Calendar, kst
from collector.model import Exchange, Target

SETTLING = timedelta(minutes=5)
"""How long a venue must have been open until everything being as it was is no chance."""

_VENUES = {
    Exchange.KRX: ("KRX",),
    Exchange.NXT: ("NXT",),
    Exchange.CONSOLIDATED: ("KRX", "NXT"),
}


class Seen(NamedTuple):
    """A complete walk; `is_same`: it shows exactly what the target's last one of an earlier day showed."""

    target: Target
    rows: int
    is_same: bool


def open_exchanges(calendar: Calendar, at: datetime) -> frozenset[Exchange]:
    """The exchanges whose listings must have traded by then if that day is a trading day at all."""
    opened = {
        session.name.partition(".")[0]
        for session in calendar.sessions(kst(at).date())
        if session.opens + SETTLING <= at
    }
    return frozenset(exchange for exchange, venues in _VENUES.items() if opened.intersection(venues))


def is_stale(walks: Iterable[Seen], exchanges: Collection[Exchange]) -> bool:
    """Whether a slot's complete walks show the session before, all of them; empty ones say nothing."""
    judged = [walk.is_same for walk in walks if walk.rows and walk.target.exchange in exchanges]
    return bool(judged) and all(judged)
