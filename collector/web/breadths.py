"""How sectors stand, walk by walk: computed once for each complete walk, whose rows never change again."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from collector.web.questions import Breadth, Questions

KEPT = 40_000
"""Walks that are remembered: two days of 250 targets every five minutes, some 10 MB."""
_SPAN = 400


class Breadths:
    """A memory of what each walk came to."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[datetime, int], Breadth] = OrderedDict()

    async def newest(self, questions: Questions, slots: Mapping[int, datetime]) -> dict[int, Breadth]:
        """Of one walk of each target: `slots` says which."""
        lacking = [(slot, target) for target, slot in slots.items() if (slot, target) not in self._kept]
        for slot, group in groupby(sorted(lacking), lambda walk: walk[0]):
            targets = [target for _, target in group]
            self._keep(await questions.breadth(slot, slot, targets), [(slot, target) for target in targets])
        return {target: self._kept[slot, target] for target, slot in slots.items()}

    async def course(self, questions: Questions, target: int, slots: Sequence[datetime]) -> list[Breadth]:
        """Of one target's walks at these slots of a day, in time order."""
        lacking = [slot for slot in slots if (slot, target) not in self._kept]
        for start in range(0, len(lacking), _SPAN):
            part = lacking[start : start + _SPAN]
            found = await questions.breadth(part[0], part[-1], [target])
            self._keep([each for each in found if each.slot in part], [(slot, target) for slot in part])
        return [self._kept[slot, target] for slot in slots]

    def _keep(self, found: Sequence[Breadth], asked: Sequence[tuple[datetime, int]]) -> None:
        empty = {(slot, target): Breadth(slot, target, 0, 0, 0, 0, None, 0.0) for slot, target in asked}
        self._kept |= empty | {(each.slot, each.target): each for each in found}
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
