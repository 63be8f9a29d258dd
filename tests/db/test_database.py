"""Sessions for a purpose, when the database falls silent: given up in time, and no second time for the same silence."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.errors import translate_errors
from collector.db.pool import open_pool
from collector.errors import StoreError
from tests.torture.tap import Line, Tap, tapped

LIMIT = 1.5
"""Seconds: the limit is the subject, so it is waited for; long enough for a slow machine to keep within 1.75 of it."""


@asynccontextmanager
async def silenced(address: Dsn) -> AsyncIterator[tuple[Database, Tap]]:
    """A database with four sessions open, none of which gets an answer any more."""

    async def hold() -> None:
        async with database.connection("holding") as connection:
            await connection.execute("SELECT 1")
            await all_are_open.wait()

    all_are_open = asyncio.Barrier(4)

    async with tapped(address) as tap, open_pool(tap.address) as pool:
        database = Database(pool, tap.address)
        await asyncio.gather(*(hold() for _ in range(4)))
        tap.silence()
        yield database, tap


async def ask(database: Database, limit: float = LIMIT) -> None:
    async with database.connection("asking", timeout=limit) as connection:
        await connection.fetchval("SELECT 1")


async def test_a_call_into_silence_takes_no_longer_than_its_limit(database: Dsn) -> None:
    async with silenced(database) as (held, _):
        began = time.monotonic()
        with pytest.raises(StoreError, match="no answer within"):
            await ask(held)
        assert time.monotonic() - began < 1.75 * LIMIT


async def test_a_part_that_has_a_limit_of_its_own_is_not_waited_for_longer_by_the_whole(
    database: Dsn,
) -> None:
    async def look(held: Database) -> None:
        async with (
            held.connection("looking at the schema", timeout=60) as connection,
            translate_errors("looking at the server", held.address, timeout=LIMIT),
        ):
            await connection.fetchval("SELECT 1")

    async with silenced(database) as (held, _):
        began = time.monotonic()
        with pytest.raises(StoreError, match="looking at the server: no answer"):
            await look(held)
        assert time.monotonic() - began < 30  # of the sixty that the whole has


@pytest.mark.extended
async def test_after_one_silent_session_the_others_are_not_tried_in_turn(database: Dsn) -> None:
    async with silenced(database) as (held, tap):
        with pytest.raises(StoreError):
            await ask(held)
        tap.speak()
        await ask(held)


async def test_a_call_that_is_cancelled_in_silence_ends_at_once(database: Dsn) -> None:
    asked = asyncio.Event()

    async def watch(step: str, number: int, _: Line) -> bool:
        asked.set()
        return True

    async with silenced(database) as (held, tap):
        tap.watch = watch
        task = asyncio.create_task(ask(held, limit=60))
        await asked.wait()
        began = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert time.monotonic() - began < 30  # and not when its limit is over
