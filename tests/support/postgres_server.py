"""Real databases for tests: one server a run, one migrated template, a fresh copy of it for each test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from collector.base import resources
from collector.db import Connection, embedded, migrations
from collector.db.dsn import Dsn, parse_dsn
from collector.db.pool import connect
from tests.support.memory_folder import memory_folder

SETTINGS = ("autovacuum = off", "min_wal_size = '32MB'", "max_wal_size = '128MB'")
"""No vacuum in the middle of a test, and a log that does not fill the memory: it would grow to 1 GB."""


@dataclass(frozen=True)
class Server:
    """A server on which a test may make databases, and a session with it that makes them."""

    address: Dsn
    connection: Connection

    @asynccontextmanager
    async def database(self, *, template: str = "template0", options: str = "") -> AsyncIterator[Dsn]:
        """A database of one's own under a name that no other run has; gone afterwards, whoever is in it.

        Without fsync, to copy files takes half of the processor time of writing each page to the log.
        """
        name = f"collector_test_{uuid4().hex}"
        if self.address.is_private:
            options = f"STRATEGY FILE_COPY {options}"
        await self.connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {options}")
        try:
            yield replace(self.address, database=name)
        finally:
            await self.connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def server(home: Path) -> AsyncIterator[Server]:
    """The server in DATABASE_URL, or else a private one under `home` that trades safety for speed."""
    if url := os.environ.get("DATABASE_URL"):
        async with connect(parse_dsn(url)) as connection:
            yield Server(parse_dsn(url), connection)
        return
    with memory_folder() as folder:
        async with embedded.running(folder or home, durable=False) as address, connect(address) as connection:
            for setting in SETTINGS:
                await connection.execute(f"ALTER SYSTEM SET {setting}")
            await connection.execute("SELECT pg_reload_conf()")
            yield Server(address, connection)


@asynccontextmanager
async def migrated(server: Server) -> AsyncIterator[str]:
    """The name of a database with the real schema, for others to be copied from."""
    async with server.database(options="ENCODING 'UTF8'") as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
        yield address.database
