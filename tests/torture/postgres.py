"""PostgreSQL stopped, killed, frozen, cut off, full, read-only, overrun, in the middle of what is being stored.

Each round has a server to break. The trouble comes at a step of the write path, lasts a while and passes; then
the work is finished, by the same process if it is a daemon or was patient enough, by another if not.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from collector.db import Connection
from collector.db.pool import connect
from collector.errors import StoreError
from tests.support.command_process import Process, ended
from tests.torture.cluster import Cluster, carried_out
from tests.torture.figures import Figures
from tests.torture.tap import Line
from tests.torture.work import EVERY, Doing, Reference, Work, tail, undisturbed
from tests.torture.world import World, judging

NAME = "postgres"
LONG, SHORT = 200, 40

LONGEST = 15.0
"""Seconds that a call may take."""
PLANNING = 125.0
"""The same while a backfill reads what it has to do: of years, in one statement. Behind a real network, where nothing
answers for a dead line as the tap does, the kernel gives up after 25."""
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@dataclass
class Scene:
    """Where a trouble comes: a server, what is done on it, and a database on a disk that can be filled."""

    cluster: Cluster
    doing: Doing
    disk: Path | None

    @property
    def name(self) -> str:
        return self.doing.stage.database.database

    async def throw_out(self) -> None:
        """End every session with the database."""
        await self.cluster.execute(OTHERS.format(self.name))


Trouble = Callable[[Scene], AbstractAsyncContextManager[None]]
"""Comes on entering and goes on leaving."""


@asynccontextmanager
async def fast(scene: Scene) -> AsyncIterator[None]:
    await scene.cluster.stop(signal.SIGINT)
    yield
    await scene.cluster.start()


@asynccontextmanager
async def immediate(scene: Scene) -> AsyncIterator[None]:
    await scene.cluster.stop(signal.SIGQUIT)
    yield
    await scene.cluster.start()


@asynccontextmanager
async def killed(scene: Scene) -> AsyncIterator[None]:
    await scene.cluster.stop(signal.SIGKILL)
    yield
    await scene.cluster.start()


@asynccontextmanager
async def frozen(scene: Scene) -> AsyncIterator[None]:
    scene.cluster.freeze()
    yield
    scene.cluster.thaw()


@asynccontextmanager
async def silent(scene: Scene) -> AsyncIterator[None]:
    scene.doing.stage.tap.silence()
    yield
    scene.doing.stage.tap.speak()


@asynccontextmanager
async def terminated(scene: Scene) -> AsyncIterator[None]:
    await scene.throw_out()
    yield


@asynccontextmanager
async def read_only(scene: Scene) -> AsyncIterator[None]:
    await scene.cluster.execute(f"ALTER DATABASE {scene.name} SET default_transaction_read_only = on")
    await scene.throw_out()
    yield
    await scene.cluster.execute(f"ALTER DATABASE {scene.name} RESET default_transaction_read_only")
    await scene.throw_out()


@asynccontextmanager
async def exhausted(scene: Scene) -> AsyncIterator[None]:
    async with AsyncExitStack() as sessions:
        await scene.throw_out()
        with suppress(StoreError):
            while True:
                await sessions.enter_async_context(connect(scene.cluster.address))
        yield


@asynccontextmanager
async def full(scene: Scene) -> AsyncIterator[None]:
    assert scene.disk
    filler = scene.disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()


TROUBLES: dict[str, Trouble] = {
    "fast": fast,
    "immediate": immediate,
    "killed": killed,
    "terminated": terminated,
    "frozen": frozen,
    "silent": silent,
    "read-only": read_only,
    "exhausted": exhausted,
    "full": full,
}


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"longest call": 0.0, "longest of a backfill": 0.0, "never came": 0})
    references = {work: await undisturbed(world, work) for work in EVERY}
    can_mount = os.geteuid() == 0 and shutil.which("mount") is not None
    troubles = [name for name in TROUBLES if name != "full" or can_mount]
    if not can_mount:
        figures.facts["disk full"] = "not tried: needs root"
    async with AsyncExitStack() as stack:
        free: asyncio.Queue[Cluster] = asyncio.Queue()
        for side in range(world.sides):
            name = f"breakable{side}"
            free.put_nowait(
                await stack.enter_async_context(world.another_cluster(name, "max_connections=20"))
            )

        async def one(number: int, chance: Random) -> Sequence[str]:
            work = EVERY[number // len(troubles) % len(EVERY)]
            trouble = troubles[number % len(troubles)]
            cluster = await free.get()
            try:
                await cluster.revive()
                plan = Plan.drawn(trouble, chance, references[work], is_long=count >= LONG)
                return await _troubled(world, cluster, work, references[work], plan, figures)
            finally:
                free.put_nowait(cluster)

        await world.rounds(NAME, figures, one, count=count)
    return figures


@dataclass(frozen=True)
class Plan:
    """What trouble, at which step (of which time), for how many seconds."""

    trouble: str
    point: tuple[str, int]
    seconds: float

    @staticmethod
    def drawn(trouble: str, chance: Random, reference: Reference, *, is_long: bool) -> "Plan":
        """A third of the time in the middle of COPY, a third around COMMIT, else anywhere."""
        points = reference.points()
        copying = [point for point in points if "send" in point[0] or "COPY" in point[0]]
        storing = [point for point in points if "COMMIT" in point[0] or "enter_" in point[0]]
        point = chance.choice(chance.choice([copying or storing, storing or points, points]))
        seconds = chance.choice([0.0, 0.3, 1.0, 2.0])
        if trouble in ("frozen", "silent"):
            seconds = chance.choice([1.0, 3.0, 60.0 if is_long else 18.0])
        return Plan(trouble, point, seconds)


async def _troubled(
    world: World, cluster: Cluster, work: Work, reference: Reference, plan: Plan, figures: Figures
) -> Sequence[str]:
    async with _disk(world, cluster, wanted=plan.trouble == "full") as (disk, words):
        async with work.stage(world, cluster, words) as doing:
            scene = Scene(cluster, doing, disk)
            losses = await _in_trouble(scene, plan, figures)
            async with judging(doing.stage.database) as connection:
                losses += await _brought_to_its_end(_over(doing, connection), reference)
            longest, what = doing.stage.tap.longest
        figures.tried += 1
        plans = work.name == "backfill"
        figures.longest("longest of a backfill" if plans else "longest call", longest)
        if longest > (PLANNING if plans else LONGEST):
            losses.append(f"slow: {what!r} took {longest:.1f} s")
        return [f"{loss} ({plan}, {work.name})" for loss in losses]


def _over(doing: Doing, connection: Connection) -> Doing:
    """The same with another session for the judge, whose first one is gone."""
    return replace(doing, stage=replace(doing.stage, connection=connection))


async def _in_trouble(scene: Scene, plan: Plan, figures: Figures) -> list[str]:
    """Do the work into the trouble and out of it; what a daemon, which must come through, did wrong."""
    doing = scene.doing
    coming: list[asyncio.Task[None]] = []
    is_there = asyncio.Event()

    async def come_and_go() -> None:
        try:
            async with TROUBLES[plan.trouble](scene):
                is_there.set()
                await asyncio.sleep(plan.seconds)
        finally:
            is_there.set()

    async def watch(step: str, number: int, _: Line) -> bool:
        if (step, number) == plan.point and not coming:
            coming.append(asyncio.create_task(come_and_go()))
            await is_there.wait()
        return True

    doing.stage.tap.watch = watch
    async with doing.under_way() as process:
        if doing.work.name == "daemon":
            losses = await doing.finish(process, after=plan.seconds)
        else:
            losses = await _said_what_is_wrong(process)
        await asyncio.gather(*coming)
    doing.stage.tap.forget()
    figures.count("never came", not coming)  # that step was not taken so often this time
    return losses


async def _said_what_is_wrong(process: Process) -> list[str]:
    """It may give up; then it says why, and leaves no traceback."""
    try:
        found = await ended(process, within=2 * PLANNING)
    except TimeoutError:
        return [f"broken: it did not end: {tail(process)}"]
    if found.code and "collector: " not in found.err:
        return [f"broken: it ended with {found.code} and no word: {found.err[-300:]}"]
    return []


async def _brought_to_its_end(doing: Doing, reference: Reference) -> list[str]:
    """Let it be finished, as an operator would."""
    losses = await doing.torn()
    async with doing.under_way() as process:
        losses += await doing.finish(process)
    return [*losses, *await doing.unlike(reference)]


@asynccontextmanager
async def _disk(world: World, cluster: Cluster, *, wanted: bool) -> AsyncIterator[tuple[Path | None, str]]:
    """A small disk and a tablespace on it, with the words that put a database there."""
    if not wanted:
        yield None, ""
        return
    folder = Path(mkdtemp(prefix="disk_", dir=world.folder))
    await carried_out("mount", "-t", "tmpfs", "-o", "size=48m", "torture", folder)
    try:
        place = folder / "place"
        place.mkdir(mode=0o700)
        name = folder.name
        await cluster.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        yield folder, f"TABLESPACE {name}"
        await cluster.execute(f"DROP TABLESPACE {name}")
    finally:
        await carried_out("umount", "--lazy", folder)
