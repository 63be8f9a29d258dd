"""The database as the rest of the program holds it: sessions for a purpose, bounded in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collector.db.dsn import Dsn
from collector.db.errors import translate_errors
from collector.db.pool import Connection, Pool, transaction
from collector.errors import StoreError, StoreFailure

TIMEOUT = 13.5
"""Seconds that one conversation may take, waiting for a free session included; undoing it may take one more."""


@dataclass(frozen=True, slots=True)
class Database:
    """A pool and where it leads. Whoever opened the pool closes it."""

    pool: Pool
    address: Dsn

    @asynccontextmanager
    async def connection(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        """A session for one purpose, named by `what` in the StoreError that a failure becomes.

        One that is given up in the middle of something is dropped: the driver would wait for the server to take
        note, up to `timeout` again. And where one was silent, the pool's others are as likely to be.
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
            raise

    @asynccontextmanager
    async def transaction(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        """As `connection`, inside one transaction: committed if the block ends, rolled back if it raises."""
        async with self.connection(what, timeout=timeout) as connection, transaction(connection):
            yield connection


def _was_given_up(error: StoreError) -> bool:
    """Whether the time for it was over, here or in a part of it that had a limit of its own."""
    return error.kind is StoreFailure.TIMEOUT
