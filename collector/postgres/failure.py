"""What a failure of the database means: the driver's errors become ours here and go no further."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg

from collector.errors import StoreError
from collector.postgres.address import Address

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
)
"""Everything the driver raises, and what the socket under it raises. A TimeoutError is an OSError."""

_STATES = {
    "28P01": ("the password for {user} is wrong", "correct the password in DATABASE_URL"),
    "28000": ("{user} may not log in", "create the role, or let it in with pg_hba.conf"),
    "3D000": ("there is no database {database}", "create it: CREATE DATABASE ... ENCODING 'UTF8'"),
    "42501": ("{user} lacks a permission: {message}", "grant it, or let the owner run `collector migrate`"),
    "42P01": ("a table is missing: {message}", "run `collector migrate`"),
    "42703": ("a column is missing: {message}", "run `collector migrate`"),
    "53100": (
        "its disk is full",
        "free space; what was stored is whole, the rest is taken up by the next run",
    ),
    "53200": ("it is out of memory", "look into the server's log"),
    "53300": ("it has no connection left", "raise max_connections, or close other clients"),
    "25006": ("it is read-only", "point DATABASE_URL at the primary"),
    "55P03": ("a lock was not granted in time", "look for a long ALTER or VACUUM FULL in pg_stat_activity"),
    "57014": ("it cancelled the statement, which took too long", "look into pg_stat_activity"),
    "57P01": ("it closed the connection: it shuts down, or an administrator ended it", "try again"),
    "57P02": ("it closed the connection: one of its processes crashed", "look into the server's log"),
    "57P03": ("it is starting up or shutting down", "try again in a moment"),
    "57P05": ("it closed an idle connection", "try again"),
    "25P03": ("it closed a transaction that stood idle", "try again"),
    "40001": ("another transaction was in the way", "try again"),
    "40P01": ("it broke a deadlock", "try again"),
}
_LOST = ("the connection was lost", "see whether the server still runs, then try again")


_REFUSALS = ("28P01", "28000", "3D000")


def is_refusal(error: StoreError) -> bool:
    """Whether the server answered and let nobody in, so that waiting will not help."""
    return getattr(error.__cause__, "sqlstate", None) in _REFUSALS


@asynccontextmanager
async def translated(what: str, address: Address, *, timeout: float) -> AsyncIterator[None]:
    """Bound a conversation with the database and turn its failure into one StoreError.

    `what` opens the message ("storing KOSPI/001/KRX"); `timeout` is in seconds and for the whole block,
    because the driver's own limits do not hold in COPY. Cancelling stays cancelling, even where the driver
    replaces the CancelledError by a complaint about its state.
    """
    task = asyncio.current_task()
    assert task is not None
    already = task.cancelling()
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            yield
    except DRIVER_ERRORS as error:
        if task.cancelling() > already:
            raise asyncio.CancelledError from error
        late = limit.expired()
        reason, hint = _late(timeout) if late else _meaning(error, address)
        raise StoreError(f"{what}: {reason} (database {address})", hint=hint) from error


def _late(timeout: float) -> tuple[str, str]:
    return f"no answer within {timeout:g} s", "see whether the server still runs and the network is up"


def _meaning(error: BaseException, address: Address) -> tuple[str, str]:
    """The reason and what to do, from the first in the chain of causes that tells more than "broken off"."""
    for cause in _chain(error):
        if isinstance(cause, asyncpg.PostgresError):
            return _state(cause, address)
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
            return _network(cause)
        if isinstance(cause, TimeoutError):
            return "no answer in time", "see whether the server still runs and the network is up"
    if isinstance(error, asyncpg.InterfaceError) and not _is_broken_off(error):
        return f"the driver refused: {type(error).__name__}", "this is a bug; please report it"
    return _LOST


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_broken_off(error: asyncpg.InterfaceError) -> bool:
    return not isinstance(error, ValueError | asyncpg.UnsupportedClientFeatureError)


def _state(error: asyncpg.PostgresError, address: Address) -> tuple[str, str]:
    code = error.sqlstate or ""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return _LOST
    message = " ".join(str(error.args[0]).split())
    reason, hint = _STATES.get(code, (f"{{message}} [{code}]", ""))
    return reason.format(user=address.user, database=address.database, message=message), hint


def _network(error: OSError) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return "the host name is not known", "correct the host in DATABASE_URL, or the name service"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'unknown'}", "correct sslmode and sslrootcert in DATABASE_URL"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return _LOST
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "no file descriptor is left to reach it", "raise the limit of open files (ulimit -n)"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError) or error.errno is None:
        return "nothing answers there", "start the server, or correct host and port in DATABASE_URL"
    return f"it cannot be reached: {error.strerror}", "correct DATABASE_URL, or the network"
