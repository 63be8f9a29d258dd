"""The answer to a COMMIT is lost: it was stored, and nobody tells; or it was not, and it looks the same."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.torture.figures import Figures
from tests.torture.tap import Line
from tests.torture.work import EVERY, Doing, Reference, Work, said, undisturbed
from tests.torture.world import World

NAME = "commits"
LONG, SHORT = 500, 100

_STORING = re.compile(r"INTO collector\.walk|collector\.enter_")
"""What a transaction does that stores a walk or a history."""


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"never sent": 0, "wrongly failed": 0})
    references = {work: await undisturbed(world, work) for work in EVERY}

    async def one(number: int, chance: Random) -> Sequence[str]:
        work = EVERY[number % len(EVERY)]
        return await _done_in_the_dark(world, work, references[work], figures, chance)

    await world.rounds(NAME, figures, one, enough=lambda: figures.tried >= count)
    return figures


async def _done_in_the_dark(
    world: World, work: Work, reference: Reference, figures: Figures, chance: Random
) -> Sequence[str]:
    async with work.stage(world) as doing:
        thief = Thief(chance)
        doing.stage.tap.watch = thief.watch
        async with doing.under_way() as process:
            losses = await doing.finish(process)
        assert thief.taken, "no COMMIT that stores anything was seen"
        figures.tried += thief.taken
        figures.count("never sent", thief.kept)
        figures.longest("longest call", doing.stage.tap.longest[0])
        failed = said(process, "walk.failed") + said(process, "history.failed")
        figures.count("wrongly failed", len(failed))
        losses += [f"failed: {line}" for line in failed]
        return [*losses, *_fetched_again(doing, reference), *await doing.unlike(reference)]


def _fetched_again(doing: Doing, reference: Reference) -> list[str]:
    """What was stored needs no second request."""
    more = doing.stage.simulator.api.book.count - reference.requests
    return [f"doubled: {more} requests more than undisturbed"] if more else []


@dataclass
class Thief:
    """Takes away every second answer to a COMMIT that stores something, and keeps a few such COMMITs back.

    At most twice for the same walk: the program tries four times, and then it may give up.
    """

    chance: Random
    taken: int = 0
    kept: int = 0
    _done: Counter[bytes] = field(default_factory=Counter)
    _stored: dict[Line, bytes] = field(default_factory=dict)

    async def watch(self, step: str, number: int, line: Line) -> bool:
        if step.startswith("ask") and _STORING.search(step):
            self._stored[line] = line.asked.values
        if not any(map(_STORING.search, line.lately)) or self._done[self._stored[line]] >= 2:
            return True
        is_whole = not any("BEGIN" in asked for asked in line.lately)
        if step.startswith("told") and (is_whole or "COMMIT" in step):
            took = self.chance.random() < 0.5
            self.taken += took
        else:
            took = "COMMIT" in step and self.chance.random() < 0.1
            self.kept += took
        self._done[self._stored[line]] += took
        return not took
