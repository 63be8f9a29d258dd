"""The worklist: a queue of a sweep's walks in PostgreSQL, shared by all programs with a key
(docs/decisions/0007).

Two programs, on one host or two, share a sweep and fetch nothing twice. A claim is renewed during its walk.
It expires after the death of its holder, at once if a process on the same machine sees the death; then any
program may claim the walk. A claim is completed in the transaction storing the walk: a lost claim stores
nothing. All times are read from the database's clock.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import NamedTuple, Protocol

from collector.db.catalog import Registry
from collector.db.database import TIMEOUT, Database
from collector.db.pool import Connection
from collector.db.process_token import is_dead
from collector.errors import CollectorError, StoreError
from collector.model import Status, Target

TTL = timedelta(seconds=12)
"""How long a claim lasts without a renewal."""
RENEWED_EVERY = 3.0
"""Seconds between two renewals."""
_PORTIONS = 16
"""A claim takes this part of the remaining walks: a large sweep is claimed in batches, its end walk by walk,
so all programs finish together.
"""
# Seconds to release claims when the program is told to stop, or the database fails.
_GOODBYE = 1.0

# Puts the targets of a sweep on the list. Frees again claims left by an earlier attempt of ours, or by a
# daemon without the lease. Ordered by target id, so two concurrent offers cannot deadlock.
_OFFER = """
INSERT INTO collector.claim AS c (slot, target, place, epoch, offered_with)
SELECT $1, target, place, $3, $4
FROM unnest($2::smallint[]) WITH ORDINALITY AS t (target, place)
ORDER BY target
ON CONFLICT (slot, target) DO UPDATE
SET place = EXCLUDED.place, epoch = EXCLUDED.epoch, offered_with = EXCLUDED.offered_with,
    number = NULL, holder = NULL, key = NULL, expires_at = '-infinity', is_read = false
WHERE c.holder = $5 OR (c.epoch IS NOT NULL AND NOT EXISTS (
    SELECT FROM collector.lease AS l WHERE l.epoch = c.epoch AND l.expires_at > clock_timestamp()
))
"""
# Removes targets stored meanwhile: between reading the ledger and now, another program may have stored one.
_REMOVE_STORED = """
DELETE FROM collector.claim AS c
USING collector.walk AS w
WHERE c.slot = $1 AND w.slot = c.slot AND w.target = c.target AND w.status = ANY ($2::text[])
  AND 'ahead_of_time' <> ALL (w.remarks)
"""
# The processes with running claims of a slot.
_HOLDERS = """
SELECT DISTINCT holder
FROM collector.claim
WHERE slot = $1 AND holder <> $2 AND expires_at > clock_timestamp()
"""
# Expires the claims of dead processes.
_EXPIRE_DEAD = """
UPDATE collector.claim
SET expires_at = clock_timestamp()
WHERE slot = $1 AND holder = ANY ($2::text[])
"""
# Deletes claims left behind by sweeps before $1, an hour after their expiry.
_DELETE_LEFTOVERS = (
    "DELETE FROM collector.claim WHERE slot < $1 AND expires_at < clock_timestamp() - INTERVAL '1 hour'"
)
# Claims free walks in list order. SKIP LOCKED keeps concurrent claims from waiting for each other. Each claim
# gets a new number: a holder waking up after a takeover has an old number and stores nothing.
_CLAIM_BATCH = """
WITH free AS (
    SELECT slot, target
    FROM collector.claim
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND expires_at <= clock_timestamp()
      AND (epoch = $7 OR epoch IS NULL OR $7::bigint IS NULL)
    ORDER BY place
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE collector.claim AS c
SET number = nextval('collector.taking'), holder = $4, key = $5, is_read = false,
    expires_at = clock_timestamp() + $6
FROM free
WHERE c.slot = free.slot AND c.target = free.target
RETURNING c.place, c.target, c.number
"""
# Renews claims. A locked row is being completed right now, so it is skipped.
_RENEW = """
UPDATE collector.claim AS c
SET expires_at = clock_timestamp() + $3
FROM (
    SELECT slot, target
    FROM collector.claim
    WHERE slot = $1 AND number = ANY ($2::bigint[]) AND expires_at > clock_timestamp()
    FOR UPDATE SKIP LOCKED
) AS ours
WHERE c.slot = ours.slot AND c.target = ours.target
"""
# Completes a claim in the storing transaction. The number goes into the connection's name, so `_EVICT` can
# end the connection if it freezes.
_COMPLETE = """
DELETE FROM collector.claim
WHERE slot = $1 AND target = $2 AND number = $3 AND expires_at > clock_timestamp()
RETURNING set_config('application_name', current_setting('application_name') || ' claim ' || number, true)
"""
# Ends connections storing a walk under an expired claim: frozen, they would keep its row locked.
_EVICT = """
SELECT pg_terminate_backend(a.pid)
FROM collector.claim AS c
JOIN pg_stat_activity AS a ON a.application_name LIKE 'collector% claim ' || c.number
WHERE c.slot = $1 AND c.expires_at <= clock_timestamp()
  AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
# Marks a walk as read, with its judgement put off.
_DEFER = "UPDATE collector.claim SET is_read = true WHERE slot = $1 AND target = $2 AND number = $3"
# Releases claims at once.
_RELEASE = """
UPDATE collector.claim
SET number = NULL, holder = NULL, key = NULL, expires_at = '-infinity', is_read = false
WHERE slot = $1 AND number = ANY ($2::bigint[])
"""
# Removes free walks from the list, so no program begins them.
_CANCEL_UNCLAIMED = """
DELETE FROM collector.claim AS c
USING (
    SELECT slot, target
    FROM collector.claim
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND expires_at <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) AS free
WHERE c.slot = free.slot AND c.target = free.target
"""
# Counts the walks still on the list: free, claimed by others and unread, and all.
_COUNT_OPEN = """
SELECT count(*) FILTER (WHERE expires_at <= clock_timestamp()) AS free,
       count(*) FILTER (WHERE expires_at > clock_timestamp() AND holder <> $3 AND NOT is_read) AS elsewhere,
       count(*) AS open
FROM collector.claim
WHERE slot = $1 AND target = ANY ($2::smallint[])
"""
# The oldest sweep under a valid lease with free walks, offered by a daemon without one of our keys.
_FIND_OPEN_SWEEP = """
SELECT c.slot, c.epoch, c.offered_with, array_agg(c.target ORDER BY c.place) AS targets
FROM collector.claim AS c
JOIN collector.lease AS l ON l.epoch = c.epoch
WHERE l.expires_at > clock_timestamp() AND c.expires_at <= clock_timestamp() AND NOT c.offered_with @> $1
GROUP BY c.slot, c.epoch, c.offered_with
ORDER BY c.slot
LIMIT 1
"""


class ClaimLost(CollectorError):
    """The claim expired or its sweep is over; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on one walk, valid for a limited time."""

    slot: datetime
    target: int
    claim_id: int

    async def complete(self, connection: Connection) -> None:
        """Completes the claim, as the storing transaction's first statement; ClaimLost if it has expired."""
        if await connection.fetchval(_COMPLETE, self.slot, self.target, self.claim_id) is None:
            raise ClaimLost("the walk was taken over: nothing was written")


class ClaimedTarget(NamedTuple):
    """A target to walk now; `claim` is None if no other program can claim it."""

    target: Target
    claim: Claim | None = None


class QueueCounts(NamedTuple):
    """Unfinished walks of a sweep: free ones, ones claimed by others, and all."""

    free: int
    elsewhere: int
    open: int


class WorkQueue(Protocol):
    """The walks of one sweep, as seen by one program."""

    async def take(self, key: str) -> ClaimedTarget | None:
        """Claims the next target, to be walked with this key; returns None if no walk is free."""

    async def defer(self, taken: ClaimedTarget) -> None:
        """Marks a target as read, to be judged after the other walks."""

    async def release(self, taken: ClaimedTarget) -> None:
        """Releases the claim, so another program may walk the target."""

    async def cancel_unclaimed(self) -> None:
        """Removes free walks, so no program begins them."""

    async def count_open(self) -> QueueCounts:
        """Counts the unfinished walks of all programs."""


class Worklist(Protocol):
    """The place of a sweep's walks."""

    def work(
        self, slot: datetime, targets: Sequence[Target], keep: Sequence[Status]
    ) -> AbstractAsyncContextManager[WorkQueue]:
        """Opens the work of a sweep; targets with a status of `keep` in the ledger are left out."""


class LocalWorklist:
    """Work of a single program, without sharing."""

    @asynccontextmanager
    async def work(
        self, slot: datetime, targets: Sequence[Target], keep: Sequence[Status]
    ) -> AsyncIterator[WorkQueue]:
        yield _LocalQueue(targets)


class _LocalQueue:
    def __init__(self, targets: Sequence[Target]) -> None:
        self._left = deque(targets)

    async def take(self, key: str) -> ClaimedTarget | None:
        return ClaimedTarget(self._left.popleft()) if self._left else None

    async def defer(self, taken: ClaimedTarget) -> None:
        pass

    async def release(self, taken: ClaimedTarget) -> None:
        self._left.append(taken.target)

    async def cancel_unclaimed(self) -> None:
        self._left.clear()

    async def count_open(self) -> QueueCounts:
        return QueueCounts(len(self._left), 0, len(self._left))


class OpenSweep(NamedTuple):
    """Free walks of a daemon's sweep; `keys` are the digests of the daemon's own keys."""

    slot: datetime
    epoch: int
    keys: Sequence[str]
    targets: Sequence[Target]


class SharedWorklist:
    """The worklist in the database, as used by one program; `holder` is its process identity.

    `keys` are the digests of all its keys. `epoch` returns the epoch of its lease, None without a lease.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        holder: str,
        keys: Sequence[str],
        *,
        epoch: Callable[[], int | None] = lambda: None,
        ttl: timedelta = TTL,
    ) -> None:
        self._database = database
        self._registry = registry
        self._holder = holder
        self._keys = keys
        self._epoch = epoch
        self._ttl = ttl

    @asynccontextmanager
    async def work(
        self, slot: datetime, targets: Sequence[Target], keep: Sequence[Status]
    ) -> AsyncIterator[WorkQueue]:
        numbers = [self._registry.targets[target] for target in targets]
        async with self._database.connection("ending frozen connections") as connection:
            await connection.execute(_EVICT, slot)
        async with self._database.transaction("sharing out a sweep") as connection:
            await connection.execute(_DELETE_LEFTOVERS, slot - timedelta(days=1))
            await connection.execute(_OFFER, slot, numbers, self._epoch(), self._keys, self._holder)
            await connection.execute(_REMOVE_STORED, slot, list(keep))
        async with self.join(slot, targets, self._epoch()) as work:
            yield work

    @asynccontextmanager
    async def join(
        self, slot: datetime, targets: Sequence[Target], epoch: int | None
    ) -> AsyncIterator[WorkQueue]:
        """Joins the work of an offered sweep; releases our remaining claims at the end.

        `epoch` is the epoch of the sweep's lease; walks offered under another epoch are left alone.
        """
        numbers = {self._registry.targets[target]: target for target in targets}
        shared = _SharedQueue(self._database, self._holder, slot, numbers, epoch=epoch, ttl=self._ttl)
        keeping = asyncio.ensure_future(shared.heartbeat())
        limit = TIMEOUT
        try:
            yield shared
        except (asyncio.CancelledError, StoreError):
            limit = _GOODBYE
            raise
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await shared.release_all(limit)

    async def find_open_sweep(self) -> OpenSweep | None:
        """Returns the oldest sweep of the leader our keys can help with, None without one."""
        async with self._database.connection("looking for walks to help with") as connection:
            row = await connection.fetchrow(_FIND_OPEN_SWEEP, self._keys)
        if row is None:
            return None
        await self._registry.refresh()
        if not set(self._registry.targets.values()) >= set(row["targets"]):
            await self._registry.open()
        names = {target_id: target for target, target_id in self._registry.targets.items()}
        return OpenSweep(
            row["slot"], row["epoch"], row["offered_with"], [names[target_id] for target_id in row["targets"]]
        )


class _SharedQueue:
    """The work on the list; `targets` maps ids to targets."""

    def __init__(
        self,
        database: Database,
        holder: str,
        slot: datetime,
        targets: Mapping[int, Target],
        *,
        epoch: int | None,
        ttl: timedelta,
    ) -> None:
        self._database = database
        self._holder = holder
        self._slot = slot
        self._targets = targets
        self._epoch = epoch
        self._ttl = ttl
        self._ready: defaultdict[str, deque[ClaimedTarget]] = defaultdict(deque)
        self._numbers: list[int] = []
        """Numbers of all claims so far; ended claims are gone from the database."""
        self._lock = asyncio.Lock()
        self._claiming: set[asyncio.Task[None]] = set()
        """Requests for claims under way. They go on if `take` is cancelled: the database may have granted the
        claims already, and only the answer gives their numbers, without which they cannot be released.
        """

    async def take(self, key: str) -> ClaimedTarget | None:
        async with self._lock:
            if not self._ready[key]:
                claiming = asyncio.ensure_future(self._claim_batch(key))
                self._claiming.add(claiming)
                claiming.add_done_callback(self._claiming.discard)
                await asyncio.shield(claiming)
            ready = self._ready[key]
            return ready.popleft() if ready else None

    async def defer(self, taken: ClaimedTarget) -> None:
        if taken.claim is not None:
            async with self._database.connection("deferring a walk") as connection:
                await connection.execute(_DEFER, self._slot, taken.claim.target, taken.claim.claim_id)

    async def release(self, taken: ClaimedTarget) -> None:
        if taken.claim is not None:
            await self._release([taken.claim.claim_id])

    async def cancel_unclaimed(self) -> None:
        await self._release_unbegun()
        async with self._database.connection("cancelling walks") as connection:
            await connection.execute(_CANCEL_UNCLAIMED, self._slot, list(self._targets))

    async def count_open(self) -> QueueCounts:
        await self._release_unbegun()  # of a denied key: other workers would not look at its batch
        async with self._database.connection("counting open walks") as connection:
            holders = [row["holder"] for row in await connection.fetch(_HOLDERS, self._slot, self._holder)]
            if gone := [holder for holder in holders if is_dead(holder)]:
                await connection.execute(_EXPIRE_DEAD, self._slot, gone)
            await connection.execute(_EVICT, self._slot)
            row = await connection.fetchrow(_COUNT_OPEN, self._slot, list(self._targets), self._holder)
        return QueueCounts(*row)

    async def heartbeat(self) -> None:
        """Renews our claims for ever. Ignores StoreError: the walks notice an absent database themselves."""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            with suppress(StoreError):
                async with self._database.connection("renewing claims", timeout=RENEWED_EVERY) as connection:
                    await connection.execute(_RENEW, self._slot, self._numbers, self._ttl)

    async def release_all(self, limit: float) -> None:
        """Releases our remaining claims within `limit` seconds, also those of a request still under way.

        A failure is harmless, since claims expire.
        """
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(limit):
                await asyncio.gather(*self._claiming, return_exceptions=True)
                await self._release(self._numbers)

    async def _claim_batch(self, key: str) -> None:
        """Claims free walks and puts them into the key's queue."""
        count = max(1, (len(self._targets) - len(self._numbers)) // _PORTIONS)
        async with self._database.connection("claiming walks") as connection:
            targets = list(self._targets)
            rows = await connection.fetch(
                _CLAIM_BATCH, self._slot, targets, count, self._holder, key, self._ttl, self._epoch
            )
        self._numbers += [row["number"] for row in rows]
        self._ready[key].extend(
            ClaimedTarget(self._targets[row["target"]], Claim(self._slot, row["target"], row["number"]))
            for row in sorted(rows, key=itemgetter("place"))
        )

    async def _release_unbegun(self) -> None:
        unbegun = [taken.claim.claim_id for queue in self._ready.values() for taken in queue if taken.claim]
        self._ready.clear()
        await self._release(unbegun)

    async def _release(self, numbers: Sequence[int]) -> None:
        if numbers:
            async with self._database.connection("releasing walks") as connection:
                await connection.execute(_RELEASE, self._slot, numbers)
