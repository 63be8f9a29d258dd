"""kill -9 at every step of what goes between the program and its database: before the server hears what is asked,
and before the program hears the answer; at the first, the middle and the last time that the step is taken.

The steps are those of an undisturbed run. The short form takes those that every walk takes: the write path.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from tests.torture.figures import Figures
from tests.torture.tap import Line
from tests.torture.work import EVERY, Reference, Work, small, undisturbed
from tests.torture.world import World

NAME = "points"
LONG, SHORT = 1_000, 60


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures()
    works = [small(work) for work in EVERY]
    references = {work: await undisturbed(world, work) for work in works}
    is_short = count < LONG
    points = [(work, *point) for work in works for point in references[work].points(5 if is_short else 1)]
    chosen = chance.sample(points, min(count, len(points)))
    figures.facts["steps"] = len({(work, step) for work, step, _ in points})

    async def one(number: int, _: Random) -> Sequence[str]:
        work, step, time = chosen[number]
        return await killed_at(world, work, references[work], figures, (step, time))

    await world.rounds(NAME, figures, one, count=len(chosen))
    return figures


async def killed_at(
    world: World, work: Work, reference: Reference, figures: Figures, point: tuple[str, int]
) -> Sequence[str]:
    """Kill it there, let another one finish."""
    async with work.stage(world) as doing:
        tap = doing.stage.tap
        reached = asyncio.Event()
        async with doing.under_way() as process:

            async def watch(step: str, number: int, line: Line) -> bool:
                if (step, number) == point:
                    process.kill()
                    reached.set()
                return not reached.is_set()

            tap.watch = watch
            finishing = asyncio.ensure_future(doing.finish(process))
            reaching = asyncio.ensure_future(reached.wait())
            await asyncio.wait([finishing, reaching], return_when=asyncio.FIRST_COMPLETED)
            finishing.cancel()
            reaching.cancel()
            process.kill()
            await process.communicate()
        figures.tried += 1
        figures.count("not reached", not reached.is_set())
        losses = await doing.unsound(process)
        tap.forget()
        async with doing.under_way() as process:
            losses += await doing.finish(process)
        return [
            f"{loss} (killed at {point[0]!r}, time {point[1]}, {work.name})"
            for loss in losses + await doing.unlike(reference)
        ]
