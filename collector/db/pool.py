"""Sessions with the database: opened with limits that end what hangs, and closed under a deadline."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

import asyncpg
from asyncpg import Connection, Pool
from asyncpg.transaction import Transaction

from collector.db.dsn import Dsn
from collector.db.errors import DRIVER_ERRORS, POOLER_HINT, translate_errors
from collector.errors import ConfigError

__all__ = ["Connection", "Pool", "check_server", "connect", "open_pool", "transaction"]

OLDEST = 15
CLOSING = 2.0
"""Seconds that a goodbye may take; after that the socket is dropped."""
UNDOING = 1.0
"""Seconds that a ROLLBACK may take; the server does the same when the session is dropped."""

_PROMISE = ("fsync", "full_page_writes", "synchronous_commit")
_SEEN = """
SELECT current_setting('lock_timeout') AS lock_timeout,
       current_setting('session_replication_role') AS replication_role
"""
_COLLATION = """
SELECT datcollversion <> pg_database_collation_actual_version(oid)
FROM pg_database
WHERE datname = current_database()
"""


@asynccontextmanager
async def connect(
    address: Dsn, *, timeout: float = 10.0, statement_timeout: float = 30.0
) -> AsyncIterator[Connection]:
    """One session of one's own; both limits are seconds. StoreError if there is none to be had."""
    async with translate_errors("connecting", address, timeout=timeout):
        connection = await _open_connection(**_arguments(address, statement_timeout))
    try:
        yield connection
    finally:
        await _close(connection)


@asynccontextmanager
async def open_pool(
    address: Dsn, *, size: int = 4, timeout: float = 10.0, statement_timeout: float = 30.0
) -> AsyncIterator[Pool]:
    """At most `size` sessions, the first of which is opened now, so that a wrong address is known at once.

    None of them is kept for its own sake: the driver would open it anew behind our back, without a limit in time.
    """
    arguments = _arguments(address, statement_timeout)
    async with translate_errors("connecting", address, timeout=timeout):
        pool = await asyncpg.create_pool(
            min_size=0,
            init_size=1,
            max_size=size,
            connect=_open_connection,
            reset=_nothing_to_reset,
            **arguments,
        )
    try:
        yield pool
    finally:
        await _close(pool)


async def _nothing_to_reset(connection: Connection) -> None:
    """The driver would undo session settings at each release, a round trip: we make none but SET LOCAL."""


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """All of the block or nothing of it, read committed; inside `translate_errors`, in place of the driver's own.

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
        await _roll_back(connection, block)
        raise
    try:
        await block.commit()
    except asyncpg.PostgresError:
        raise
    except BaseException:
        connection.terminate()
        raise


async def _roll_back(connection: Connection, block: Transaction) -> None:
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


class PooledConnection(Connection):  # type: ignore[misc]  # the driver has no types
    """A session through a pooler, which may give each transaction another session of the server.

    So every statement is in a transaction, and every transaction begins with the settings that a session of
    our own would have from its start.
    """

    transaction_settings = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        if self._is_outside():
            async with transaction(self):
                return await super().execute(query, *args, timeout=timeout)
        if query.startswith("BEGIN"):
            isolation = "" if "ISOLATION" in query else "SET LOCAL transaction_isolation = 'read committed'; "
            query = f"{query} {isolation}{self.transaction_settings}"
        return await super().execute(query, *args, timeout=timeout)

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> Any:
        async with self._in_transaction():
            return await super().executemany(command, args, timeout=timeout)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetch(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetchval(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetchrow(query, *args, **options)

    def _in_transaction(self) -> AbstractAsyncContextManager[None]:
        return transaction(self) if self._is_outside() else nullcontext()

    def _is_outside(self) -> bool:
        """Both: the driver forgets its transaction before the COMMIT, and knows it before the BEGIN."""
        return self._top_xact is None and not self.is_in_transaction()


def _arguments(address: Dsn, statement_timeout: float) -> dict[str, Any]:
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
        "statement_timeout": statement_timeout,
        "connection_class": PooledConnection if address.pgbouncer else Connection,
    }


# What a role or a database may have set otherwise (ALTER ROLE ... SET), and what the program relies on. That writing is
# forbidden is not among it: providers do so before a disk is full.
_NEEDED = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
    "jit": "off",
    # By default a role finds a schema of its own name first; ours hides the views from a role `collector`.
    "search_path": "public",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    # A row that a policy hides would be missing without a word; with `off` the server says so.
    "row_security": "off",
}


def _settings(address: Dsn, statement_timeout: float) -> dict[str, str]:
    """The settings of a session from its start; PgBouncer refuses those that it does not track."""
    tracked = {"application_name": "collector", "timezone": "UTC"}
    if address.pgbouncer:
        return tracked
    return tracked | _limits(statement_timeout) | _NEEDED | _THERE


def _limits(statement_timeout: float) -> dict[str, str]:
    return {"statement_timeout": f"{statement_timeout * 1000:.0f}", "idle_session_timeout": "0"}


def _transaction_settings(statement_timeout: float) -> str:
    """The same for one transaction: a pooler's next client finds the session as it was."""
    settings = {"timezone": "UTC", **_limits(statement_timeout), **_NEEDED}
    per_transaction = {name: text for name, text in settings.items() if not name.startswith("default_")}
    return " ".join(f"SET LOCAL {name} = {_literal(text, name)};" for name, text in per_transaction.items())


def _literal(text: str, name: str) -> str:
    """A list of names or keywords stays one: quoted as a whole, it would be one name."""
    return text if name in ("search_path", "datestyle") else f"'{text}'"


def _ssl(address: Dsn) -> str | ssl.SSLContext | bool:
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


async def _open_connection(*dsn: None, statement_timeout: float, **arguments: Any) -> Connection:
    """Also what the pool calls, which passes a DSN that is always None first."""
    connection = await asyncpg.connect(*dsn, **arguments)
    if (
        type(connection) is PooledConnection
    ):  # isinstance says yes to every connection: the driver's metaclass
        connection.transaction_settings = _transaction_settings(statement_timeout)
    _enable_keepalive(connection._transport.get_extra_info("socket"))
    return connection


def _enable_keepalive(wire: socket.socket) -> None:
    """Let the kernel find out within half a minute that the peer is gone; the driver sets nothing of it."""
    if wire.family == socket.AF_UNIX:
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _HERE.items():
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _close(resource: Connection | Pool) -> None:
    """Say goodbye; drop the socket if that takes too long, fails, or is cancelled."""
    try:
        with suppress(TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with asyncio.timeout(CLOSING):
                await resource.close()
    finally:
        resource.terminate()


async def check_server(connection: Connection, address: Dsn) -> list[str]:
    """Refuse a server that cannot keep what we promise; return what weakens the promise, as lines to log."""
    async with translate_errors("looking at the server", address, timeout=10.0):
        version = connection.get_server_version()
        encoding = await connection.fetchval("SHOW server_encoding")
        rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY ($1)", _PROMISE)
        has_moved = version.major >= OLDEST and await connection.fetchval(_COLLATION)
        lock_timeout, replication_role = await connection.fetchrow(_SEEN)
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
    if lock_timeout != "5s":
        raise ConfigError(
            f"a connection pooler stands between: it does not pass settings on (database {address})",
            hint=POOLER_HINT,
        )
    if replication_role != "origin":
        raise ConfigError(
            f"session_replication_role is {replication_role}: no foreign key would be checked (database {address})",
            hint=f'run: ALTER ROLE "{address.user}" RESET session_replication_role (or ALTER DATABASE ...)',
        )
    moved = (
        "the system's collation has changed under the database: indexes of text may not find what is there"
    )
    return [
        f"{row['name']} is off: a crash of the server may lose snapshots that were stored"
        for row in rows
        if row["setting"] == "off"
    ] + [f"{moved}; REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION"] * bool(has_moved)
