"""Programs that freeze inside a transaction: their locks are taken from them, and from no other session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest

from collector.archive.write import PATIENT
from collector.db import frozen
from collector.db.database import TIMEOUT, Database
from collector.db.dsn import Dsn
from collector.db.errors import DRIVER_ERRORS
from collector.db.pool import Connection, connect, open_pool
from collector.errors import StoreError, StoreFailure

LOCK = "SELECT generation FROM collector.registry_state FOR UPDATE"
AT_ONCE = timedelta(microseconds=1)
"""Any silence is long enough: no test waits for it."""


@asynccontextmanager
async def waiting(address: Dsn) -> AsyncIterator[Database]:
    """The program that waits for a lock."""
    async with open_pool(address, size=2) as pool:
        yield Database(pool, address)


async def lock(database: Database, milliseconds: int = 50) -> None:
    """Take the lock, or fail after some time."""
    async with database.transaction("registering") as connection:
        await connection.execute(f"SET LOCAL lock_timeout = {milliseconds}")
        await connection.fetchval(LOCK)


async def be_idle(connection: Connection) -> None:
    """Leave the transaction between two statements."""


async def be_between_parse_and_bind(connection: Connection) -> None:
    """Leave the transaction in the middle of a statement: prepared, not executed."""
    await connection.prepare("SELECT count(*) FROM collector.target")


@pytest.mark.parametrize("freeze", [be_idle, be_between_parse_and_bind])
async def test_a_frozen_program_loses_its_lock_to_the_one_that_waits(
    database: Dsn, freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = partial(frozen.end_frozen_sessions, silent=AT_ONCE)
    monkeypatch.setattr("collector.db.database.end_frozen_sessions", at_once)
    async with waiting(database) as program, connect(database) as other:
        await other.execute("BEGIN")
        await other.fetchval(LOCK)
        await freeze(other)
        with pytest.raises(StoreError, match="a lock was not granted in time") as caught:
            await lock(program)
        assert caught.value.kind is StoreFailure.LOCKED
        await lock(program, 0)
        with pytest.raises(DRIVER_ERRORS):
            await other.fetchval("SELECT 1")


@pytest.mark.parametrize(
    "begin",
    [
        ("BEGIN",),  # no lock is held: nobody waits for it
        ("BEGIN", PATIENT, LOCK),  # may be silent for long
        ("BEGIN", "SET LOCAL application_name = 'psql'", LOCK),
    ],
    ids=["without a lock", "an archive", "another program"],
)
async def test_other_sessions_are_left_alone(database: Dsn, begin: tuple[str, ...]) -> None:
    async with waiting(database) as program, connect(database) as other:
        for statement in begin:
            await other.execute(statement)
        assert await frozen.end_frozen_sessions(program.pool, silent=AT_ONCE) == 0
        assert await other.fetchval("SELECT 1") == 1


async def test_a_session_that_spoke_lately_is_left_alone(database: Dsn) -> None:
    async with waiting(database) as program, connect(database) as other:
        await other.execute("BEGIN")
        await other.fetchval(LOCK)
        assert await frozen.end_frozen_sessions(program.pool, silent=timedelta(hours=1)) == 0
        assert await other.fetchval("SELECT 1") == 1


async def test_a_copy_that_waits_for_rows_is_left_alone(database: Dsn) -> None:
    async def rows():
        ended.append(await frozen.end_frozen_sessions(program.pool, silent=AT_ONCE))
        yield b""

    ended: list[int] = []
    async with waiting(database) as program, connect(database) as other, other.transaction():
        await other.fetchval(LOCK)
        await other.copy_to_table("target", schema_name="collector", source=rows())
    assert ended == [0]


def test_the_silence_is_longer_than_a_use_of_a_connection() -> None:
    assert timedelta(seconds=TIMEOUT + 1) < frozen.SILENT
