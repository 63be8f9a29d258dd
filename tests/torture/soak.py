"""The daemon over hundreds of slots with a fault in every tenth: it ends as small as it began.

A slot is a minute of a wall that runs fast. In the end every slot has its lines, nothing is torn, and what the
process holds is what it held at first.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from collector.model import KST, Target
from kiwoom_simulator import Options
from tests.support.harness import OPEN
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.hastened import Hastened, Size, hastened
from tests.torture.world import Stage, World

NAME = "soak"
LONG, SHORT = 600, 60
"""Slots."""

FAST, SLOW = 120.0, 60.0
"""Two slots a second, of which a few are overrun; or one, which leaves each its time."""
START = datetime(2026, 11, 23, 6, 0, 30, tzinfo=KST)
MINUTELY = "schedules:\n  minutely: {universe: all, every: 1m, during: day}\n"
TARGETS = tuple(Target.of("KOSPI", f"{code:03}", "KRX") for code in range(5, 13))
SETTLED = 10
"""Slots after which it has all that it needs, and slots at the end in which nothing is wrong."""
LARGEST = 100.0
"""Megabytes."""
GROWTH = Size(megabytes=6.0, descriptors=1, tasks=1)
"""What may be left over: a heap has its grain, and a session may be on its way."""

FAULTS = (
    "http_5xx:times=20",
    "token_8005:times=1",
    "throttle_429:quota=200,times=1",
    "list_missing:times=8",
    "maintenance_html_200:times=20",
    "repeated_key:times=4",
    "http_401:times=2",
    "error_1999:times=20",
)

_UNACCOUNTED = """
SELECT slot, count(*)
FROM generate_series($1::timestamptz, $2::timestamptz, INTERVAL '1 minute') AS s (slot)
LEFT JOIN walk USING (slot)
GROUP BY slot
HAVING count(status) <> $3
"""


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"faults": 0})
    speed = FAST if count <= SHORT else SLOW
    options = Options(quota=0, freeze=OPEN, latency=timedelta(milliseconds=5))
    async with (
        world.stage(*TARGETS, options=options, more=MINUTELY, requests_per_second=0, timeout="2s") as stage,
        hastened(stage.config, stage.env, START, speed) as daemon,
    ):
        await daemon.said("sweep.began", times=SETTLED)
        began = len(daemon.sizes())
        await _disturb(stage, chance, figures, (count - 2 * SETTLED) * 60 / speed, 600 / speed)
        stage.simulator.api.faults.put(())
        settled = len(daemon.events("sweep.ended"))
        await daemon.said("sweep.ended", times=settled + SETTLED)
        figures.facts["sweeps"] = len(daemon.events("sweep.ended"))
        figures.lose(
            0, [*_grown(daemon.sizes(), began, figures), *await _unaccounted(stage, daemon, figures)]
        )
    return figures


async def _disturb(stage: Stage, chance: Random, figures: Figures, seconds: float, every: float) -> None:
    """A fault every so often, for a while: of the API, or of the database."""
    breaks: list[Callable[[], object]] = [
        *(lambda fault=fault: stage.simulator.api.faults.put([fault]) for fault in FAULTS),
        stage.tap.cut,
    ]
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        figures.count("faults")
        chance.choice(breaks)()
        await asyncio.sleep(every)


def _grown(sizes: list[Size], began: int, figures: Figures) -> list[str]:
    """In what the process is larger than it was."""
    first, last = Size.least(sizes[began - 10 : began + 5]), Size.least(sizes[-20:])
    # Sessions are opened when they are first needed, and kept: what it may hold is what it has held at most.
    first = replace(first, descriptors=max(size.descriptors for size in sizes[: began + 5]))
    most = max(size.megabytes for size in sizes)
    figures.facts |= {
        "MB": f"{first.megabytes:.0f}-{last.megabytes:.0f} (most {most:.0f})",
        "descriptors": f"{first.descriptors}-{last.descriptors}",
        "tasks": f"{first.tasks}-{last.tasks}",
    }
    found = [
        f"grown: from {before} to {after} {name}"
        for name in ("megabytes", "descriptors", "tasks")
        if (after := getattr(last, name)) > (before := getattr(first, name)) + getattr(GROWTH, name)
    ]
    return [*found, *([f"grown: {most:.0f} MB"] if most > LARGEST else [])]


async def _unaccounted(stage: Stage, daemon: Hastened, figures: Figures) -> list[str]:
    """Slots that lack lines, from the first one that was swept to the last but one that ended."""
    slots = sorted(datetime.fromisoformat(line["slot"]) for line in daemon.events("sweep.ended"))
    figures.tried = int((slots[-1] - slots[0]) / timedelta(minutes=1)) + 1
    rows = await stage.connection.fetch(_UNACCOUNTED, slots[0], slots[-2], len(TARGETS))
    lost = [f"lost: {row['slot']:%H:%M} has {row['count']} lines" for row in rows]
    return [
        *lost,
        *await judge.torn(stage.connection),
        *await judge.altered(stage.connection, stage.simulator),
    ]
