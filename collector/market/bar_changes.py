"""Changes from bar to bar, and what an earlier walk of a history knew: shared by the store and the judgement."""

from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from typing import NamedTuple

from collector.model import Bar

_LIMIT = 30
"""Percent by which a price moves in a day at most (since 2015-06-15; 15 before)."""
_change_of = itemgetter(7)


class Suspected(NamedTuple):
    """An earlier suspect walk of a history: the stretch that was wanted, and the days that had a bar."""

    first: date
    last: date
    dates: frozenset[date]


def fill_changes(bars: Sequence[Bar]) -> Sequence[Bar]:
    """Bars (newest first) with the changes that the API left out, by the close of the bar before.

    A change beyond the daily limit of 30 % is left unknown: after a split the close before stands for another price.
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
