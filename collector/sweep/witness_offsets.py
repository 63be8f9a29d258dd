"""Learns how a witness differs from the walks of a target, and says when a difference speaks against a walk."""

from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from collector.sweep.walk_counts import WalkCounts

SWEEPS_THAT_TEACH = 3
"""Sweeps with the same small offset until it counts as known, as many as walks that bear each other out."""
DAYS_THAT_TEACH = 3
"""The same in days for a large offset or a list that ends with a full page: a server may cut a list all day."""


class Offset(NamedTuple):
    """How a witness differs from the walks of one target.

    `settled` is the known difference, None until one is known; `candidate` the newest one, shown by `seen` sweeps in
    a row on `days` days, the last of them `last_day`. A difference is a set of texts: `-005930` for a member that the
    walk lacks, `+005930` for one that the witness lacks; for counts, the one number rows − members.
    """

    settled: frozenset[str] | None = None
    candidate: frozenset[str] = frozenset()
    seen: int = 0
    days: int = 0
    last_day: date | None = None


class WalkContext(NamedTuple):
    """The earlier walks of a target. `is_first`: no complete walk of it is known."""

    is_first: bool
    is_overnight: bool = False
    """Whether the last complete walk is of an earlier day: lists change overnight, and a witness may lag."""


def learn(offset: Offset, difference: frozenset[str] | None, walk: WalkCounts, day: date) -> Offset:
    """Returns the offset after one more sweep. An empty difference is settled at once: equal lists are no chance."""
    if difference is None:
        return offset
    is_repeated = bool(offset.seen) and difference == offset.candidate
    if is_repeated and difference == offset.settled:
        return offset  # it is known, and one more sweep says nothing new
    days = offset.days + (day != offset.last_day) if is_repeated else 1
    seen = offset.seen + 1 if is_repeated else 1
    is_settled = not difference or _is_enough(difference, walk, seen, days)
    return Offset(difference if is_settled else offset.settled, difference, seen, days, day)


def tolerance(rows: int) -> int:
    """By how many members a list may differ from one day to the next: 2 %, at least three."""
    return max(3, rows // 50)


def may_contradict(
    lost: int, walk: WalkCounts, offset: Offset, context: WalkContext, *, exact: bool = True
) -> bool:
    """Whether `lost` members that the walk lacks are enough to speak against it.

    `exact`: the witness names the members. A mere number speaks against a first walk only if much is lost, or the
    list ends with a full page.
    """
    is_much = lost > tolerance(walk.rows) or walk.ends_full
    if context.is_first and offset.settled is None:
        return exact or is_much
    if offset.settled is None:
        return False
    return is_much or not context.is_overnight


def _is_enough(difference: Collection[str], walk: WalkCounts, seen: int, days: int) -> bool:
    size = abs(to_number(difference)) if not _is_named(difference) else len(difference)
    if size > tolerance(walk.rows) or walk.ends_full:
        return days >= DAYS_THAT_TEACH
    return seen >= SWEEPS_THAT_TEACH


def _is_named(difference: Collection[str]) -> bool:
    """Whether a difference names members (`-005930`) rather than being one number (`-3`)."""
    return len(difference) > 1 or any(len(text) == 7 for text in difference)


def to_number(difference: Collection[str] | None) -> int:
    return sum(int(text) for text in difference or ())
