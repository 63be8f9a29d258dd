"""Decides which events begin and which end, by comparison of the stored events with the conditions. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.db.notices import Notice
from collector.notify.conditions import Condition


@dataclass(frozen=True)
class Changes:
    """The conditions that begin an event, and the events that are over."""

    begun: Sequence[Condition] = ()
    ended: Sequence[Notice] = ()

    def __bool__(self) -> bool:
        return bool(self.begun or self.ended)


def compare(
    lasting: Sequence[Notice],
    conditions: Sequence[Condition],
    *,
    wants: Callable[[str], bool] = lambda _: True,
    shows_end: Callable[[Notice], bool] = lambda _: True,
) -> Changes:
    """Compare the events of one scope with all conditions of that scope.

    `wants` filters by kind. `shows_end` says whether an event without its condition is over, or merely unseen.
    """
    known = {(notice.kind, notice.subject) for notice in lasting}
    seen = {(condition.kind, condition.subject) for condition in conditions}
    return Changes(
        [
            condition
            for condition in conditions
            if wants(condition.kind) and (condition.kind, condition.subject) not in known
        ],
        [notice for notice in lasting if (notice.kind, notice.subject) not in seen and shows_end(notice)],
    )
