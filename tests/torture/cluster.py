"""A PostgreSQL of a scenario's own, that can be stopped, killed and frozen at will."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

from collector.base import resources
from collector.db import Connection, migrations
from collector.db.dsn import Dsn
from collector.db.embedded import binaries, keeper
from collector.db.pool import connect
from tests.support.fake_clock import Wall

SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=60", "autovacuum_naptime=5s")
"""Safe as long as the machine itself does not crash: what was committed has left the server's memory."""
COMING = 60.0


class Cluster:
    """One server; `template` is a database with the real schema, for others to be copied from."""

    template = "torture_template"

    def __init__(self, folder: Path, settings: Sequence[str], wall: Wall | None = None) -> None:
        """`wall` is the clock that the server shows, None for the machine's."""
        folder.mkdir(parents=True)
        self._run = Path(mkdtemp(prefix="torture-", dir="/tmp"))  # a socket's path must be short
        self._server = keeper.Server(folder, self._run, binaries.find(os.environ), [*SETTINGS, *settings])
        self._log = (folder / "server.log").open("ab")
        self._child: subprocess.Popen[bytes]
        self._environment = {**os.environ, **(wall.environment if wall else {})}
        self.address = Dsn(host=str(self._run), database="postgres", user="postgres")

    async def start(self) -> None:
        """Come up, whatever was done to it before."""
        deadline = time.monotonic() + COMING
        while not await self._try():
            assert time.monotonic() < deadline, "the server does not come up"
            await asyncio.sleep(0.05)

    async def _try(self) -> bool:
        """From this thread: a server dies with the thread that started it."""
        self._server._clear()
        self._child = subprocess.Popen(  # noqa: ASYNC220 - it takes milliseconds, and the thread matters
            self._server._command(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
        )
        while self._child.poll() is None:
            if self._server._is_ready(self._child.pid):
                return True
            await asyncio.sleep(0.005)
        return False

    async def revive(self) -> None:
        """Be there, if something went wrong that left it stopped or frozen."""
        self.thaw()
        if self._child.poll() is not None:
            await self.start()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is `fast`, SIGQUIT is `immediate`, SIGKILL leaves its children behind for a moment."""
        if self._child.poll() is None:
            self._child.send_signal(number)
        while self._child.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def freeze(self) -> None:
        self._tell_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._tell_all(signal.SIGCONT)

    def _tell_all(self, number: signal.Signals) -> None:
        if self._child.poll() is not None:
            return
        pid = self._child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, number)

    @asynccontextmanager
    async def database(self, options: str = "") -> AsyncIterator[Dsn]:
        """A copy of the template, gone afterwards, whoever is in it."""
        name = f"torture_{uuid4().hex[:12]}"
        async with connect(self.address) as connection:
            await connection.execute(
                f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY file_copy {options}"
            )
        try:
            yield replace(self.address, database=name)
        finally:
            async with connect(self.address) as connection:
                await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str) -> None:
        """From a session of its own, outside of all databases of scenarios."""
        async with connect(self.address) as connection:
            await connection.execute(statement)

    async def make_template(self) -> None:
        async with connect(self.address) as connection:
            await connection.execute(f"CREATE DATABASE {self.template} ENCODING 'UTF8' TEMPLATE template0")
        address = replace(self.address, database=self.template)
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))

    def close(self) -> None:
        self._log.close()
        with suppress(OSError):
            self._run.rmdir()


@asynccontextmanager
async def running(folder: Path, *settings: str, wall: Wall | None = None) -> AsyncIterator[Cluster]:
    """A cluster with its template, as long as the block runs; `settings` are NAME=VALUE."""
    cluster = Cluster(folder, settings, wall)
    cluster._server._init()
    await cluster.start()
    try:
        await cluster.make_template()
        yield cluster
    finally:
        cluster.thaw()
        await cluster.stop(signal.SIGQUIT)
        cluster.close()


async def fetch(connection: Connection, query: str, *arguments: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def carried_out(*command: str | Path) -> None:
    """A command of the system, which has to end well."""
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command
