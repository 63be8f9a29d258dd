"""Who walks what: the walks of a sweep stand on a list in PostgreSQL, and whoever has a key takes from it.

So two programs, on one host or on two, share a sweep and fetch nothing twice. A claim is renewed while its
walk is under way and runs out when its holder dies (at once, where others on the same machine see it); then
anybody takes it over. It is redeemed within the transaction that writes the walk's line in the ledger: one
that was lost meanwhile writes nothing. All times are the database's own clock.
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
"""How long a walk is left to a holder that was not heard of."""
RENEWED_EVERY = 3.0
"""Seconds between two renewals."""
_PORTIONS = 16
"""A large sweep is taken in portions, a small one and the end of each walk by walk, so that all end together."""
_GOODBYE = 1.0

# What an earlier attempt of ours, or a daemon that has lost the lease, left behind is free again. In the order of
# the targets' numbers, or two that share out the same would wait for each other.
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
# Somebody may have stored one between our look at the ledger and now.
_STRIKE = """
DELETE FROM collector.claim AS c
USING collector.walk AS w
WHERE c.slot = $1 AND w.slot = c.slot AND w.target = c.target AND w.status = ANY ($2::text[])
  AND 'ahead_of_time' <> ALL (w.remarks)
"""
_HOLDERS = """
SELECT DISTINCT holder
FROM collector.claim
WHERE slot = $1 AND holder <> $2 AND expires_at > clock_timestamp()
"""
_BURY = """
UPDATE collector.claim
SET expires_at = clock_timestamp()
WHERE slot = $1 AND holder = ANY ($2::text[])
"""
_FORGET = "DELETE FROM collector.claim WHERE slot < $1 AND expires_at < clock_timestamp() - INTERVAL '1 hour'"
_TAKE = """
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
# Rows that are locked are just being redeemed.
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
# The session says whose walk it is storing, so that it can be ended if it freezes.
_COMPLETE = """
DELETE FROM collector.claim
WHERE slot = $1 AND target = $2 AND number = $3 AND expires_at > clock_timestamp()
RETURNING set_config('application_name', current_setting('application_name') || ' claim ' || number, true)
"""
_EVICT = """
SELECT pg_terminate_backend(a.pid)
FROM collector.claim AS c
JOIN pg_stat_activity AS a ON a.application_name LIKE 'collector% claim ' || c.number
WHERE c.slot = $1 AND c.expires_at <= clock_timestamp()
  AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
_DEFER = "UPDATE collector.claim SET is_read = true WHERE slot = $1 AND target = $2 AND number = $3"
_RELEASE = """
UPDATE collector.claim
SET number = NULL, holder = NULL, key = NULL, expires_at = '-infinity', is_read = false
WHERE slot = $1 AND number = ANY ($2::bigint[])
"""
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
_COUNT_OPEN = """
SELECT count(*) FILTER (WHERE expires_at <= clock_timestamp()) AS free,
       count(*) FILTER (WHERE expires_at > clock_timestamp() AND holder <> $3 AND NOT is_read) AS elsewhere,
       count(*) AS open
FROM collector.claim
WHERE slot = $1 AND target = ANY ($2::smallint[])
"""
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
    """The walk is not ours any more: it ran out, or its sweep is over. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One walk that is ours for a while."""

    slot: datetime
    target: int
    claim_id: int

    async def complete(self, connection: Connection) -> None:
        """First in the transaction that stores the walk: ClaimLost unless it is still ours; then it is done."""
        if await connection.fetchval(_COMPLETE, self.slot, self.target, self.claim_id) is None:
            raise ClaimLost("the walk was taken over: nothing was written")


class ClaimedTarget(NamedTuple):
    """A target to be walked now; `claim` None: nobody else could."""

    target: Target
    claim: Claim | None = None


class QueueCounts(NamedTuple):
    """What is not done yet of a sweep: walks that nobody has, walks that others are at, and all of them."""

    free: int
    elsewhere: int
    open: int


class WorkQueue(Protocol):
    """What one sweep has to walk, as one of those who walk it sees it."""

    async def take(self, key: str) -> ClaimedTarget | None:
        """The next target, to be walked with this key; None where nothing is free."""

    async def defer(self, taken: ClaimedTarget) -> None:
        """It has been read, and is to be judged when the others have been."""

    async def release(self, taken: ClaimedTarget) -> None:
        """Somebody else may walk it."""

    async def cancel_unclaimed(self) -> None:
        """Nobody shall begin what is free."""

    async def count_open(self) -> QueueCounts:
        """How far all that walk it have come."""


class Worklist(Protocol):
    """Where the work of a sweep stands."""

    def work(
        self, slot: datetime, targets: Sequence[Target], stay: Sequence[Status]
    ) -> AbstractAsyncContextManager[WorkQueue]:
        """The work of a sweep of these targets, but of those that the ledger has with a status of `stay`."""


class LocalWorklist:
    """The work of somebody who shares it with nobody."""

    @asynccontextmanager
    async def work(
        self, slot: datetime, targets: Sequence[Target], stay: Sequence[Status]
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
    """Walks of a daemon's sweep that nobody has yet; `keys` are those that the daemon itself walks with."""

    slot: datetime
    epoch: int
    keys: Sequence[str]
    targets: Sequence[Target]


class SharedWorklist:
    """The list in the database, as one program uses it; `holder` is a name that no other program has.

    `keys` are the digests of all keys that it walks with. `epoch` is that of the lease it sweeps under, None
    where it needs none.
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
        self, slot: datetime, targets: Sequence[Target], stay: Sequence[Status]
    ) -> AsyncIterator[WorkQueue]:
        numbers = [self._registry.targets[target] for target in targets]
        async with self._database.connection("ending what is frozen") as connection:
            await connection.execute(_EVICT, slot)
        async with self._database.transaction("sharing out a sweep") as connection:
            await connection.execute(_FORGET, slot - timedelta(days=1))
            await connection.execute(_OFFER, slot, numbers, self._epoch(), self._keys, self._holder)
            await connection.execute(_STRIKE, slot, list(stay))
        async with self.join(slot, targets, self._epoch()) as work:
            yield work

    @asynccontextmanager
    async def join(
        self, slot: datetime, targets: Sequence[Target], epoch: int | None
    ) -> AsyncIterator[WorkQueue]:
        """Work that stands on the list already. What we still hold of it at the end is given back.

        `epoch` is that of the lease that the sweep needs; what stands there under another one is left.
        """
        numbers = {self._registry.targets[target]: target for target in targets}
        shared = _SharedQueue(self._database, self._holder, slot, numbers, epoch=epoch, ttl=self._ttl)
        keeping = asyncio.ensure_future(shared.heartbeat())
        try:
            yield shared
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await shared.release_all()

    async def find_open_sweep(self) -> OpenSweep | None:
        """The oldest sweep of the lease's holder that we could help with: with a key that it has not itself."""
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
    """Work on the list; `targets` by their number."""

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
        """Of all takings so far; those that have ended are in the database no more."""
        self._one_at_a_time = asyncio.Lock()

    async def take(self, key: str) -> ClaimedTarget | None:
        async with self._one_at_a_time:
            ready = self._ready[key]
            if not ready:
                ready.extend(await self._claim_batch(key))
            return ready.popleft() if ready else None

    async def defer(self, taken: ClaimedTarget) -> None:
        if taken.claim is not None:
            async with self._database.connection("putting a walk off") as connection:
                await connection.execute(_DEFER, self._slot, taken.claim.target, taken.claim.claim_id)

    async def release(self, taken: ClaimedTarget) -> None:
        if taken.claim is not None:
            await self._release([taken.claim.claim_id])

    async def cancel_unclaimed(self) -> None:
        await self._release_unbegun()
        async with self._database.connection("withdrawing walks") as connection:
            await connection.execute(_CANCEL_UNCLAIMED, self._slot, list(self._targets))

    async def count_open(self) -> QueueCounts:
        await self._release_unbegun()  # of a key that was denied: nobody else would look at its portion
        async with self._database.connection("looking at what others walk") as connection:
            holders = [row["holder"] for row in await connection.fetch(_HOLDERS, self._slot, self._holder)]
            if gone := [holder for holder in holders if is_dead(holder)]:
                await connection.execute(_BURY, self._slot, gone)
            await connection.execute(_EVICT, self._slot)
            row = await connection.fetchrow(_COUNT_OPEN, self._slot, list(self._targets), self._holder)
        return QueueCounts(*row)

    async def heartbeat(self) -> None:
        """Renew what is ours, for ever. A database that is away is the walks' own to find out."""
        while True:
            await asyncio.sleep(RENEWED_EVERY)
            with suppress(StoreError):
                async with self._database.connection("renewing claims", timeout=RENEWED_EVERY) as connection:
                    await connection.execute(_RENEW, self._slot, self._numbers, self._ttl)

    async def release_all(self) -> None:
        """Let others have at once what we hold. Bounded, and best effort: it runs out by itself."""
        with suppress(StoreError):
            await self._release(self._numbers, timeout=_GOODBYE)

    async def _claim_batch(self, key: str) -> list[ClaimedTarget]:
        count = max(1, (len(self._targets) - len(self._numbers)) // _PORTIONS)
        async with self._database.connection("taking walks") as connection:
            targets = list(self._targets)
            rows = await connection.fetch(
                _TAKE, self._slot, targets, count, self._holder, key, self._ttl, self._epoch
            )
        self._numbers += [row["number"] for row in rows]
        return [
            ClaimedTarget(self._targets[row["target"]], Claim(self._slot, row["target"], row["number"]))
            for row in sorted(rows, key=itemgetter("place"))
        ]

    async def _release_unbegun(self) -> None:
        unbegun = [taken.claim.claim_id for queue in self._ready.values() for taken in queue if taken.claim]
        self._ready.clear()
        await self._release(unbegun)

    async def _release(self, numbers: Sequence[int], timeout: float = TIMEOUT) -> None:
        if numbers:
            async with self._database.connection("giving walks back", timeout=timeout) as connection:
                await connection.execute(_RELEASE, self._slot, numbers)
