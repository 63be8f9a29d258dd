"""Walls that are set while the daemon runs, machines that were asleep, and hosts that live by other clocks.

In most rounds the database is on the same machine and lives by the same wall. In two it does not: the daemon's wall is
wrong at the start, or is stepped while old days wait to be dropped; then nothing is written, and no row goes.

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
from tests.support.daemon_process import Running, started
from tests.support.fake_clock import Wall, unavailable
from tests.support.harness import STILL
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.world import TODAY, Stage, World

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
OFF = (39_400_000, 259_200, 32_400, 60, -60, -32_400, -259_200)
"""Seconds by which a wall is wrong: a year and a quarter, days, a hardware clock in local time, a minute."""
LONGEST = 150.0
"""Seconds for what a daemon says under libfaketime, which reads a file at each look at a clock."""
_LEDGER = "SELECT count(*) FROM collector.walk"
_AHEAD = "SELECT count(*) FROM collector.walk WHERE slot > clock_timestamp()"
_OLD = (
    "SELECT collector.make_days('2025-01-06', 5)",
    (
        "INSERT INTO collector.retention (keep_days, first, announced_at)"
        " VALUES (30, '2025-02-01', clock_timestamp() - INTERVAL '2 days')"
    ),
)
_OLD_DAYS = "SELECT count(*) FROM collector.days_before('2025-02-01')"
_STORED = "SELECT count(*) FROM walk WHERE rows > 0"
_LINES = "SELECT slot, count(*) FROM walk GROUP BY slot HAVING count(*) <> $1"
_SLOTS = "SELECT string_agg(DISTINCT extract(epoch FROM slot)::text, ' ') FROM walk"


async def run(world: World, count: int, chance: Random) -> Figures:
    if why := unavailable():
        return Figures(skipped=why)
    figures = Figures(facts={"steps": 0, "sleeps": 0, "hosts": 0, "wrong starts": 0, "retained": 0})
    rounds = (_stepped, _asleep, _elsewhere, _wrong_at_start, _retained)

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
    # Four minutes earlier: no sweep is due before the daemon is up, however long its start takes.
    wall = Wall(world.own_folder("wall"), TEN - timedelta(minutes=4))
    options = replace(STILL, now=TEN, tokens_ahead=TEN - datetime.now(UTC))
    async with (
        world.another_cluster("walled", wall=wall) as cluster,
        world.stage(*TARGETS, options=options, cluster=cluster, more=OFTEN) as stage,
        started(stage.config, stage.database, "--force", **stage.env, **wall.environment) as daemon,
    ):
        await daemon.said("lease.taken", seconds=LONGEST)
        wall.show(TEN)
        yield stage, wall, daemon


async def _wrong_at_start(world: World, chance: Random, figures: Figures) -> Sequence[str]:
    """Start by a wall that is off, which is set right a moment later; the database's was right all the time."""
    figures.count("wrong starts")
    shift = timedelta(seconds=chance.choice(OFF))
    async with world.stage(*TARGETS) as stage:
        wall = Wall(stage.folder, datetime.now(UTC) + shift)
        async with started(
            stage.config, stage.database, "--force", **stage.env, **wall.environment
        ) as daemon:
            await daemon.said("clocks.apart", seconds=LONGEST)
            early = await stage.connection.fetchval(_LEDGER)
            await asyncio.sleep(chance.uniform(0, 2.0))
            wall.show(datetime.now(UTC))
            await daemon.said("sweep.ended", seconds=LONGEST)
            status, _ = await daemon.stopped()
        losses = [f"early: {early} lines were written while the clocks were {shift} apart"] if early else []
        losses += [f"broken: it ended with {status}"] if status else []
        ahead = await stage.connection.fetchval(_AHEAD)
        losses += [f"early: {ahead} lines of the future"] if ahead else []
        return [
            *losses,
            *await judge.torn(stage.connection),
            *await judge.altered(stage.connection, stage.simulator),
        ]


async def _retained(world: World, chance: Random, figures: Figures) -> Sequence[str]:
    """Old days were announced to be dropped, and daemons start by walls that are wrong. At most two days go."""
    figures.count("retained")
    async with world.stage(*TARGETS, more=TODAY + "database: {keep_days: 30}\n") as stage:
        for query in _OLD:
            await stage.connection.execute(query)
        wall = Wall(stage.folder, datetime.now(UTC) + timedelta(seconds=chance.choice(OFF)))
        ends = []
        for _ in range(3):
            wall.show(datetime.now(UTC) + timedelta(seconds=chance.choice(OFF)))
            async with started(
                stage.config, stage.database, "--force", **stage.env, **wall.environment
            ) as daemon:
                await daemon.said("clocks.apart", seconds=LONGEST)
                wall.show(datetime.now(UTC))
                await daemon.said("lease.taken", seconds=LONGEST)
                await asyncio.sleep(chance.uniform(0, 2.0))
                ends.append((await daemon.stopped())[0])
        left = await stage.connection.fetchval(_OLD_DAYS)
        losses = [f"lost: {left} of 5 old days are left"] if left < 3 else []
        return [*losses, *(f"broken: it ended with {status}" for status in ends if status)]


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
    # Not those that began: a sweep whose lease is lost before its first walk begins again with the next lease.
    ended = [line["slot"] for line in daemon.events("sweep.ended")]
    taken_back = sum(line["suspect"] for line in daemon.events("slots.ahead_of_time"))
    doubled = [slot for slot in sorted({*ended}) if ended.count(slot) > 1]
    losses = [f"doubled: {slot} was swept twice" for slot in doubled[taken_back // len(TARGETS) :]]
    if not await stage.connection.fetchval(_STORED):
        losses.append("broken: no sweep stored a row")
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
    wall = Wall(world.own_folder("wall"), at)
    options = replace(STILL, tokens_ahead=at - datetime.now(UTC))
    async with (
        world.another_cluster("walled", wall=wall) as cluster,
        world.stage(*TARGETS, options=options, cluster=cluster) as stage,
    ):
        before = ("env", *(f"{name}={value}" for name, value in (environment | wall.environment).items()))
        slot = at.replace(microsecond=0) - timedelta(seconds=3)
        async with stage.start_cold("once", "--slot", slot.isoformat(), before=before) as process:
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode(errors="replace")[-500:]
        return await judge.everything(stage.connection), await stage.connection.fetchval(_SLOTS)
