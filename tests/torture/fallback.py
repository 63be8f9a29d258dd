"""A database that lost its tail: under a running daemon, the server falls back to an older state of its folder.

The ids that were given since are nobody's in it, or those of other listings. The daemon goes on by itself; every
row names the listing that was served, and every slot since the books end has its lines.
"""

import asyncio
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from collector.db import Connection
from collector.db.pool import connect
from collector.model import KST, Target
from kiwoom_simulator import Options
from tests.support.harness import OPEN
from tests.torture import judge
from tests.torture.cluster import Cluster, carried_out
from tests.torture.figures import Figures
from tests.torture.hastened import Hastened, hastened
from tests.torture.world import Stage, World

NAME = "fallback"
LONG, SHORT = 20, 3
"""Fallbacks: to a state before the first sweep, or after some; with or without others' listings in it."""

SPEED = 60.0
START = datetime(2026, 11, 23, 6, 1, tzinfo=KST)
EVERY = timedelta(minutes=5)
OFTEN = "schedules:\n  often: {universe: all, every: 5m, during: day}\n"
TARGETS = tuple(Target.of("KOSPI", f"{code:03}", "KRX") for code in range(5, 13))

_OTHERS = """
INSERT INTO collector.listing (symbol, name, first_seen, last_seen)
SELECT 'X' || n, 'another ' || n, now(), now()
FROM generate_series(1, 500) AS n
"""
_NAMELESS = """
SELECT count(*)
FROM snapshot
WHERE symbol IS NULL OR symbol LIKE 'X%' OR market IS NULL
"""
_LINES = """
SELECT s.slot, count(w.status)
FROM generate_series($1::timestamptz, $2::timestamptz, $3::interval) AS s (slot)
LEFT JOIN walk AS w USING (slot)
GROUP BY s.slot
HAVING count(w.status) <> $4
"""


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"slots": 0, "states before the first sweep": 0, "others' listings": 0})
    async with world.another_cluster("fallback") as cluster:
        one_at_a_time = asyncio.Lock()

        async def one(number: int, chance: Random) -> Sequence[str]:
            async with one_at_a_time:
                figures.tried += 1
                await cluster.revive()
                return await _fallen_back(world, cluster, number, chance, figures)

        await world.rounds(NAME, figures, one, count=count)
    return figures


async def _fallen_back(
    world: World, cluster: Cluster, number: int, chance: Random, figures: Figures
) -> list[str]:
    is_early, has_others = number % 3 == 0, number % 2 == 0
    figures.count("states before the first sweep", is_early)
    figures.count("others' listings", has_others)
    options, api = Options(quota=0, freeze=OPEN), {"requests_per_second": 0, "timeout": "2s"}
    async with world.stage(*TARGETS, options=options, cluster=cluster, more=OFTEN, **api) as stage:
        if is_early:
            await _save(cluster)
        async with hastened(stage.config, stage.env, START, SPEED) as daemon:
            if not is_early:
                await daemon.said("sweep.ended", times=chance.randrange(1, 3))
                await _save(cluster)
            await daemon.said("sweep.ended", times=len(daemon.events("sweep.ended")) + chance.randrange(1, 3))
            await _fall_back(cluster)
            if has_others:
                async with connect(stage.database) as connection:
                    await connection.execute(_OTHERS)
            await _recovered(daemon)
            return await _judged(stage, daemon, figures)


async def _save(cluster: Cluster) -> None:
    """Keep the server's folder as it is between two lives."""
    data = cluster._server.data
    await cluster.stop(signal.SIGINT)
    await carried_out("rm", "-rf", data.with_name("saved"))
    await carried_out("cp", "-a", data, data.with_name("saved"))
    await cluster.start()


async def _fall_back(cluster: Cluster) -> None:
    data = cluster._server.data
    await cluster.stop(signal.SIGQUIT)
    await carried_out("rm", "-rf", data)
    await carried_out("cp", "-a", data.with_name("saved"), data)
    await cluster.start()


async def _recovered(daemon: Hastened) -> None:
    """Wait for two whole sweeps that began since."""
    began = len(daemon.events("sweep.began"))
    async with asyncio.timeout(120):
        while len(_whole(daemon, began)) < 2:  # noqa: ASYNC110 - nobody there to set an event
            await asyncio.sleep(0.1)


def _whole(daemon: Hastened, began: int) -> list[str]:
    later = {line["slot"] for line in daemon.events("sweep.began")[began:]}
    ended = [line for line in daemon.events("sweep.ended") if line["slot"] in later]
    return [line["slot"] for line in ended if int(line["complete"]) == len(TARGETS)]


async def _judged(stage: Stage, daemon: Hastened, figures: Figures) -> list[str]:
    async with connect(stage.database) as connection:
        losses = [*await judge.torn(connection), *await judge.altered(connection, stage.simulator)]
        if nameless := await connection.fetchval(_NAMELESS):
            losses.append(f"broken: {nameless} rows have no listing, or another's")
        return losses + await _unaccounted(connection, daemon, figures)


async def _unaccounted(connection: Connection, daemon: Hastened, figures: Figures) -> list[str]:
    """Slots without lines, from the first that the state which came back knows."""
    last = datetime.fromisoformat(daemon.events("sweep.ended")[-1]["slot"]) - EVERY
    first = await connection.fetchval("SELECT min(slot) FROM walk")
    figures.count("slots", (last - first) // EVERY + 1)
    lines = await connection.fetch(_LINES, first, last, EVERY, len(TARGETS))
    return [f"lost: {slot:%H:%M} has {count} lines" for slot, count in lines]
