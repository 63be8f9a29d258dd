"""An hour without the API, and an hour without the database, by a wall that runs fast.

Whoever is back is noticed soon, the first sweep afterwards is that of the slot which is live by then, and
every slot in between has its lines, with the reason for which it was missed.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from random import Random

from collector.db import Connection
from collector.db.pool import connect
from collector.model import KST, Target
from kiwoom_simulator import Options
from tests.support.harness import OPEN
from tests.torture import judge
from tests.torture.cluster import Cluster
from tests.torture.figures import Figures
from tests.torture.hastened import Hastened, hastened
from tests.torture.world import Stage, World

NAME = "outage"
LONG, SHORT = 12, 2
"""Outages, in turns of the API and of the database."""

FAST, SLOW = 120.0, 40.0
"""Slow enough, walks give up waiting for the API; that takes a minute, however fast the wall runs."""
START = datetime(2026, 11, 23, 6, 1, tzinfo=KST)
EVERY = timedelta(minutes=5)
HOUR = timedelta(hours=1)
OFTEN = "schedules:\n  often: {universe: all, every: 5m, during: day}\n"
TARGETS = tuple(Target.of("KOSPI", f"{code:03}", "KRX") for code in range(5, 13))
AWAY = ("http_5xx", "maintenance_html_200")

_LINES = """
SELECT slot, count(status), count(*) FILTER (WHERE status = 'complete'),
       count(*) FILTER (WHERE status <> 'complete' AND error IS NULL)
FROM generate_series($1::timestamptz, $2::timestamptz, $3::interval) AS s (slot)
LEFT JOIN walk USING (slot)
GROUP BY slot
ORDER BY slot
"""


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"slots": 0})
    speed = FAST if count <= SHORT else SLOW
    async with world.another_cluster("outage") as cluster:
        one_at_a_time = asyncio.Lock()

        async def one(number: int, chance: Random) -> Sequence[str]:
            figures.tried += 1
            if number % 2 == 0:
                return await _without_api(world, speed, chance, figures)
            async with one_at_a_time:
                return await _without_database(world, cluster, speed, chance, figures)

        await world.rounds(NAME, figures, one, count=count)
    return figures


async def _without_api(world: World, speed: float, chance: Random, figures: Figures) -> Sequence[str]:
    options = Options(quota=0, freeze=OPEN)
    async with world.stage(
        *TARGETS, options=options, more=OFTEN, requests_per_second=0, timeout="2s"
    ) as stage:

        @asynccontextmanager
        async def outage() -> AsyncIterator[None]:
            stage.simulator.api.faults.put([chance.choice(AWAY)])
            yield
            stage.simulator.api.faults.put(())

        return await _lived_through(stage, outage, speed, figures)


async def _without_database(
    world: World, cluster: Cluster, speed: float, chance: Random, figures: Figures
) -> Sequence[str]:
    @asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        await cluster.stop(chance.choice((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)))
        yield
        await cluster.start()

    options, api = Options(quota=0, freeze=OPEN), {"requests_per_second": 0, "timeout": "2s"}
    async with world.stage(*TARGETS, options=options, cluster=cluster, more=OFTEN, **api) as stage:
        return await _lived_through(stage, outage, speed, figures)


async def _lived_through(
    stage: Stage, outage: Callable[[], AbstractAsyncContextManager[None]], speed: float, figures: Figures
) -> list[str]:
    async with hastened(stage.config, stage.env, START, speed) as daemon:
        await daemon.said("sweep.ended", times=2)
        async with outage():
            asked = stage.simulator.api.book.count
            await asyncio.sleep(HOUR.total_seconds() / speed)
            asked = stage.simulator.api.book.count - asked
            swept = len(daemon.events("sweep.began"))
        await _recovered(daemon, swept)
        losses = _stale_first(daemon, swept)
        await daemon.said("sweep.ended", times=len(daemon.events("sweep.ended")) + 3)
        async with connect(stage.database) as connection:
            losses += await _unaccounted(connection, daemon, figures)
            losses += [*await judge.torn(connection), *await judge.altered(connection, stage.simulator)]
    if _ended(daemon, "database") and asked > 2 * len(TARGETS):
        losses.append(f"burnt: {asked} calls while there was nowhere to put the answers")
    return losses


def _ended(daemon: Hastened, what: str) -> bool:
    return any(line["of"] == what for line in daemon.events("outage.ended"))


async def _recovered(daemon: Hastened, swept: int) -> None:
    """Wait until a sweep that began after the outage is whole."""
    async with asyncio.timeout(90):
        while not _whole(daemon, swept):  # noqa: ASYNC110 - nobody there to set an event
            await asyncio.sleep(0.1)


def _whole(daemon: Hastened, swept: int) -> bool:
    later = {line["slot"] for line in daemon.events("sweep.began")[swept:]}
    ended = [line for line in daemon.events("sweep.ended") if line["slot"] in later]
    return any(int(line["complete"]) == len(TARGETS) for line in ended)


def _stale_first(daemon: Hastened, swept: int) -> list[str]:
    """What is wrong with the first sweep that begins after the outage."""
    began = daemon.events("sweep.began")[swept:]
    late = timedelta(seconds=float(began[0]["late"])) if began else timedelta(0)
    return [f"late: the first sweep is that of {late} ago"] if late > 2 * EVERY else []


async def _unaccounted(connection: Connection, daemon: Hastened, figures: Figures) -> list[str]:
    """Slots that lack lines, and those at the end that are not whole."""
    slots = sorted({datetime.fromisoformat(line["slot"]) for line in daemon.events("sweep.ended")})
    lines = await connection.fetch(_LINES, slots[0], slots[-2], EVERY)
    figures.count("slots", len(lines))
    found = [f"lost: {slot:%H:%M} has {count} lines" for slot, count, *_ in lines if count != len(TARGETS)]
    found += [f"lost: {slot:%H:%M} does not say why" for slot, _, _, mute in lines if mute]
    whole = [complete == len(TARGETS) for _, _, complete, _ in lines]
    if not (whole[0] and any(whole[-3:])):
        found.append("lost: it is not as before after the outage")
    return found
