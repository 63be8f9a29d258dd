"""How sectors stand, walk by walk: computed once for each complete walk, whose rows never change again."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from collector.web.questions import Breadth, Questions

KEPT = 40_000
"""Walks that are remembered: two days of 250 targets every five minutes, some 10 MB."""

Walk = tuple[datetime, int]


class Breadths:
    """A memory of what each walk came to."""

    def __init__(self, kept: int = KEPT) -> None:
        self._room = kept
        self._kept: OrderedDict[Walk, Breadth] = OrderedDict()

    async def newest(self, questions: Questions, slots: Mapping[int, datetime]) -> dict[int, Breadth]:
        """Of one walk of each target: `slots` says which."""
        walks = [(slot, target) for target, slot in slots.items()]
        found, lacking = self._known(walks)
        for slot, group in groupby(sorted(lacking), lambda walk: walk[0]):
            asked = list(group)
            found |= self._remembered(
                await questions.breadth(slot, slot, [target for _, target in asked]), asked
            )
        return {target: found[slot, target] for slot, target in walks}

    async def course(self, questions: Questions, target: int, slots: Sequence[datetime]) -> list[Breadth]:
        """Of one target's walks at these slots of a day, in time order."""
        walks = [(slot, target) for slot in slots]
        found, lacking = self._known(walks)
        if lacking:
            first, last = lacking[0][0], lacking[-1][0]
            found |= self._remembered(await questions.breadth(first, last, [target]), lacking)
        return [found[walk] for walk in walks]

    def _known(self, walks: Sequence[Walk]) -> tuple[dict[Walk, Breadth], list[Walk]]:
        """What is remembered of these walks, held fast while the rest is asked for, and that rest."""
        found = {walk: self._kept[walk] for walk in walks if walk in self._kept}
        return found, [walk for walk in walks if walk not in found]

    def _remembered(self, answer: Iterable[Breadth], asked: Iterable[Walk]) -> dict[Walk, Breadth]:
        """What was asked for, remembered; a walk of which the answer has no row is empty."""
        told = {(each.slot, each.target): each for each in answer}
        found = {walk: told.get(walk) or Breadth(*walk, 0, 0, 0, 0, None, 0.0) for walk in asked}
        self._kept |= found
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return found
