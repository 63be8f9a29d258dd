"""Where scenarios take place: real processes, a real PostgreSQL behind a tap, a simulator that keeps books."""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

from collector.db import Connection
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import Target
from kiwoom_simulator import Options, Simulator
from tests.support.command_process import Process, environment, started
from tests.support.fake_clock import Wall
from tests.support.harness import STILL, yaml
from tests.torture import cluster as clusters
from tests.torture.cluster import Cluster
from tests.torture.figures import Figures
from tests.torture.tap import Tap, tapped

TODAY = 'schedules:\n  today: {universe: all, at: "00:00", days: all, grace: 1d}\n'
"""Its slot has been today, and may still run: a sweep begins whenever a daemon does."""
_PYTHON = {"PYTHONPATH": str(Path(__file__).parents[2])}
FAST = 200
"""Requests a second: the quota is in use, and never in the way."""
PATIENT = 120.0
"""Seconds that the judge gives a question: the dead may hold locks for a while."""


@asynccontextmanager
async def judging(address: Dsn) -> AsyncIterator[Connection]:
    """The judge's own session, which waits for what the dead still hold."""
    async with connect(address, statement_timeout=PATIENT) as connection:
        await connection.execute("SET lock_timeout = 0")
        yield connection


@dataclass(frozen=True)
class Stage:
    """One database, one simulator, one configuration; commands in it see the database through the tap."""

    folder: Path
    targets: Sequence[Target]
    simulator: Simulator
    database: Dsn
    connection: Connection
    """The judge's own, which does not pass the tap."""
    tap: Tap
    config: Path
    cluster: Cluster
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **more: str) -> AbstractAsyncContextManager[Process]:
        """A command under way, killed at the end of the block; forked from a process that imported it."""
        return started(*arguments, "--config", str(self.config), env=self.env | more, cwd=self.folder)

    @asynccontextmanager
    async def start_cold(
        self, *arguments: str, before: Sequence[str] = ()
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """As `start`, from nothing; `before` is what the interpreter is started by."""
        process = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", "collector", *arguments, "--config", str(self.config)),
            env=self.env | _PYTHON,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@dataclass
class World:
    """What a run of scenarios shares. `only` is the one round that is asked for, None for all of them."""

    folder: Path
    seed: int
    cluster: Cluster
    sides: int = 2
    """Rounds that take place side by side."""
    only: int | None = None
    progress: Callable[[str], None] = lambda _: None
    _stages: int = 0

    @asynccontextmanager
    async def stage(
        self,
        *targets: Target,
        options: Options = STILL,
        cluster: Cluster | None = None,
        database: str = "",
        more: str = TODAY,
        **api: object,
    ) -> AsyncIterator[Stage]:
        """A stage of a round's own; `database` are words for CREATE DATABASE, `api` and `more` for the YAML."""
        self._stages += 1
        folder = self.folder / f"stage{self._stages}"
        folder.mkdir()
        config = folder / "collector.yaml"
        config.write_text(yaml(targets, **{"requests_per_second": FAST, **api}) + more, encoding="utf-8")
        cluster = cluster or self.cluster
        async with (
            cluster.database(database) as address,
            judging(address) as connection,
            tapped(address) as tap,
            Simulator(options) as simulator,
        ):
            env = environment(simulator.url, tap.address)
            yield Stage(folder, targets, simulator, address, connection, tap, config, cluster, env)
        rmtree(folder)

    def own_folder(self, name: str) -> Path:
        """A folder that nobody else uses."""
        self._stages += 1
        folder = self.folder / f"{name}{self._stages}"
        folder.mkdir()
        return folder

    def another_cluster(
        self, name: str, *settings: str, wall: Wall | None = None
    ) -> AbstractAsyncContextManager[Cluster]:
        """A server that a scenario may break, or that lives by a clock of its own."""
        self._stages += 1
        return clusters.running(self.folder / f"{name}{self._stages}", *settings, wall=wall)

    async def rounds(
        self,
        name: str,
        figures: Figures,
        one: Callable[[int, Random], Awaitable[Sequence[str]]],
        *,
        enough: Callable[[], bool] | None = None,
        count: int = 0,
    ) -> None:
        """Carry out rounds, a few side by side, until there were `count`, or `enough` says so.

        `one` is given the round's number and its own source of chance, and answers what was lost. What it
        raises is a loss as well.
        """
        numbers = iter(range(1 << 30) if enough else range(count))

        async def side() -> None:
            for number in numbers:
                if enough and enough():
                    return
                figures.lose(number, await self._round(name, number, one))
                self.progress(f"{name:10} {figures.line()}")

        if self.only is not None:
            figures.lose(self.only, await self._round(name, self.only, one))
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(self.sides):
                group.create_task(side())

    async def _round(
        self, name: str, number: int, one: Callable[[int, Random], Awaitable[Sequence[str]]]
    ) -> Sequence[str]:
        try:
            return await one(number, Random(f"{self.seed} {name} {number}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the round has failed and the others go on
            traceback.print_exc()
            return [f"broken: {type(error).__name__}: {' '.join(str(error).split())[:300]}"]


@asynccontextmanager
async def opened(seed: int) -> AsyncIterator[World]:
    """A world in a folder of its own, gone afterwards."""
    folder = Path(mkdtemp(prefix="torture-"))
    try:
        async with clusters.running(folder / "cluster") as cluster:
            yield World(folder, seed, cluster)
    finally:
        rmtree(folder, ignore_errors=True)


def now() -> datetime:
    """A slot that `once` may be asked for."""
    return datetime.now(UTC).replace(microsecond=0)
