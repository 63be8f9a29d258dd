"""Thousands of walks of a server that says more than it was asked: none that is certified holds another's rows.

Each round is a program of its own (its connections are new, and nothing is known of the server), which sweeps all
targets under one fault: an answer repeated, or a 408, some time after the real one. The market stands still, so what
every walk should hold is known.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from collector import log
from collector.model import Outcome, Status, Target
from collector.sweep.sweeper import Collector
from tests.support.harness import OPEN, STILL, collecting
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.world import Stage, World

NAME = "surplus"
LONG, SHORT = 10_000, 600

_SECTORS = {
    "KOSPI": ("005", "006", "007", "008", "009", "010", "011", "013"),
    "KOSDAQ": ("106", "115", "124", "139"),
}
TARGETS = tuple(
    Target.of(market, sector, exchange)
    for market, sectors in _SECTORS.items()
    for sector in sectors
    for exchange in ("KRX", "NXT")
)
SWEEPS = 2
"""Sweeps of a round: the first meets the fault unprepared, the second is forewarned."""
_MOMENTS = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 50.0)
"""Milliseconds after the real answer."""


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures()
    log.configure(level="error")

    async def sweep(number: int, chance: Random) -> Sequence[str]:
        fault, at_once = draw(chance)
        async with world.stage(*TARGETS, options=replace(STILL, faults=(fault,))) as stage:
            losses = await _sweep(stage, at_once, figures)
        return [f"{loss} ({fault}, {at_once} at once)" for loss in losses]

    await world.rounds(NAME, figures, sweep, enough=lambda: figures.tried >= count)
    return figures


def draw(chance: Random) -> tuple[str, int]:
    """A fault, and how many targets are walked at once."""
    name = chance.choice(("surplus_answer", "surplus_answer", "unasked_408", "surplus_chunk"))
    settings = [f"ms={chance.choice(_MOMENTS)}", f"p={chance.choice((0.1, 0.5, 1))}"]
    if name == "surplus_answer" and chance.random() < 0.2:
        settings.append(f"bytes={chance.randrange(1, 400)}")
    return f"{name}:{','.join(settings)}", chance.choice((1, 4))


async def _sweep(stage: Stage, at_once: int, figures: Figures) -> list[str]:
    async with collecting(stage.database, stage.simulator.url, *TARGETS, concurrency=at_once) as collector:
        for number in range(SWEEPS):
            for outcome in await _outcomes(collector, number):
                figures.tried += 1
                figures.count(str(outcome.status))
    return await judge.altered(stage.connection, stage.simulator)


async def _outcomes(collector: Collector, number: int) -> Sequence[Outcome]:
    sweep = await collector.sweep(OPEN + timedelta(seconds=number), "all", TARGETS)
    assert sweep.count(Status.MISSED) == 0
    return sweep.outcomes
