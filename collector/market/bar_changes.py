"""Computes changes from bar to bar, and holds an earlier suspect walk for the store and the judgement."""

from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import NamedTuple

from collector.model import Bar

_LIMIT = 30
"""Largest move of a price in one day, in percent (since 2015-06-15; 15 before)."""
_change_of = itemgetter(7)


class Suspected(NamedTuple):
    """An earlier suspect walk of a history: the requested range, and the days with a bar."""

    first: date
    last: date
    dates: frozenset[date]


def fill_changes(bars: Sequence[Bar]) -> Sequence[Bar]:
    """Fill in the changes that the API left out, by the close of the bar before (bars are newest first).

    A change beyond the daily limit of 30 % stays unknown: after a split the close before is on another scale.
    """
    if None not in map(_change_of, bars):
        return bars
    befores = [*bars[1:], None]
    return [
        bar if bar.change is not None else _fill_change(bar, before)
        for bar, before in zip(bars, befores, strict=True)
    ]


def _fill_change(bar: Bar, before: Bar | None) -> Bar:
    if before is None or not bar.close or not before.close:
        return bar
    change = bar.close - before.close
    return bar._replace(change=change) if abs(change) * 100 <= before.close * _LIMIT else bar
