"""The lease: only the process with the lease may write for the schedules; other daemons wait for it.

Every acquisition gives the lease a new, larger epoch, the fencing token. Every transaction of the leader
checks its epoch first and locks it until the transaction ends. So a leader frozen and woken after a takeover
commits nothing. All times are read from the database's clock.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from collector.db.database import TIMEOUT, Database
from collector.db.pool import Connection
from collector.errors import StoreError

NAME = "sweeps"
TTL = timedelta(seconds=12)
"""How long the lease lasts without a renewal."""
RENEWED_EVERY = 3.0
"""Seconds between two renewals."""
ASKED_EVERY = 1.0
"""Seconds between two attempts of a standby: it follows a dead leader within TTL plus this."""
# Seconds for an answer about the lease, and for its release.
_ANSWER = 5.0
_GOODBYE = 1.0

# Ends the connections of a leader with an expired lease. A frozen leader may stand in a transaction for ever,
# and its lock on the epoch would keep the lease from changing hands. The connections carry the epoch in their
# name.
_EVICT = """
SELECT pg_terminate_backend(a.pid)
FROM collector.lease AS l
JOIN pg_stat_activity AS a ON a.application_name || ' ' LIKE 'collector ' || l.name || ' ' || l.epoch || ' %'
WHERE l.name = $1 AND l.expires_at <= clock_timestamp()
  AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
# Creates the row without an owner. ON CONFLICT names no column: an upsert by `name` would still fail on the
# second unique key (epoch) if two daemons start at once. That key exists for the lock of `_ASSERT_HELD`.
_CREATE = """
INSERT INTO collector.lease (name, holder, epoch, taken_at, renewed_at, expires_at)
SELECT $1, '', 0, at, at, at
FROM clock_timestamp() AS at
ON CONFLICT DO NOTHING
"""
# Acquires the lease if it is expired or our own. The clock is part of the epoch, so the epoch grows even
# after a restore from an older backup. An expiry further ahead than any renewal can set was written before
# the clock was set back; that holder may be dead for long, so its lease is acquired too.
_TAKE = """
UPDATE collector.lease AS l
SET holder = $2, epoch = GREATEST(l.epoch + 1, floor(extract(epoch FROM at))::bigint),
    taken_at = at, renewed_at = at, expires_at = at + $3
FROM clock_timestamp() AS at
WHERE l.name = $1
  AND (l.expires_at <= clock_timestamp() OR l.expires_at > clock_timestamp() + 2 * $3::interval OR l.holder = $2)
RETURNING l.epoch, l.renewed_at, collector.identity()
"""
# Renews the lease. A renewal older than the last confirmed one, another server or another timeline mean: the
# database fell back to an older state, so nothing remembered of it is valid.
_RENEW = """
UPDATE collector.lease AS l
SET renewed_at = at, expires_at = at + $3
FROM clock_timestamp() AS at
WHERE l.name = $1 AND l.epoch = $2 AND l.expires_at > at AND l.renewed_at >= $4 AND collector.identity() = $5
RETURNING l.renewed_at
"""
# Checks the fencing token inside a transaction. FOR KEY SHARE lets renewals pass and blocks a new epoch until
# the transaction ends. The same round trip puts the epoch into the connection's name for `_EVICT`.
_ASSERT_HELD = """
SELECT set_config('application_name', 'collector ' || name || ' ' || epoch, true)
FROM collector.lease
WHERE name = $1 AND epoch = $2 AND expires_at > clock_timestamp()
FOR KEY SHARE
"""
# Expires the lease at once, for the next daemon.
_RELEASE = """
UPDATE collector.lease
SET expires_at = clock_timestamp()
WHERE name = $1 AND epoch = $2
"""


class LeaseLost(StoreError):
    """Another daemon has the lease, or it expired. Nothing may be written until it is acquired again."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The fencing token of one lease: `epoch`, None without the lease."""

    epoch: int | None
    name: str = NAME

    async def assert_held(self, connection: Connection) -> None:
        """Checks and locks the fencing token, as a transaction's first statement; LeaseLost if it is stale."""
        if await connection.fetchval(_ASSERT_HELD, self.name, self.epoch) is None:
            raise LeaseLost("the lease is lost: nothing was written")


_HOLDER = "SELECT holder FROM collector.lease WHERE name = $1"


class Lease:
    """The lease from the side of one daemon; `holder` is the identity of its process."""

    def __init__(self, database: Database, holder: str, *, name: str = NAME, ttl: timedelta = TTL) -> None:
        self.holder = holder
        self.epoch: int | None = None
        """The fencing token of this daemon's lease, None without the lease."""
        self._database = database
        self._name = name
        self._ttl = ttl
        self._certain_until = 0.0
        self._renewed_at: datetime | None = None
        self._identity = ""

    async def take(self) -> bool:
        """Acquires the lease if it is free or already ours; returns True on success."""
        asked_at = time.monotonic()
        async with self._database.connection("asking for the lease", timeout=_ANSWER) as connection:
            await connection.execute(_EVICT, self._name)
            await connection.execute(_CREATE, self._name)
            row = await connection.fetchrow(_TAKE, self._name, self.holder, self._ttl)
        self.epoch, self._renewed_at, self._identity = row or (None, None, "")
        self._certain_until = asked_at + self._ttl.total_seconds()
        return self.epoch is not None

    async def read_holder(self) -> str:
        """The name of the daemon with the lease, "" before the first one."""
        async with self._database.connection("reading the lease", timeout=_ANSWER) as connection:
            return await connection.fetchval(_HOLDER, self._name) or ""

    async def keep_renewing(self) -> None:
        """Renews the lease until LeaseLost, or StoreError if the database stays away for the lease's length."""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            try:
                await self.renew()
            except LeaseLost:
                raise
            except StoreError:
                if time.monotonic() > self._certain_until:
                    raise

    async def renew(self) -> None:
        """Renews the lease once; LeaseLost if another daemon has it or it expired."""
        asked_at = time.monotonic()
        async with self._database.connection("renewing the lease", timeout=_ANSWER) as connection:
            renewed_at = await connection.fetchval(
                _RENEW, self._name, self.epoch, self._ttl, self._renewed_at, self._identity
            )
        if renewed_at is None:
            raise LeaseLost(
                "the lease is lost: it expired, another daemon has it, or the database was replaced"
            )
        self._renewed_at = renewed_at
        self._certain_until = asked_at + self._ttl.total_seconds()

    async def release(self) -> None:
        """Releases the lease for the next daemon, within a second; a failure is harmless: the lease expires."""
        if self.epoch is None:
            return
        epoch, self.epoch = self.epoch, None
        async with self._database.connection("releasing the lease", timeout=_GOODBYE) as connection:
            await connection.execute(_RELEASE, self._name, epoch)

    async def assert_held(self, connection: Connection) -> None:
        """Checks the fencing token of this moment, see `Fence`."""
        await Fence(self.epoch, self._name).assert_held(connection)


@dataclass(frozen=True, slots=True)
class FencedDatabase(Database):
    """A database with a fencing token: each transaction checks it first.

    With a Lease the token is the lease's current one; a Fence is a fixed token, such as another daemon's.
    """

    token: Lease | Fence

    @asynccontextmanager
    async def transaction(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        async with Database.transaction(self, what, timeout=timeout) as connection:
            await self.token.assert_held(connection)
            yield connection


def fence(database: Database, token: Lease | Fence) -> FencedDatabase:
    """Returns the same database, writable only while the token is valid."""
    return FencedDatabase(database.pool, database.address, token)
