"""Sessions with the database: opened with limits that end what hangs, and closed under a deadline."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from asyncpg import Connection, Pool
from asyncpg.transaction import Transaction

from collector.errors import ConfigError
from collector.postgres.address import Address
from collector.postgres.failure import DRIVER_ERRORS, translated

__all__ = ["Connection", "Pool", "check_server", "connect", "open_pool", "transaction"]

OLDEST = 15
CLOSING = 2.0
"""Seconds that a goodbye may take; after that the socket is dropped."""
UNDOING = 1.0
"""Seconds that a ROLLBACK may take; the server does the same when the session is dropped."""

_PROMISE = ("fsync", "full_page_writes", "synchronous_commit")
_COLLATION = """
SELECT datcollversion <> pg_database_collation_actual_version(oid)
FROM pg_database
WHERE datname = current_database()
"""


@asynccontextmanager
async def connect(
    address: Address, *, timeout: float = 10.0, statement_timeout: float = 30.0
) -> AsyncIterator[Connection]:
    """One session of one's own; both limits are seconds. StoreError if there is none to be had."""
    async with translated("connecting", address, timeout=timeout):
        connection = await _opened(**_arguments(address, statement_timeout))
    try:
        yield connection
    finally:
        await _closed(connection)


@asynccontextmanager
async def open_pool(
    address: Address, *, size: int = 4, timeout: float = 10.0, statement_timeout: float = 30.0
) -> AsyncIterator[Pool]:
    """At most `size` sessions, the first of which is opened now, so that a wrong address is known at once.

    None of them is kept for its own sake: the driver would open it anew behind our back, without a limit in time.
    """
    arguments = _arguments(address, statement_timeout)
    async with translated("connecting", address, timeout=timeout):
        pool = await asyncpg.create_pool(
            min_size=0, init_size=1, max_size=size, connect=_opened, reset=_nothing_to_reset, **arguments
        )
    try:
        yield pool
    finally:
        await _closed(pool)


async def _nothing_to_reset(connection: Connection) -> None:
    """The driver would undo session settings at each release, a round trip: we make none but SET LOCAL."""


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """All of the block or nothing of it, read committed; inside `translated`, in place of the driver's own.

    The driver's waits for its ROLLBACK without a limit, and where the network is silent that wait is for
    ever: the time-out that ended the block is already spent. Here the way back is bounded, the session is
    dropped if it takes longer, and the error that ended the block is the one that is seen. An error at
    COMMIT says nothing about whether the block was stored.
    """
    block = connection.transaction(isolation="read_committed")
    try:
        await block.start()
    except BaseException:
        connection.terminate()
        raise
    try:
        yield
    except BaseException:
        await _rolled_back(connection, block)
        raise
    try:
        await block.commit()
    except asyncpg.PostgresError:
        raise
    except BaseException:
        connection.terminate()
        raise


async def _rolled_back(connection: Connection, block: Transaction) -> None:
    try:
        async with asyncio.timeout(UNDOING):
            await block.rollback()
    except DRIVER_ERRORS:
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise


# Both ends find out within half a minute that the other is gone. By default a server waits for two hours, and in the
# middle of a COPY no other limit of it counts: so long the dead would keep their locks.
_HERE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
_THERE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def _arguments(address: Address, statement_timeout: float) -> dict[str, Any]:
    """What the driver is told, field by field: the rest it would take from the environment."""
    password = address.password.reveal() if address.password else None
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": password,
        "database": address.database,
        "ssl": _ssl(address),
        "statement_cache_size": 0 if address.pgbouncer else 100,
        "server_settings": _settings(address, statement_timeout),
    }


def _settings(address: Address, statement_timeout: float) -> dict[str, str]:
    """PgBouncer refuses start-up settings that it does not track, so behind it the limits are asyncio's."""
    tracked = {"application_name": "collector", "timezone": "UTC"}
    if address.pgbouncer:
        return tracked
    return tracked | {
        "statement_timeout": f"{statement_timeout * 1000:.0f}",
        "lock_timeout": "5000",
        "idle_in_transaction_session_timeout": "60000",
        **_THERE,
        "jit": "off",
        # By default a role finds a schema of its own name first; ours hides the views from a role `collector`.
        "search_path": "public",
    }


def _ssl(address: Address) -> str | ssl.SSLContext | bool:
    if address.is_socket or address.sslmode == "disable":
        return False
    if not address.sslmode.startswith("verify"):
        return address.sslmode
    try:
        context = ssl.create_default_context(cafile=address.sslrootcert or None)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"sslrootcert {address.sslrootcert} cannot be read", hint="name a file of PEM certificates"
        ) from error
    context.check_hostname = address.sslmode == "verify-full"
    return context


async def _opened(*dsn: None, **arguments: Any) -> Connection:
    """Also what the pool calls, which passes a DSN that is always None first."""
    connection = await asyncpg.connect(*dsn, **arguments)
    _notice_a_dead_peer(connection._transport.get_extra_info("socket"))
    return connection


def _notice_a_dead_peer(wire: socket.socket) -> None:
    """Let the kernel find out within half a minute that the peer is gone; the driver sets nothing of it."""
    if wire.family == socket.AF_UNIX:
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _HERE.items():
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _closed(session: Connection | Pool) -> None:
    """Say goodbye; drop the socket if that takes too long, fails, or is cancelled."""
    try:
        with suppress(TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with asyncio.timeout(CLOSING):
                await session.close()
    finally:
        session.terminate()


async def check_server(connection: Connection, address: Address) -> list[str]:
    """Refuse a server that cannot keep what we promise; return what weakens the promise, as lines to log."""
    async with translated("looking at the server", address, timeout=10.0):
        version = connection.get_server_version()
        encoding = await connection.fetchval("SHOW server_encoding")
        rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY ($1)", _PROMISE)
        has_moved = version.major >= OLDEST and await connection.fetchval(_COLLATION)
    if version.major < OLDEST:
        raise ConfigError(
            f"the server is PostgreSQL {version.major}; {OLDEST} or newer is needed (database {address})",
            hint="upgrade the server, or leave DATABASE_URL out for a private one",
        )
    if encoding != "UTF8":
        raise ConfigError(
            f"the database is encoded in {encoding}, UTF8 is needed (database {address})",
            hint="create one: CREATE DATABASE collector ENCODING 'UTF8' TEMPLATE template0",
        )
    moved = (
        "the system's collation has changed under the database: indexes of text may not find what is there"
    )
    return [
        f"{row['name']} is off: a crash of the server may lose snapshots that were stored"
        for row in rows
        if row["setting"] == "off"
    ] + [f"{moved}; REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION"] * bool(has_moved)
