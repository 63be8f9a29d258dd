"""Tells a test that another process has stored rows: the server says so, and nobody looks again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from collector.db.dsn import Dsn
from collector.db.pool import connect
from tests.support.command_process import Process

TELL = """
CREATE OR REPLACE FUNCTION public.tell_of_rows() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NOTIFY rows_stored; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER tell_of_rows AFTER INSERT ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.tell_of_rows()
"""


class TableWatch:
    """The commits that brought rows into a table, in order."""

    def __init__(self) -> None:
        self._commits = asyncio.Semaphore(0)

    def hear(self, *_: object) -> None:
        self._commits.release()

    async def next_commit(self, process: Process) -> None:
        """Wait for the next commit, or for the end of the process that should make it."""
        waits = [asyncio.ensure_future(self._commits.acquire()), asyncio.ensure_future(process.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with suppress(asyncio.CancelledError):
                await wait


@asynccontextmanager
async def watched(address: Dsn, table: str) -> AsyncIterator[TableWatch]:
    """Watch a table, from now until the end of the block."""
    watch = TableWatch()
    async with connect(address) as connection:
        await connection.execute(TELL.format(table=table))
        await connection.add_listener("rows_stored", watch.hear)
        yield watch
        await connection.remove_listener("rows_stored", watch.hear)
