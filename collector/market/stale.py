"""Detects a closure missing from the calendar: the API then keeps showing the last session.

A holiday must never be stored as a trading day, and a real opening must never be taken for a holiday. Venues
are judged only some minutes after they opened: before that, an answer like yesterday's is normal.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.market.calendar import VENUES, Calendar, kst
from collector.model import Exchange, Target

SETTLING = timedelta(minutes=5)
"""Time after an opening from which unchanged prices cannot be chance."""


class Seen(NamedTuple):
    """A complete walk; `is_same`: it equals the target's last walk of an earlier day exactly."""

    target: Target
    rows: int
    is_same: bool


def open_exchanges(calendar: Calendar, at: datetime) -> frozenset[Exchange]:
    """Return the exchanges with certain trades by this time, if the day is a trading day at all."""
    sessions = calendar.sessions(kst(at).date())
    opened = [session.name for session in sessions if session.opens + SETTLING <= at]
    return frozenset(
        exchange for exchange, venues in VENUES.items() if any(name.startswith(venues) for name in opened)
    )


def is_stale(walks: Iterable[Seen], exchanges: Collection[Exchange]) -> bool:
    """Whether all complete walks of a slot show the previous session; empty walks do not count."""
    judged = [walk.is_same for walk in walks if walk.rows and walk.target.exchange in exchanges]
    return bool(judged) and all(judged)
