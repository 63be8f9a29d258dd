"""Translates driver errors into StoreError, with reason, hint and kind; none leaves `collector.db`."""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from asyncpg import LockNotAvailableError

from collector.db.dsn import Dsn
from collector.errors import StoreError, StoreFailure

__all__ = [
    "DRIVER_ERRORS",
    "DROP_REFUSED",
    "OWN_DATABASE",
    "POOLER_HINT",
    "LockNotAvailableError",
    "describe_refusal",
    "is_refusal",
    "translate_errors",
]

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
)
"""All errors of the driver and of its socket. A TimeoutError is an OSError."""

DROP_REFUSED = (
    asyncpg.DependentObjectsStillExistError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.WrongObjectTypeError,
    asyncpg.ObjectInUseError,
    asyncpg.RaiseError,
)
"""Errors refusing to drop one partition; other partitions are not affected."""

POOLER_HINT = "add ?pgbouncer=true to DATABASE_URL (&pgbouncer=true after other parameters)"
OWN_DATABASE = (
    "give collector a database of its own: CREATE DATABASE collector ENCODING 'UTF8' TEMPLATE template0, "
    "and name it in DATABASE_URL"
)


class _Meaning(NamedTuple):
    """The reason, the advice, and the kind of an error."""

    reason: str
    hint: str
    kind: StoreFailure = StoreFailure.OTHER


_TABLE = _Meaning("a table is missing: {message}", "run `collector migrate`", StoreFailure.MISSING_TABLE)
_POOLER = _Meaning(
    "a connection pooler is in between and keeps no session: {message}", POOLER_HINT, StoreFailure.POOLER
)
_TAKEN = _Meaning("a name is in use by another program: {message}", OWN_DATABASE)
_STATES = {
    "28P01": _Meaning(
        "the password for {user} is wrong",
        "correct the password in DATABASE_URL",
        StoreFailure.LOGIN_REFUSED,
    ),
    "28000": _Meaning(
        "{user} may not log in", "create the role, or let it in with pg_hba.conf", StoreFailure.LOGIN_REFUSED
    ),
    "3D000": _Meaning(
        "there is no database {database}",
        "create it: CREATE DATABASE ... ENCODING 'UTF8'",
        StoreFailure.LOGIN_REFUSED,
    ),
    "42P01": _TABLE,
    "42703": _Meaning("a column is missing: {message}", "run `collector migrate`", StoreFailure.MISSING_NAME),
    "42883": _Meaning(
        "a function is missing: {message}", "run `collector migrate`", StoreFailure.MISSING_NAME
    ),
    "3F000": _Meaning("a schema is missing: {message}", "run `collector migrate`", StoreFailure.MISSING_NAME),
    "42P07": _TAKEN,
    "42710": _TAKEN,
    "42723": _TAKEN,
    "23503": _Meaning("an id is missing: {message}", "", StoreFailure.STALE_IDS),
    "26000": _POOLER,
    "42P05": _POOLER,
    "53100": _Meaning(
        "its disk is full",
        "free space; stored walks are complete, and the next run fetches the rest",
        StoreFailure.DISK_FULL,
    ),
    "53200": _Meaning("it is out of memory", "read the server's log"),
    "53300": _Meaning("it has no connection left", "raise max_connections, or close other clients"),
    "25006": _Meaning(
        "it is read-only",
        "point DATABASE_URL at the primary; or see why default_transaction_read_only is on for the role or database",
    ),
    "55P03": _Meaning(
        "a lock was not granted in time",
        "look for a long ALTER or VACUUM FULL in pg_stat_activity",
        StoreFailure.LOCKED,
    ),
    "57014": _Meaning("it cancelled the statement after its time limit", "look at pg_stat_activity"),
    "57P01": _Meaning(
        "it closed the connection: it is shutting down, or an administrator ended it", "try again"
    ),
    "57P02": _Meaning("it closed the connection: one of its processes crashed", "read the server's log"),
    "57P03": _Meaning("it is starting up or shutting down", "try again in a moment"),
    "57P05": _Meaning("it closed an idle connection", "try again"),
    "58P01": _Meaning(
        "a file of its data folder is gone: {message}",
        "restart collector if its home was deleted; else restore the server from a backup",
    ),
    "25P03": _Meaning("it closed an idle transaction", "try again"),
    "40001": _Meaning("another transaction was in the way", "try again", StoreFailure.CONFLICT),
    "40P01": _Meaning("it broke a deadlock", "try again", StoreFailure.CONFLICT),
}
_LOST = _Meaning("the connection was lost", "check if the server is running, then try again")
_LATE = _Meaning(
    "no answer in time", "check if the server is running and the network is up", StoreFailure.TIMEOUT
)

# Messages of PgBouncer and Odyssey. They are English for a server of any language.
_POOLER_WORDS = re.compile(
    r"unsupported startup parameter|unknown startup parameter|pgbouncer", re.IGNORECASE
)
_DENIED = re.compile(r"permission denied for (schema|database|table|view|relation|sequence|function) (\S+)")
_OWNER = re.compile(r"must be owner of (schema|table|view|relation|sequence|function) (\S+)")


def is_refusal(error: StoreError) -> bool:
    """Returns True if the server answered and refused the login, so waiting does not help."""
    return error.kind in (StoreFailure.LOGIN_REFUSED, StoreFailure.POOLER)


def describe_refusal(error: asyncpg.PostgresError) -> str:
    """Returns the server's message with the first line of its detail."""
    detail = (getattr(error, "detail", None) or "").partition("\n")[0]
    return ": ".join(part for part in (str(error.args[0]), detail) if part)


@asynccontextmanager
async def translate_errors(what: str, address: Dsn, *, timeout: float) -> AsyncIterator[None]:
    """Limits the time of a block and turns its failure into one StoreError.

    `what` opens the message ("storing KOSPI/001/KRX"); `timeout` counts in seconds for the whole block,
    because the driver's own limits do not hold in COPY. A cancellation stays a cancellation, even if the
    driver replaces the CancelledError by a complaint about its state.
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
        reason, hint, kind = _late(timeout) if limit.expired() else _meaning(error, address)
        raise StoreError(f"{what}: {reason} (database {address})", hint=hint, kind=kind) from error


def _late(timeout: float) -> _Meaning:
    return _LATE._replace(reason=f"no answer within {timeout:g} s")


def _meaning(error: BaseException, address: Dsn) -> _Meaning:
    """Returns reason and advice of the first error in the chain of causes with more to say than "broken off"."""
    for cause in _chain(error):
        if isinstance(cause, asyncpg.PostgresError):
            return _state(cause, address)
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
            return _network(cause, address)
        if isinstance(cause, TimeoutError):
            return _LATE
    if isinstance(error, asyncpg.InterfaceError) and not _is_broken_off(error):
        return _Meaning(f"the driver refused: {type(error).__name__}", "this is a bug; please report it")
    return _LOST


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_broken_off(error: asyncpg.InterfaceError) -> bool:
    return not isinstance(error, ValueError | asyncpg.UnsupportedClientFeatureError)


def _state(error: asyncpg.PostgresError, address: Dsn) -> _Meaning:
    code = error.sqlstate or ""
    message = " ".join(str(error.args[0]).split())
    if code.startswith("08") and _POOLER_WORDS.search(message) and not address.pgbouncer:
        return _fill_in(_POOLER, address, message)
    if isinstance(error, asyncpg.PostgresConnectionError):
        return _LOST
    if code == "42501":
        return _fill_in(_explain_denied(message, address), address, message)
    unknown = _Meaning(f"{{message}} [{code}]", getattr(error, "hint", None) or "")
    return _fill_in(_STATES.get(code, unknown), address, message)


def _fill_in(meaning: _Meaning, address: Dsn, message: str) -> _Meaning:
    reason = meaning.reason.format(user=address.user, database=address.database, message=message)
    return meaning._replace(reason=reason)


def _explain_denied(message: str, address: Dsn) -> _Meaning:
    """Returns a hint with the statement to grant the missing right, if the server's message names the object."""
    role, hint = _identifier(address.user), "grant it, or let the owner run `collector migrate`"
    if match := _DENIED.search(message):
        hint = f"let its owner or a superuser run: {_grant(match[1], match[2], role)}"
    elif match := _OWNER.search(message):
        kind = "TABLE" if match[1] == "relation" else match[1].upper()
        hint = f"let its owner or a superuser run: ALTER {kind} {match[2]} OWNER TO {role}"
    return _Meaning("{user} lacks a permission: {message}", hint)


def _grant(kind: str, name: str, role: str) -> str:
    if kind == "schema":
        return f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}"
    if kind == "database":
        return f"GRANT CREATE, CONNECT ON DATABASE {name} TO {role}"
    if kind in ("sequence", "function"):
        return f"GRANT ALL ON {kind.upper()} {name} TO {role}"
    return f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {name} TO {role}"


def _identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _network(error: OSError, address: Dsn) -> _Meaning:
    if isinstance(error, socket.gaierror):
        return _Meaning("the host name is unknown", "correct the host in DATABASE_URL, or the name service")
    if isinstance(error, ssl.SSLError):
        return _Meaning(
            f"TLS failed: {error.reason or 'unknown'}", "correct sslmode and sslrootcert in DATABASE_URL"
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return _LOST
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _Meaning("no file descriptor is left to reach it", "raise the limit of open files (ulimit -n)")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError) or error.errno is None:
        return _nothing_there(address)
    return _Meaning(f"it cannot be reached: {error.strerror}", "correct DATABASE_URL, or the network")


def _nothing_there(address: Dsn) -> _Meaning:
    is_gone = address.is_socket and not Path(address.host).is_dir()
    if not address.is_private:
        reason = (
            f"the folder of its socket is missing: {address.host}" if is_gone else "nothing answers there"
        )
        return _Meaning(reason, "start the server, or correct host and port in DATABASE_URL")
    if is_gone:
        return _Meaning(
            f"the folder of the private PostgreSQL is gone: {address.host}",
            "restart collector: it creates a new, empty database, unless the folder is put back first",
        )
    return _Meaning(
        "the private PostgreSQL has stopped", "restart collector; server.log in its folder gives the reason"
    )
