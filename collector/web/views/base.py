"""The parts that all views share: the view itself, and the values in addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from collector.model import KST, Target
from collector.web.tables import DataTable

SHOWN = 200
"""Rows of a walk or a sector on a page; the data has all of them."""


AGAIN = frozenset({"failed", "missed", "suspect", "absent"})
"""Outcomes with a command that walks the target once more."""


class NotFound(Exception):
    """The address names nothing known. `message` is the key of the text that says what."""

    def __init__(self, message: str = "not_found") -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class View:
    """The values of a page, and the same as a table for programs."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    data: DataTable | None = None


def day_at(slot: datetime | None) -> date | None:
    """The Korean day of an instant."""
    return slot.astimezone(KST).date() if slot else None


def slot_of(text: str) -> datetime:
    """A slot in the form of addresses; NotFound if it is malformed."""
    try:
        slot = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=KST)
    except ValueError:
        raise NotFound from None
    _within(slot)
    return slot


def day_of(text: str) -> date:
    """A day in the form of addresses; NotFound if it is malformed."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise NotFound from None
    _within(day)
    return day


def _within(day: date) -> None:
    """NotFound for years outside 2000 to 2099. At the ends of the calendar date arithmetic would overflow."""
    if not 2000 <= day.year < 2100:
        raise NotFound


def target_of(market: str, sector: str, exchange: str) -> Target:
    """A target in the form of addresses."""
    try:
        return Target.of(market, sector, exchange)
    except ValueError:
        raise NotFound from None


def spread(slots: Sequence[datetime], most: int) -> list[datetime]:
    """At most so many of the slots, evenly spread, with the last one."""
    step = -(-len(slots) // most)
    return [slot for index, slot in enumerate(slots) if (len(slots) - 1 - index) % step == 0]
