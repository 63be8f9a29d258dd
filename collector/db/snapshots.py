"""The ledger and the rows: what is known of a slot, and how a walk gets into the database.

A walk is stored in one transaction: its line in the ledger, its rows by COPY, what did not decode. The
ledger's key (slot, target) lets one walk in, ever; so a COPY needs no conflict clause, and a restart only
has to read the ledger.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from collector.base.answers import AnswerLog
from collector.db.answers import keep_answers, make_days
from collector.db.catalog import Registry
from collector.db.copy_format import COLUMNS, encode_copy
from collector.db.database import Database
from collector.db.lease import LeaseLost
from collector.db.pool import Connection
from collector.db.worklist import Claim
from collector.errors import StoreError, StoreFailure
from collector.market.membership import is_copy, members_digest, names_digest
from collector.model import (
    KST,
    Baseline,
    Certificate,
    EarlierWalk,
    Exchange,
    History,
    Outcome,
    Status,
    Target,
    WalkResult,
)

T = TypeVar("T")

AHEAD = 8
"""Days from a slot's own for which partitions are made."""
_LISTS = 40
"""Different lists of one target that are compared at most: one that differs in each walk is not borne out anyway."""
_TRIES = (0.2, 1.0, 3.0)
"""Seconds before what could not be written, or may have been, is looked up and tried again."""
_ID_TRIES = 20
"""Tries with ids read anew: in the first sweep, several programs register listings at the same time."""

_LEDGER = """
SELECT target, status, pages, rows, remarks, error, attempts, expected, bad
FROM collector.walk
WHERE slot = $1
"""
_BASELINES = """
SELECT t.id, whole.rows, whole.slot, whole.members
FROM unnest($1::smallint[]) AS t (id)
LEFT JOIN LATERAL (
    SELECT w.slot, w.rows + w.bad AS rows, w.members
    FROM collector.walk AS w
    WHERE w.target = t.id AND w.slot < $2 AND w.slot > $2 - INTERVAL '10 days' AND w.status = 'complete'
    ORDER BY w.slot DESC
    LIMIT 1
) AS whole ON true
"""
# Page starts that stand twice: a page before the last was empty.
_EARLIER = """
SELECT w.slot, w.status, w.remarks, w.members, w.bad,
       cardinality(w.page_starts) > (SELECT count(DISTINCT start) FROM unnest(w.page_starts) AS start) AS has_gap
FROM collector.walk AS w
WHERE w.target = $1 AND w.slot < $2 AND w.members IS NOT NULL AND w.status IN ('complete', 'suspect')
  AND w.slot >= COALESCE((
      SELECT max(c.slot)
      FROM collector.walk AS c
      WHERE c.target = $1 AND c.slot < $2 AND c.slot > $2 - INTERVAL '10 days' AND c.status = 'complete'
  ), $2 - INTERVAL '10 days')
ORDER BY w.slot DESC
"""
_SYMBOLS = """
SELECT w.slot, present.symbols
FROM unnest($2::timestamptz[]) AS w (slot)
CROSS JOIN LATERAL (
    SELECT array_agg(p.symbol ORDER BY p.position, p.symbol) AS symbols
    FROM (
        SELECT l.symbol, s.position
        FROM collector.walked(w.slot, $1) AS s
        JOIN collector.listing AS l ON l.id = s.listing
        UNION ALL
        SELECT q.symbol, NULL
        FROM collector.quarantine AS q
        WHERE q.slot = w.slot AND q.target = $1 AND q.symbol <> ''
    ) AS p
) AS present
WHERE present.symbols IS NOT NULL
"""
_ON_KRX = """
SELECT w.target, w.slot
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE t.market = $1 AND t.sector = $2 AND t.exchange = 'KRX' AND w.slot <= $3 AND w.slot >= $4 AND w.rows > 0
  AND (w.status = 'complete' OR (w.status = 'suspect' AND w.remarks <@ '{row_count,membership}'))
ORDER BY w.slot DESC
LIMIT 1
"""
_BEAR_OUT = "SELECT collector.judge_again($1, $2::timestamptz[], 'suspect', 'complete', 'borne_out', $3)"
# `there` may be any list of NXT. It speaks for a sector only if the same list on KRX holds all of the sector's members.
_NONE_THERE = """
WITH whole AS (
    SELECT w.slot, w.target, w.rows, t.market, t.sector, t.exchange,
           (w.slot AT TIME ZONE INTERVAL '9 hours')::date AS day
    FROM collector.walk AS w
    JOIN collector.target AS t ON t.id = w.target
    WHERE t.market = $1 AND t.exchange IN ('KRX', 'NXT')
      AND w.status = 'complete' AND w.rows > 0 AND w.slot BETWEEN $3::timestamptz - INTERVAL '10 days' AND $3
), here AS (
    SELECT slot, target
    FROM whole
    WHERE sector = $2 AND exchange = 'KRX'
    ORDER BY slot DESC
    LIMIT 1
), there AS (
    SELECT slot, target, sector
    FROM whole
    WHERE exchange = 'NXT'
    ORDER BY day DESC, rows DESC, slot DESC
    LIMIT 1
), twin AS (
    SELECT whole.slot, whole.target
    FROM whole
    JOIN there USING (sector)
    WHERE whole.exchange = 'KRX'
    ORDER BY whole.slot DESC
    LIMIT 1
), members AS (
    SELECT l.symbol
    FROM here
    CROSS JOIN LATERAL collector.walked(here.slot, here.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
), trading AS (
    SELECT l.symbol
    FROM there
    CROSS JOIN LATERAL collector.walked(there.slot, there.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
), candidates AS (
    SELECT l.symbol
    FROM twin
    CROSS JOIN LATERAL collector.walked(twin.slot, twin.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
)
SELECT EXISTS (SELECT FROM members)
   AND NOT EXISTS (SELECT FROM members WHERE symbol IN (SELECT symbol FROM trading))
   AND NOT EXISTS (SELECT FROM members WHERE symbol NOT IN (SELECT symbol FROM candidates))
"""
# The newest complete walks of half an hour, of one day: an exchange may be walked by another schedule.
_BESIDE_KRX = """
WITH recent AS (
    SELECT DISTINCT ON (t.market, t.sector, t.exchange)
           t.market, t.sector, t.exchange, w.target, w.slot, w.remarks
    FROM collector.walk AS w
    JOIN collector.target AS t ON t.id = w.target
    WHERE (t.market, t.sector) IN (
          SELECT a.market, a.sector FROM collector.target AS a WHERE a.id = ANY ($1::smallint[])
      )
      AND w.status = 'complete' AND w.rows > 0
      AND w.slot <= $2 AND w.slot > $2 - INTERVAL '30 minutes' AND w.slot >= $3
    ORDER BY t.market, t.sector, t.exchange, w.slot DESC
)
SELECT o.market, o.sector, o.exchange, o.target, o.slot, k.slot AS krx_slot, c.traded, c.equal
FROM recent AS o
JOIN recent AS k ON k.market = o.market AND k.sector = o.sector AND k.exchange = 'KRX'
LEFT JOIN recent AS n ON n.market = o.market AND n.sector = o.sector AND n.exchange = 'NXT'
CROSS JOIN LATERAL (
    SELECT count(*) AS traded, count(*) FILTER (WHERE a.price = b.price AND a.volume = b.volume) AS equal
    FROM collector.walked(o.slot, o.target) AS a
    JOIN collector.walked(k.slot, k.target) AS b ON b.listing = a.listing AND b.volume > 0
    LEFT JOIN collector.walked(n.slot, n.target) AS x ON x.listing = a.listing
    WHERE a.volume > 0 AND (o.exchange = 'NXT' OR x.volume > 0)
) AS c
WHERE o.exchange <> 'KRX' AND NOT o.remarks @> '{accepted}'
ORDER BY o.exchange DESC, o.target
"""
_SUSPECT_COPY = (
    "SELECT collector.judge_again($1, ARRAY[$2::timestamptz], 'complete', 'suspect', 'same_as_krx', $3)"
)
# A row in any case: `fresh` is NULL where the ledger has a walk as good. The trouble with a partition matters only to
# rows, so a walk without any ($5) does not ask.
_ENTER = """
WITH entered AS (
INSERT INTO collector.walk AS w (
    slot, target, status, pages, rows, remarks, error, attempts,
    requested_at, received_at, page_starts, page_times, bad, expected, members, digest, names
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (slot, target) DO UPDATE
SET status = EXCLUDED.status, pages = EXCLUDED.pages, rows = EXCLUDED.rows, remarks = EXCLUDED.remarks,
    error = EXCLUDED.error, attempts = w.attempts + EXCLUDED.attempts, requested_at = EXCLUDED.requested_at,
    received_at = EXCLUDED.received_at, committed_at = clock_timestamp(),
    page_starts = EXCLUDED.page_starts, page_times = EXCLUDED.page_times,
    bad = EXCLUDED.bad, expected = EXCLUDED.expected,
    members = EXCLUDED.members, digest = EXCLUDED.digest, names = EXCLUDED.names
WHERE w.status IN ('failed', 'missed') OR (w.status = 'suspect' AND EXCLUDED.status = 'complete')
   OR ('ahead_of_time' = ANY (w.remarks) AND EXCLUDED.status = 'suspect')
RETURNING xmax = 0 AS fresh
)
SELECT (SELECT fresh FROM entered) AS fresh, r.generation,
       CASE WHEN $5 > 0 THEN collector.partition_trouble($1) ELSE '' END AS trouble
FROM collector.registry_state AS r
"""
_CLEAR = "DELETE FROM collector.snapshot WHERE slot = $1 AND target = $2"
_CLEAR_QUARANTINE = "DELETE FROM collector.quarantine WHERE slot = $1 AND target = $2"
_QUARANTINE = """
INSERT INTO collector.quarantine (slot, target, page, raw, reason, symbol)
SELECT $1, $2, page, raw, reason, symbol
FROM unnest($3::integer[], $4::text[], $5::text[], $6::text[]) AS bad (page, raw, reason, symbol)
"""
_WALK_COMMITTED = "SELECT requested_at FROM collector.walk WHERE slot = $1 AND target = $2 AND status = $3"
_MAKE_DAYS = "SELECT collector.make_days($1, $2)"
_TEND_DAY = "SELECT collector.tend_day($1)"
_BEGIN_SWEEP = """
INSERT INTO collector.sweep (slot, universe) VALUES ($1, $2)
ON CONFLICT (slot, universe) DO UPDATE SET ended_at = NULL
"""
_END_SWEEP = "UPDATE collector.sweep SET ended_at = clock_timestamp() WHERE slot = $1 AND universe = $2"
_SEEN_BY_OTHERS = """
WITH shown AS (
    SELECT s.listing, max(t.market) FILTER (WHERE t.market IN ('KOSPI', 'KOSDAQ')) AS board
    FROM collector.target AS t
    JOIN collector.walk AS w ON w.slot = $1 AND w.target = t.id AND w.status = 'complete'
    JOIN collector.snapshot AS s ON s.slot = $1 AND s.target = t.id
    WHERE t.id = ANY ($2::smallint[])
    GROUP BY s.listing
), locked AS (
    SELECT l.id, shown.board
    FROM shown
    JOIN collector.listing AS l ON l.id = shown.listing
    WHERE l.last_seen < $1 OR l.board IS DISTINCT FROM COALESCE(shown.board, l.board)
    ORDER BY l.id
    FOR UPDATE OF l
)
UPDATE collector.listing AS l
SET last_seen = GREATEST(l.last_seen, $1), board = COALESCE(locked.board, l.board)
FROM locked
WHERE l.id = locked.id
"""
_KEEP_MEMBERSHIP = "SELECT collector.keep_membership($1)"
_OPEN_SWEEP = """
SELECT slot
FROM collector.sweep
WHERE universe = $1 AND ended_at IS NULL AND slot > $2
  AND EXISTS (SELECT FROM collector.walk AS w WHERE w.slot = sweep.slot)
ORDER BY slot DESC
LIMIT 1
"""


class SnapshotStore:
    """The database as one collector uses it. Errors are StoreError.

    All that it writes goes through `database.transaction`: one that is `lease.FencedDatabase` lets it write only
    while the lease is held.
    """

    def __init__(self, database: Database, registry: Registry) -> None:
        self.database = database
        self.registry = registry

    async def begin_sweep(self, slot: datetime, universe: str, targets: Collection[Target]) -> None:
        """Note that a sweep begins, and make sure that its targets and its day are there."""
        await self.registry.refresh()
        await self.registry.register_targets(targets)
        async with self.database.transaction("beginning a sweep") as connection:
            await connection.fetchval(_MAKE_DAYS, slot.astimezone(KST).date(), AHEAD)
            await make_days(connection, slot.astimezone(KST).date())
            await connection.execute(_BEGIN_SWEEP, slot, universe)

    async def end_sweep(self, slot: datetime, universe: str, others: Collection[Target] = ()) -> None:
        """Note that a sweep ended, and which listings its complete walks showed, and where.

        `others` were walked by somebody else, who may have died before this point.
        """
        with suppress(StoreError):
            # It only makes questions quicker, of which the first are ours; the next sweep tends it as well.
            async with self.database.connection("tending the day's index") as connection:
                await connection.execute(_TEND_DAY, slot.astimezone(KST).date())
        if others:
            await self.record_sightings(slot, others)
        async with self.database.transaction("ending a sweep") as connection:
            await self.registry.keep_members(connection, slot)
            await connection.execute(_KEEP_MEMBERSHIP, slot)
            await connection.execute(_END_SWEEP, slot, universe)

    async def suspect_copies(self, slot: datetime, targets: Collection[Target]) -> set[Target]:
        """Make walks of NXT and CONSOLIDATED suspect that hold the rows of KRX; those of this slot.

        The newest walks of each exchange within half an hour are compared, whichever came first. CONSOLIDATED is not
        judged by an NXT that is a copy itself.
        """
        if all(target.exchange is Exchange.KRX for target in self.registry.targets):
            return set()
        ids = [self.registry.targets[target] for target in targets]
        copies: dict[Target, datetime] = {}
        async with self.database.transaction("comparing with KRX") as connection:
            for row in await connection.fetch(_BESIDE_KRX, ids, slot, _midnight(slot)):
                target = Target.of(row["market"], row["sector"], row["exchange"])
                is_judged = target._replace(exchange=Exchange.NXT) not in copies
                if is_judged and is_copy(row["traded"], row["equal"]):
                    copies[target] = row["slot"]
                    by = f"walk of KRX of {row['krx_slot'].isoformat()}"
                    await connection.fetchval(_SUSPECT_COPY, row["target"], row["slot"], by)
        return {target for target, at in copies.items() if at == slot}

    async def record_sightings(self, slot: datetime, targets: Iterable[Target]) -> None:
        """Note which listings complete walks of a slot showed, and where: who walked them may have died before."""
        async with self.database.transaction("keeping who was seen") as connection:
            await connection.execute(
                _SEEN_BY_OTHERS, slot, [self.registry.targets[target] for target in targets]
            )

    async def end_assist(self, slot: datetime) -> None:
        """Note which listings our complete walks of somebody else's sweep showed, and where."""
        async with self.database.transaction("ending what was helped with") as connection:
            await self.registry.keep_members(connection, slot)

    async def find_unfinished_sweep(self, universe: str, since: datetime) -> datetime | None:
        """The newest slot after `since` whose sweep stored something and did not end, None if there is none."""
        async with self.database.connection("looking for a sweep to resume") as connection:
            slot: datetime | None = await connection.fetchval(_OPEN_SWEEP, universe, since)
            return slot

    async def ledger(self, slot: datetime) -> dict[Target, Outcome]:
        """What the ledger holds of a slot; a target that another program has brought meanwhile is not ours."""
        targets = {target_id: target for target, target_id in self.registry.targets.items()}
        async with self.database.connection("reading the ledger") as connection:
            rows = await connection.fetch(_LEDGER, slot)
        return {
            targets[row["target"]]: Outcome(
                target=targets[row["target"]],
                slot=slot,
                status=Status(row["status"]),
                pages=row["pages"],
                rows=row["rows"],
                remarks=tuple(row["remarks"]),
                error=row["error"] or "",
                attempts=row["attempts"],
                expected=row["expected"],
                bad=row["bad"],
            )
            for row in rows
            if row["target"] in targets
        }

    async def baselines(self, slot: datetime, targets: Sequence[Target]) -> dict[Target, Baseline]:
        """What walks before a slot tell of each target."""
        await self.registry.refresh()
        ids = [self.registry.targets[target] for target in targets]
        async with self.database.connection("reading earlier walks") as connection:
            rows = await connection.fetch(_BASELINES, ids, slot)
        return {target: _baseline(row) for target, row in zip(targets, rows, strict=True)}

    async def history(self, slot: datetime, target: Target) -> History:
        """The walks of a target before a slot, back to the last complete one, with the symbols of each.

        Walks whose rows are not in the database any more are left out.
        """
        async with self.database.connection("reading the history of a list") as connection:
            return await _read_history(connection, slot, target, self.registry.targets[target])

    async def has_no_nxt_members(self, slot: datetime, target: Target) -> bool:
        """Whether the sector's newest complete walk on KRX shares no symbol with the largest on NXT.

        Both within ten days, and both needed, and the largest must be of a list to which all of the sector belongs
        on KRX: this is what makes an empty sector on NXT believable.
        """
        async with self.database.connection("comparing KRX with NXT") as connection:
            return bool(await connection.fetchval(_NONE_THERE, target.market, target.sector, slot))

    async def save_walk(
        self,
        reading: WalkResult,
        certificate: Certificate,
        claim: Claim | None = None,
        *,
        borne_out: Sequence[datetime] = (),
        expected: int | None = None,
        log: AnswerLog | None = None,
    ) -> bool:
        """Store a walk whole. False: the ledger already has one as good, and nothing was changed.

        Suspect walks of the target at the slots `borne_out` become complete in the same transaction. `expected`:
        rows of the complete walk that this one was judged by. `log`: its answers, to be kept as they came.

        ClaimLost: the walk is somebody else's by now, and nothing was written.
        An error while committing does not tell whether it was committed, so the ledger is read before
        anything is done again.
        """
        packed: _Packed | None = None

        async def write(again: bool) -> bool:
            nonlocal packed
            if again and await self._was_committed(reading, certificate.status):
                return True
            if packed is None or packed.generation != self.registry.generation:
                packed = await self._pack(reading)
            return await self._write_walk(
                reading, certificate, packed, claim=claim, expected=expected, borne_out=borne_out, log=log
            )

        entered = await self._with_retries(reading.slot, write)
        if entered and borne_out:
            await self._keep_memberships(borne_out)
        if certificate.status is Status.COMPLETE:
            listings = [page.rows.listings for page in reading.pages]
            self.registry.note_members(reading.target.market, listings)
        return entered

    async def _pack(self, reading: WalkResult) -> "_Packed":
        """The rows with the ids of this moment. New listings are registered first, which changes the generation."""
        pages = [page.rows for page in reading.pages]
        for page in pages:
            await self.registry.listing_ids(page.listings, reading.slot)
        generation = self.registry.generation
        numbers = [await self.registry.listing_ids(page.listings, reading.slot) for page in pages]
        if reading.target not in self.registry.targets:
            await self.registry.register_targets([reading.target])
        target = self.registry.targets[reading.target]
        return _Packed(generation, target, *encode_copy(reading.slot, target, pages, numbers))

    async def save_failure(
        self,
        slot: datetime,
        target: Target,
        *,
        error: str,
        attempts: int,
        claim: Claim | None = None,
        log: AnswerLog | None = None,
    ) -> bool:
        """Note that a walk failed and nothing of it is stored. False: a walk is there and stays as it is.

        ClaimLost as in `save_walk`.
        """
        nothing: tuple[Any, ...] = (None, None, [], [], 0, None, None, None, None)
        values: tuple[Any, ...] = (Status.FAILED, 0, 0, [], error, attempts, *nothing)

        async def write(_again: bool) -> bool:
            await self.registry.register_targets([target])
            generation, value = self.registry.generation, self.registry.targets[target]
            async with self.database.transaction(f"noting that {target} failed") as connection:
                if claim is not None:
                    await claim.complete(connection)
                row = await connection.fetchrow(_ENTER, slot, value, *values)
                _refuse_stale(row, generation)
                if log is not None:
                    await keep_answers(connection, slot, value, log, failure=error)
                return row["fresh"] is not None

        return await self._with_retries(slot, write)

    async def _write_walk(
        self,
        reading: WalkResult,
        certificate: Certificate,
        packed: "_Packed",
        *,
        claim: Claim | None,
        expected: int | None,
        borne_out: Sequence[datetime],
        log: AnswerLog | None,
    ) -> bool:
        target = packed.target
        digests = (members_digest(reading), packed.digest, names_digest(reading))
        values = (certificate.status, *ledger_values(reading, certificate, expected), *digests)
        async with self.database.transaction(f"storing {reading.target}") as connection:
            if claim is not None:
                await claim.complete(connection)
            row = await connection.fetchrow(_ENTER, reading.slot, target, *values)
            _refuse_stale(row, packed.generation)
            if row["fresh"] is None:
                return False
            if row["trouble"]:
                raise StoreError(row["trouble"], kind=StoreFailure.MISSING_TABLE)
            if not row["fresh"]:
                await clear_rows(connection, reading.slot, target)
            if reading.row_count:
                await copy_rows(connection, reading.slot, packed.copy, reading.row_count)
            await quarantine_rows(connection, reading, target)
            if log is not None:
                await keep_answers(connection, reading.slot, target, log)
            if borne_out:
                await connection.fetchval(_BEAR_OUT, target, borne_out, f"walk of {reading.slot.isoformat()}")
            return True

    async def _keep_memberships(self, slots: Sequence[datetime]) -> None:
        """Note who the walks of earlier slots showed, oldest first, one slot a day: lists change overnight."""
        days = {slot.astimezone(KST).date(): slot for slot in slots}
        async with self.database.transaction("keeping the members of earlier walks") as connection:
            for slot in sorted(days.values()):
                await connection.execute(_KEEP_MEMBERSHIP, slot)

    async def _with_retries(self, slot: datetime, work: Callable[[bool], Awaitable[T]]) -> T:
        """Carry out `work`, again where what it failed for may pass; it is told whether this is again."""
        for attempt, pause in enumerate(_TRIES):
            try:
                return await self._with_fresh_ids(work, again=attempt > 0)
            except LeaseLost:
                raise
            except StoreError as error:
                if error.kind is StoreFailure.DISK_FULL:
                    raise
                if error.kind is StoreFailure.MISSING_TABLE:
                    await self._make_day(slot)
            await asyncio.sleep(pause)
        return await self._with_fresh_ids(work, again=True)

    async def _with_fresh_ids(self, work: Callable[[bool], Awaitable[T]], *, again: bool) -> T:
        """Carry out `work`, again with ids read anew as long as somebody changes them meanwhile."""
        for _ in range(_ID_TRIES):
            try:
                return await work(again)
            except StoreError as error:
                if error.kind is not StoreFailure.STALE_IDS:
                    raise
                await self.registry.open()
        return await work(again)

    async def _was_committed(self, reading: WalkResult, status: Status) -> bool:
        """Whether the very walk that we tried to store is in the ledger: its first request tells it apart."""
        async with self.database.connection("looking whether a walk was stored") as connection:
            requested_at = await connection.fetchval(
                _WALK_COMMITTED, reading.slot, self.registry.targets[reading.target], status
            )
        return bool(requested_at == reading.requested_at)

    async def _make_day(self, slot: datetime) -> None:
        async with self.database.transaction("making a partition") as connection:
            await connection.fetchval(_MAKE_DAYS, slot.astimezone(KST).date(), 1)
            await make_days(connection, slot.astimezone(KST).date())


class _Packed(NamedTuple):
    """A walk's rows with the ids of one generation."""

    generation: UUID | None
    target: int
    copy: bytes
    digest: bytes


def _refuse_stale(row: Mapping[str, Any], generation: UUID | None) -> None:
    if row["generation"] != generation:
        raise StoreError(
            "the ids of targets and listings have changed in the database", kind=StoreFailure.STALE_IDS
        )


def _midnight(slot: datetime) -> datetime:
    return slot.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)


def _baseline(row: Mapping[str, Any]) -> Baseline:
    return Baseline(
        rows=row["rows"],
        day=row["slot"] and row["slot"].astimezone(KST).date(),
        members=row["members"],
    )


async def _read_history(connection: Connection, slot: datetime, target: Target, value: int) -> History:
    walks = await connection.fetch(_EARLIER, value, slot)
    newest = {row["members"]: row["slot"] for row in reversed(walks)}
    wanted = {*sorted(newest.values())[-_LISTS:], *(newest[row["members"]] for row in walks[-1:])}
    lists = await _read_lists(connection, value, list(wanted))
    earlier = [
        EarlierWalk(
            slot=row["slot"],
            status=Status(row["status"]),
            remarks=row["remarks"],
            symbols=lists[newest[row["members"]]],
            bad=row["bad"],
            has_gap=row["has_gap"],
        )
        for row in walks
        if newest[row["members"]] in lists
    ]
    krx = await connection.fetchrow(_ON_KRX, target.market, target.sector, slot, _midnight(slot))
    if krx is None or target.exchange is Exchange.KRX:
        return History(earlier)
    on_krx = await _read_lists(connection, krx["target"], [krx["slot"]])
    return History(earlier, on_krx.get(krx["slot"]))


async def _read_lists(
    connection: Connection, value: int, slots: Sequence[datetime]
) -> dict[datetime, tuple[str, ...]]:
    """The symbols of walks, in the order served; those of undecoded rows last."""
    return {row["slot"]: tuple(row["symbols"]) for row in await connection.fetch(_SYMBOLS, value, slots)}


def ledger_values(reading: WalkResult, certificate: Certificate, expected: int | None) -> tuple[Any, ...]:
    """The values from pages to expected, in the order of `_ENTER`."""
    *starts, _ = accumulate((len(page.rows) for page in reading.pages), initial=1)
    return (
        len(reading.pages),
        reading.row_count,
        list(certificate.remarks),
        None,
        reading.attempts,
        reading.requested_at,
        reading.page_times[-1],
        starts,
        list(reading.page_times),
        reading.bad_count,
        expected,
    )


async def copy_rows(connection: Connection, slot: datetime, data: bytes, count: int) -> None:
    """StoreError unless all rows got in: a trigger may keep some out without a word."""

    async def source() -> AsyncIterator[bytes]:
        yield data

    status = await connection.copy_to_table(
        f"snapshot_{slot.astimezone(KST):%Y%m%d}",
        source=source(),
        columns=COLUMNS,
        schema_name="collector",
        format="binary",
    )
    if status != f"COPY {count}":
        raise StoreError(
            f"{count} rows were sent and the table took {status.removeprefix('COPY ')}",
            hint="look for a trigger on collector.snapshot or its partitions, and drop it",
        )


async def clear_rows(connection: Connection, slot: datetime, target: int) -> None:
    """Delete the rows of a walk, those in quarantine too."""
    await connection.execute(_CLEAR, slot, target)
    await connection.execute(_CLEAR_QUARANTINE, slot, target)


async def keep_memberships(connection: Connection, slot: datetime) -> None:
    """Note which listings the complete walks of a slot showed."""
    await connection.execute(_KEEP_MEMBERSHIP, slot)


async def quarantine_rows(connection: Connection, reading: WalkResult, target: int) -> None:
    """Store the rows of a walk that did not decode."""
    bad = [(page_number, *row) for page_number, page in enumerate(reading.pages, 1) for row in page.bad]
    if bad:
        await connection.execute(_QUARANTINE, reading.slot, target, *map(list, zip(*bad, strict=True)))
