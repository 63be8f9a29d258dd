"""Opens connections with limits against hanging, and closes them under a deadline."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

import asyncpg
from asyncpg import Connection, Pool
from asyncpg.transaction import Transaction

from collector.db.array_types import register_arrays
from collector.db.dsn import Dsn
from collector.db.errors import DRIVER_ERRORS, POOLER_HINT, translate_errors
from collector.errors import ConfigError

__all__ = ["Connection", "Pool", "check_server", "connect", "open_pool", "transaction"]

# The oldest supported major version of PostgreSQL.
OLDEST = 15
CLOSING = 2.0
"""Seconds to close a connection; then its socket is dropped."""
UNDOING = 1.0
"""Seconds for a ROLLBACK; then the connection is dropped, and the server rolls back by itself."""

# Settings the promise of no loss depends on.
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")
# Settings a role or a database may have changed, as seen by the session.
_SESSION_SETTINGS = """
SELECT current_setting('lock_timeout') AS lock_timeout,
       current_setting('session_replication_role') AS replication_role
"""
# True if the collation version has changed since the database was created.
_COLLATION = """
SELECT datcollversion <> pg_database_collation_actual_version(oid)
FROM pg_database
WHERE datname = current_database()
"""


@asynccontextmanager
async def connect(
    address: Dsn, *, timeout: float = 10.0, statement_timeout: float = 30.0
) -> AsyncIterator[Connection]:
    """Opens one connection; both limits are in seconds. StoreError if the server cannot be reached."""
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
    """Opens a pool of at most `size` connections; the first is opened at once, so a wrong address is found
    early.

    No minimum is kept: asyncpg would reopen such connections in the background, without a time limit.
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
    """Skips asyncpg's reset at each release, a round trip: the program changes settings only by SET LOCAL."""


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """Runs a block in one read-committed transaction; use it inside `translate_errors`, instead of asyncpg's
    own.

    asyncpg waits for its ROLLBACK without a limit. On a silent network this lasts for ever, since the timeout
    of the block is already spent. Here the rollback has a limit, a slow one drops the connection, and the
    error of the block is the one raised. An error at COMMIT does not tell if the block was stored
    (docs/decisions/0003).
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


# Keepalive settings for both ends: each notices a dead peer within half a minute. A server waits for two
# hours by default, and no other limit counts in the middle of a COPY; a dead client would keep its locks for
# so long.
_CLIENT_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
_SERVER_KEEPALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


class PooledConnection(Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection through a pooler; each transaction may use another session of the server.

    So every statement runs in a transaction, and every transaction begins with the settings a direct
    connection would have from its start.
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
        """Checks both flags: asyncpg forgets its transaction before the COMMIT, and sets it before the BEGIN."""
        return self._top_xact is None and not self.is_in_transaction()


def _arguments(address: Dsn, statement_timeout: float) -> dict[str, Any]:
    """Returns all arguments for asyncpg; it would read the missing ones from the environment."""
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


# Settings the program relies on; a role or a database may have changed them (ALTER ROLE ... SET). A read-only
# default is not overridden: providers set it before a disk is full.
_NEEDED = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
    "jit": "off",
    # By default the schema named like the role comes first; a role `collector` would not see the views then.
    "search_path": "public",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    # A row policy would hide rows silently; with `off` the server raises an error.
    "row_security": "off",
}


def _settings(address: Dsn, statement_timeout: float) -> dict[str, str]:
    """Returns the settings of a session from its start; PgBouncer refuses settings it does not track."""
    tracked = {"application_name": "collector", "timezone": "UTC"}
    if address.pgbouncer:
        return tracked
    return tracked | _limits(statement_timeout) | _NEEDED | _SERVER_KEEPALIVE


def _limits(statement_timeout: float) -> dict[str, str]:
    return {"statement_timeout": f"{statement_timeout * 1000:.0f}", "idle_session_timeout": "0"}


def _transaction_settings(statement_timeout: float) -> str:
    """Returns the same settings for one transaction: the next client of the pooler gets an unchanged session."""
    settings = {"timezone": "UTC", **_limits(statement_timeout), **_NEEDED}
    per_transaction = {name: text for name, text in settings.items() if not name.startswith("default_")}
    return " ".join(f"SET LOCAL {name} = {_literal(text, name)};" for name, text in per_transaction.items())


def _literal(text: str, name: str) -> str:
    """Quotes a value; a list of names stays unquoted, since a quoted list would be one name."""
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
    """Opens a connection; the pool calls it with a DSN first, always None."""
    connection = await asyncpg.connect(*dsn, **arguments)
    if (
        type(connection) is PooledConnection
    ):  # isinstance is True for every connection, because of asyncpg's metaclass
        connection.transaction_settings = _transaction_settings(statement_timeout)
    register_arrays(connection)
    _enable_keepalive(connection._transport.get_extra_info("socket"))
    return connection


def _enable_keepalive(wire: socket.socket) -> None:
    """Enables TCP keepalive, so the kernel notices a dead peer within half a minute; asyncpg sets none of this."""
    if wire.family == socket.AF_UNIX:
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _CLIENT_KEEPALIVE.items():
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _close(resource: Connection | Pool) -> None:
    """Closes a connection or pool; drops the socket if this takes too long, fails, or is cancelled."""
    try:
        with suppress(TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with asyncio.timeout(CLOSING):
                await resource.close()
    finally:
        resource.terminate()


async def check_server(connection: Connection, address: Dsn) -> list[str]:
    """Refuses an unsuitable server by ConfigError; returns lines to log about settings weakening the promises."""
    async with translate_errors("looking at the server", address, timeout=10.0):
        version = connection.get_server_version()
        encoding = await connection.fetchval("SHOW server_encoding")
        rows = await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)", _DURABILITY
        )
        has_moved = version.major >= OLDEST and await connection.fetchval(_COLLATION)
        lock_timeout, replication_role = await connection.fetchrow(_SESSION_SETTINGS)
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
            f"a connection pooler is in between and does not pass settings on (database {address})",
            hint=POOLER_HINT,
        )
    if replication_role != "origin":
        raise ConfigError(
            f"session_replication_role is {replication_role}: no foreign key would be checked (database {address})",
            hint=f'run: ALTER ROLE "{address.user}" RESET session_replication_role (or ALTER DATABASE ...)',
        )
    moved = "the system's collation has changed: text indexes of the database may miss rows"
    return [
        f"{row['name']} is off: a crash of the server may lose stored snapshots"
        for row in rows
        if row["setting"] == "off"
    ] + [f"{moved}; REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION"] * bool(has_moved)
