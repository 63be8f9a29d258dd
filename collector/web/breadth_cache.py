"""Cache of sector breadth by walk. The rows of a complete walk never change, so each breadth is computed
once.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from collector.web.queries import Queries
from collector.web.queries.market import Breadth

KEPT = 40_000
"""Walks in the cache: two days of 250 targets every five minutes, some 10 MB."""

WalkKey = tuple[datetime, int]


class BreadthCache:
    """A cache of the breadth of walks; the oldest entry is dropped first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._room = kept
        self._kept: OrderedDict[WalkKey, Breadth] = OrderedDict()

    async def newest(self, questions: Queries, slots: Mapping[int, datetime]) -> dict[int, Breadth]:
        """The breadth of one walk per target. `slots` gives the slot of each target."""
        walks = [(slot, target) for target, slot in slots.items()]
        breadths, lacking = self._split_cached(walks)
        for slot, group in groupby(sorted(lacking), lambda walk: walk[0]):
            asked = list(group)
            breadths |= self._remember(
                await questions.breadth(slot, slot, [target for _, target in asked]), asked
            )
        return {target: breadths[slot, target] for slot, target in walks}

    async def course(self, questions: Queries, target: int, slots: Sequence[datetime]) -> list[Breadth]:
        """The breadth of one target's walks at these slots of a day, in time order."""
        walks = [(slot, target) for slot in slots]
        breadths, lacking = self._split_cached(walks)
        if lacking:
            first, last = lacking[0][0], lacking[-1][0]
            breadths |= self._remember(await questions.breadth(first, last, [target]), lacking)
        return [breadths[walk] for walk in walks]

    async def at(self, questions: Queries, target: int, slots: Sequence[datetime]) -> list[Breadth]:
        """The breadth of one target's walks at single slots of many days, in the order of the slots."""
        walks = [(slot, target) for slot in slots]
        breadths, lacking = self._split_cached(walks)
        if lacking:
            answer = await questions.breadth_at([slot for slot, _ in lacking], target)
            breadths |= self._remember(answer, lacking)
        return [breadths[walk] for walk in walks]

    async def sample(
        self, questions: Queries, targets: Sequence[int], slots: Sequence[datetime], fresh: int
    ) -> dict[int, list[Breadth]]:
        """The breadth of many targets at some slots, by target. At most `fresh` slots are read, the newest first.

        A slot of a whole market has 20,000 rows. Later calls read the slots that this call leaves out.
        """
        lacking = (
            [slot for slot in reversed(slots) if (slot, targets[0]) not in self._kept] if targets else []
        )
        for slot in lacking[:fresh]:
            await self.newest(questions, dict.fromkeys(targets, slot))
        return {
            target: [
                self._kept[slot, target]
                for slot in slots
                if (slot, target) in self._kept and self._kept[slot, target].members
            ]
            for target in targets
        }

    def _split_cached(self, walks: Sequence[WalkKey]) -> tuple[dict[WalkKey, Breadth], list[WalkKey]]:
        """The cached entries of these walks, copied so that later evictions do not matter, and the missing
        walks.
        """
        cached = {walk: self._kept[walk] for walk in walks if walk in self._kept}
        return cached, [walk for walk in walks if walk not in cached]

    def _remember(self, answer: Iterable[Breadth], asked: Iterable[WalkKey]) -> dict[WalkKey, Breadth]:
        """The requested walks with their breadth, now cached. A walk without rows in the answer is empty."""
        notice = {(breadth.slot, breadth.target): breadth for breadth in answer}
        breadths = {walk: notice.get(walk) or Breadth(*walk, 0, 0, 0, 0, None, 0.0) for walk in asked}
        self._kept |= breadths
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return breadths
