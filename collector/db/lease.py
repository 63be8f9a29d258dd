"""Who may write for the schedules: a lease in PostgreSQL that one daemon holds and the others wait for.

Each taking gives the lease a new, larger epoch. Every transaction of the holder checks its epoch first and
keeps it from changing until it has ended, so a holder that was frozen, and wakes up after another one took
over, commits nothing. All times are the database's own clock.
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
"""How long a holder that was not heard of keeps the lease."""
RENEWED_EVERY = 3.0
"""Seconds between two renewals."""
ASKED_EVERY = 1.0
"""Seconds between two looks of a daemon that stands by: a dead holder is followed within TTL and this."""
_ANSWER = 5.0
_GOODBYE = 1.0

# A frozen holder's sessions may stand in a transaction for ever; while they do, the lease cannot change hands.
_EVICT = """
SELECT pg_terminate_backend(a.pid)
FROM collector.lease AS l
JOIN pg_stat_activity AS a ON a.application_name || ' ' LIKE 'collector ' || l.name || ' ' || l.epoch || ' %'
WHERE l.name = $1 AND l.expires_at <= clock_timestamp()
  AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
# The first of all daemons makes the row, as nobody's. Two that are the first at one moment both may: an upsert would
# fail for the second key of the table, by which a transaction holds on to an epoch.
_MAKE = """
INSERT INTO collector.lease (name, holder, epoch, taken_at, renewed_at, expires_at)
SELECT $1, '', 0, at, at, at
FROM clock_timestamp() AS at
ON CONFLICT DO NOTHING
"""
# The clock is in the epoch, so that it grows even where the database was restored from an older backup. A lease
# that ends later than any can was given before the clock was set back; its holder may be long dead.
_TAKE = """
UPDATE collector.lease AS l
SET holder = $2, epoch = GREATEST(l.epoch + 1, floor(extract(epoch FROM at))::bigint),
    taken_at = at, renewed_at = at, expires_at = at + $3
FROM clock_timestamp() AS at
WHERE l.name = $1
  AND (l.expires_at <= clock_timestamp() OR l.expires_at > clock_timestamp() + 2 * $3::interval OR l.holder = $2)
RETURNING l.epoch, l.renewed_at, collector.identity()
"""
# A database that fell back to an older state has an older renewal than the one that we were told was committed, or
# it is on another server or timeline: what is remembered of it ends here.
_RENEW = """
UPDATE collector.lease AS l
SET renewed_at = at, expires_at = at + $3
FROM clock_timestamp() AS at
WHERE l.name = $1 AND l.epoch = $2 AND l.expires_at > at AND l.renewed_at >= $4 AND collector.identity() = $5
RETURNING l.renewed_at
"""
_CHECK = """
SELECT set_config('application_name', 'collector ' || name || ' ' || epoch, true)
FROM collector.lease
WHERE name = $1 AND epoch = $2 AND expires_at > clock_timestamp()
FOR KEY SHARE
"""
_RELEASE = """
UPDATE collector.lease
SET expires_at = clock_timestamp()
WHERE name = $1 AND epoch = $2
"""


class LeaseLost(StoreError):
    """Another daemon has the lease, or ours ran out: nothing may be written until it is taken again."""


_HOLDER = "SELECT holder FROM collector.lease WHERE name = $1"


class Lease:
    """One daemon's side of the lease; `holder` is a name that no other daemon has."""

    def __init__(self, database: Database, holder: str, *, name: str = NAME, ttl: timedelta = TTL) -> None:
        self.holder = holder
        self.epoch: int | None = None
        """The epoch under which this daemon holds the lease, None while it does not."""
        self._database = database
        self._name = name
        self._ttl = ttl
        self._certain_until = 0.0
        self._renewed_at: datetime | None = None
        self._identity = ""

    async def take(self) -> bool:
        """Take the lease if nobody holds it, or if it is ours already; whether it is ours now."""
        asked_at = time.monotonic()
        async with self._database.connection("asking for the lease", timeout=_ANSWER) as connection:
            await connection.execute(_EVICT, self._name)
            await connection.execute(_MAKE, self._name)
            row = await connection.fetchrow(_TAKE, self._name, self.holder, self._ttl)
        self.epoch, self._renewed_at, self._identity = row or (None, None, "")
        self._certain_until = asked_at + self._ttl.total_seconds()
        return self.epoch is not None

    async def read_holder(self) -> str:
        """The name of the daemon with the lease, "" before the first one."""
        async with self._database.connection("reading the lease", timeout=_ANSWER) as connection:
            return await connection.fetchval(_HOLDER, self._name) or ""

    async def keep_renewing(self) -> None:
        """Renew until it is lost: LeaseLost. StoreError if the database stayed away for the lease's length."""
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
        """Hold it for another while; LeaseLost if it is not ours any more."""
        asked_at = time.monotonic()
        async with self._database.connection("renewing the lease", timeout=_ANSWER) as connection:
            renewed_at = await connection.fetchval(
                _RENEW, self._name, self.epoch, self._ttl, self._renewed_at, self._identity
            )
        if renewed_at is None:
            raise LeaseLost(
                "the lease is lost: it ran out, another daemon took it, or the database is another"
            )
        self._renewed_at = renewed_at
        self._certain_until = asked_at + self._ttl.total_seconds()

    async def release(self) -> None:
        """Let the next one have it at once. Bounded, and best effort: it runs out by itself."""
        if self.epoch is None:
            return
        epoch, self.epoch = self.epoch, None
        async with self._database.connection("releasing the lease", timeout=_GOODBYE) as connection:
            await connection.execute(_RELEASE, self._name, epoch)

    async def assert_held(self, connection: Connection) -> None:
        """First in a transaction: LeaseLost unless it is held, and it stays with us until the transaction ends."""
        if await connection.fetchval(_CHECK, self._name, self.epoch) is None:
            raise LeaseLost("the lease is lost: nothing was written")


@dataclass(frozen=True, slots=True)
class FencedDatabase(Database):
    """A database in which transactions take place only while the lease is held."""

    lease: Lease

    @asynccontextmanager
    async def transaction(self, what: str, *, timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
        async with Database.transaction(self, what, timeout=timeout) as connection:
            await self.lease.assert_held(connection)
            yield connection


def fence(database: Database, lease: Lease) -> FencedDatabase:
    """The same database for the lease's holder."""
    return FencedDatabase(database.pool, database.address, lease)
