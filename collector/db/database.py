"""Connections to the database, each for one purpose and with a time limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collector.db.dsn import Dsn
from collector.db.errors import translate_errors
from collector.db.frozen import end_frozen_sessions
from collector.db.pool import Connection, Pool, transaction
from collector.errors import StoreError, StoreFailure

TIMEOUT = 13.5
"""Seconds for one use of a connection, the wait for a free one included; a rollback may take one more."""


@dataclass(frozen=True, slots=True)
class Database:
    """A pool and its address. The code opening the pool also closes it."""

    pool: Pool
    address: Dsn

    @asynccontextmanager
    async def connection(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        """Lends a connection for one purpose; `what` names the purpose in the StoreError of a failure.

        A connection broken off in the middle of a statement is terminated: asyncpg would wait for the
        server's answer, up to `timeout` again. After a timeout the other connections of the pool are expired
        too, since they probably fail as well. After a lock that was not granted, the sessions of frozen programs
        are ended, so that the next attempt gets it.
        """
        try:
            async with (
                translate_errors(what, self.address, timeout=timeout),
                self.pool.acquire(timeout=timeout) as connection,
            ):
                try:
                    yield connection
                except asyncio.CancelledError:
                    connection.terminate()
                    raise
                except StoreError as error:
                    if _was_given_up(error):
                        connection.terminate()
                    raise
        except StoreError as error:
            if _was_given_up(error):
                await self.pool.expire_connections()
            if error.kind is StoreFailure.LOCKED:
                await end_frozen_sessions(self.pool)
            raise

    @asynccontextmanager
    async def transaction(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        """Lends a connection inside one transaction: commits if the block ends, rolls back if it raises."""
        async with self.connection(what, timeout=timeout) as connection, transaction(connection):
            yield connection


def _was_given_up(error: StoreError) -> bool:
    """Returns True if the time ran out, here or in an inner limit."""
    return error.kind is StoreFailure.TIMEOUT
