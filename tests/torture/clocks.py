"""Walls that are set while the daemon runs, machines that were asleep, and hosts that live by other clocks.

A slot is an instant of Korea's time, whatever the host thinks of it: none is swept twice or forgotten when the
wall is set, and the same sweep leaves the same bytes under any TZ and LANG, in the nights of a change too.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from collector.model import KST, Target
from tests.daemon.processes import Running, started
from tests.stand import STILL
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.world import Stage, World
from tests.wall import Wall, unavailable

NAME = "clocks"
LONG, SHORT = 60, 6
"""Rounds."""

TEN = datetime(2026, 11, 23, 10, 4, 57, tzinfo=KST)
"""A Monday, three seconds before a slot."""
OFTEN = "schedules:\n  often: {universe: all, every: 5m, during: KRX.regular}\n"
TARGETS = tuple(Target.of("KOSPI", f"{code:03}", "KRX") for code in (5, 6, 7))
STEPS = (1, 300, 1_200, 3_600, 7_200, -2, -300, -1_200, -3_300)
"""Seconds by which a wall is set, forward and back."""
ZONES = ("America/New_York", "Pacific/Kiritimati", "Europe/London", "Asia/Seoul", "No/Such_Place")
TONGUES = ("C", "ko_KR.UTF-8", "tr_TR.UTF-8", "POSIX")
_LINES = "SELECT slot, count(*) FROM walk GROUP BY slot HAVING count(*) <> $1"
_SLOTS = "SELECT string_agg(DISTINCT extract(epoch FROM slot)::text, ' ') FROM walk"


async def run(world: World, count: int, chance: Random) -> Figures:
    if why := unavailable():
        return Figures(skipped=why)
    figures = Figures(facts={"steps": 0, "sleeps": 0, "hosts": 0})
    rounds = (_stepped, _asleep, _elsewhere)

    async def one(number: int, chance: Random) -> Sequence[str]:
        figures.tried += 1
        return await rounds[number % len(rounds)](world, chance, figures)

    await world.rounds(NAME, figures, one, count=count)
    return figures


async def _stepped(world: World, chance: Random, figures: Figures) -> Sequence[str]:
    """Set the wall again and again, each time to shortly before some slot."""
    async with _alive(world) as (stage, wall, daemon):
        await daemon.said("sweep.ended")
        for _ in range(4):
            figures.count("steps")
            wall.show(_before_a_slot(wall.now() + timedelta(seconds=chance.choice(STEPS))))
            await _heard_for(daemon, 4.0)
        return await _kept(daemon, stage)


async def _asleep(world: World, chance: Random, figures: Figures) -> Sequence[str]:
    """Stop the process while its wall goes on, as a machine does that sleeps."""
    async with _alive(world) as (stage, wall, daemon):
        await daemon.said("sweep.began")
        for _ in range(2):
            figures.count("sleeps")
            await asyncio.sleep(chance.uniform(0, 0.2))
            daemon.signal(signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            wall.show(_before_a_slot(wall.now() + timedelta(seconds=chance.uniform(0, 7_200))))
            daemon.signal(signal.SIGCONT)
            await _heard_for(daemon, 5.0)
        return await _kept(daemon, stage)


@asynccontextmanager
async def _alive(world: World) -> AsyncIterator[tuple[Stage, Wall, Running]]:
    """A daemon by a wall of its own, which shows a moment shortly before a slot once the lease is taken."""
    async with world.stage(*TARGETS, more=OFTEN) as stage:
        wall = Wall(stage.folder, TEN)
        async with started(
            stage.config, stage.database, "--force", **stage.env, **wall.environment
        ) as daemon:
            await daemon.said("lease.taken")
            wall.show(TEN)
            yield stage, wall, daemon


def _before_a_slot(at: datetime) -> datetime:
    """Two seconds before the next slot, and within the session."""
    at = min(max(at, TEN - timedelta(minutes=55)), TEN + timedelta(hours=5))
    past = timedelta(minutes=at.minute % 5, seconds=at.second, microseconds=at.microsecond)
    return at - past + timedelta(minutes=5) - timedelta(seconds=2)


async def _heard_for(daemon: Running, seconds: float) -> None:
    """Take in what it says for a while; asyncio's clock is not the one that is set."""
    try:
        async with asyncio.timeout(seconds):
            while await daemon.read():
                pass
    except TimeoutError:
        return
    raise AssertionError(f"it has ended: {daemon.text[-1000:]}")


async def _kept(daemon: Running, stage: Stage) -> list[str]:
    """What is wrong in the end: slots swept twice, or without a line for each target."""
    status, _ = await daemon.stopped()
    began = [line["slot"] for line in daemon.events("sweep.began")]
    losses = [f"doubled: {slot} was swept twice" for slot in sorted({*began}) if began.count(slot) > 1]
    rows = await stage.connection.fetch(_LINES, len(TARGETS))
    losses += [f"lost: {row['slot']} has {row['count']} lines" for row in rows]
    losses += [*await judge.torn(stage.connection), *await judge.altered(stage.connection, stage.simulator)]
    return [*losses, *([f"broken: it ended with {status}"] if status else [])]


async def _elsewhere(world: World, chance: Random, figures: Figures) -> Sequence[str]:
    """The same sweep on a plain host and on an odd one."""
    figures.count("hosts")
    night, odd = _night(chance.choice(ZONES[:3])), _odd(chance)
    plain = await _swept(world, night, {"TZ": "UTC", "LANG": "C.UTF-8"})
    other = await _swept(world, night, odd)
    if plain == other:
        return []
    return [
        f"altered: under {odd} at {night}: slots {other[1]}, else {plain[1]}",
        *judge.differing(other[0], plain[0]),
    ]


def _night(zone: str) -> datetime:
    """Five seconds after the next change to or from summer time in a zone, or some midnight where there is none."""
    at = datetime.now(UTC).replace(minute=0, second=5, microsecond=0)
    for _ in range(366 * 24):
        before, at = at, at + timedelta(hours=1)
        if before.astimezone(ZoneInfo(zone)).utcoffset() != at.astimezone(ZoneInfo(zone)).utcoffset():
            break
    return at


def _odd(chance: Random) -> dict[str, str]:
    return {
        "TZ": chance.choice(ZONES),
        "LANG": chance.choice(TONGUES),
        "LC_ALL": chance.choice(("", *TONGUES)),
        "PYTHONUTF8": chance.choice("01"),
        "PYTHONTZPATH": chance.choice(("", "/usr/share/zoneinfo")),
        "PGTZ": chance.choice(ZONES[:4]),
    }


async def _swept(world: World, at: datetime, environment: dict[str, str]) -> tuple[Counter[str], str]:
    """What one sweep leaves behind."""
    life = at - datetime.now(UTC) + timedelta(days=1)
    async with world.stage(*TARGETS, options=replace(STILL, token_life=life)) as stage:
        wall = Wall(stage.folder, at)
        before = ("env", *(f"{name}={value}" for name, value in (environment | wall.environment).items()))
        slot = at.replace(microsecond=0) - timedelta(seconds=3)
        async with stage.start_cold("once", "--slot", slot.isoformat(), before=before) as process:
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode(errors="replace")[-500:]
        return await judge.everything(stage.connection), await stage.connection.fetchval(_SLOTS)
