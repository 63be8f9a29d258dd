"""kill -9 at random moments, and at every step of what goes between the program and its database."""

import asyncio
import time
from collections.abc import Sequence
from random import Random

from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.work import EVERY, Doing, Reference, Work, undisturbed
from tests.torture.world import World

NAME = "kills"
LONG, SHORT = 1_000, 200


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures()
    references = {work: await undisturbed(world, work) for work in EVERY}
    fastest = {work: reference.seconds for work, reference in references.items()}

    async def one(number: int, chance: Random) -> Sequence[str]:
        work = EVERY[number % len(EVERY)]
        return await _killed_until_done(world, work, references[work], fastest, figures, chance)

    await world.rounds(NAME, figures, one, enough=lambda: figures.tried >= count)
    return figures


async def _killed_until_done(
    world: World,
    work: Work,
    reference: Reference,
    fastest: dict[Work, float],
    figures: Figures,
    chance: Random,
) -> Sequence[str]:
    """Starts the work and kills it, again and again, until the work ends before the kill.

    `fastest` has the seconds of the fastest run of each work; a run that was not killed once updates it. The
    reference alone would not do: one slow reference puts most kills after the end of the work.
    """
    async with work.stage(world) as doing:
        losses: list[str] = []
        deaths = 0
        began = time.monotonic()
        while await _killed(doing, fastest[work] * (1 + deaths / 8), chance, losses):
            deaths += 1  # it is given more time after each, so that there is an end
            figures.tried += 1
        if not deaths:
            fastest[work] = min(fastest[work], time.monotonic() - began)
        return [*losses, *await doing.unlike(reference)]


async def _killed(doing: Doing, longest: float, chance: Random, losses: list[str]) -> bool:
    """Whether death came before the end of the work."""
    stage = doing.stage
    walked, filled = await doing.held()
    since = stage.simulator.api.book.count
    async with doing.under_way() as process:
        finishing = asyncio.ensure_future(doing.finish(process))
        await asyncio.wait([finishing], timeout=chance.uniform(0, longest))
        is_done = finishing.done()
        if is_done:
            losses += await finishing
        else:
            finishing.cancel()
            process.kill()
            await process.communicate()
    losses += await doing.unsound(process)
    losses += judge.asked_again(stage.simulator, since, walked, filled)
    return not is_done
