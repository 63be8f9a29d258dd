"""Stores walks: their lines in the ledger, their rows, and their undecoded rows.

A walk is stored in one transaction: its line in the ledger, its rows by COPY, and its undecoded rows. The
ledger's key (slot, target) accepts one walk only, so COPY needs no conflict clause, and a restart only has to
read the ledger (docs/decisions/0003).
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from collector.base.answers import AnswerLog
from collector.db.answers import AnswerStore, keep_answers, make_days
from collector.db.copy_format import COLUMNS, digest_rows, encode_copy
from collector.db.ledger import Ledger, midnight
from collector.db.pool import Connection
from collector.db.retry import with_retries
from collector.db.worklist import Claim
from collector.errors import StoreError, StoreFailure
from collector.market.membership import is_copy, members_digest, names_digest
from collector.model import (
    KST,
    Certificate,
    Exchange,
    Status,
    Target,
    WalkResult,
)

T = TypeVar("T")

AHEAD = 8
"""Number of days to create partitions for, from the slot's own day on."""
_ID_TRIES = 20
"""Attempts with ids read again: in the first sweep, several programs register listings at the same time."""

# Makes suspect walks complete and records the second judgement.
_BEAR_OUT = "SELECT collector.judge_again($1, $2::timestamptz[], 'suspect', 'complete', 'borne_out', $3)"
# Compares the rows of NXT and CONSOLIDATED with KRX. Uses the newest complete walks of half an hour within
# one day, since another schedule may walk an exchange. CONSOLIDATED is compared by listings traded on NXT
# only: the others have equal rows by nature.
_COMPARE_WITH_KRX = """
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
# Makes a walk suspect as a copy of KRX and records the judgement.
_SUSPECT_COPY = (
    "SELECT collector.judge_again($1, ARRAY[$2::timestamptz], 'complete', 'suspect', 'same_as_krx', $3)"
)
# Stores a line of the ledger, if it is better than the existing one: failed and missed give way to any,
# suspect gives way to complete. `fresh` is NULL if the ledger has a walk as good, true for a new line, false
# for a replaced one. The result has a row in any case, with the generation of the ids. Only rows need a sound
# partition, so a walk without rows ($5) does not check it.
_SAVE_WALK = """
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
# Deletes the rows of a replaced walk.
_DELETE_ROWS = "DELETE FROM collector.snapshot WHERE slot = $1 AND target = $2"
# Deletes the undecoded rows of a replaced walk.
_DELETE_QUARANTINE = "DELETE FROM collector.quarantine WHERE slot = $1 AND target = $2"
# Stores undecoded rows.
_QUARANTINE = """
INSERT INTO collector.quarantine (slot, target, page, raw, reason, symbol)
SELECT $1, $2, page, raw, reason, symbol
FROM unnest($3::integer[], $4::text[], $5::text[], $6::text[]) AS bad (page, raw, reason, symbol)
"""
# The first request of the stored walk; it identifies the walk.
_WAS_COMMITTED = "SELECT requested_at FROM collector.walk WHERE slot = $1 AND target = $2 AND status = $3"
# Creates the partitions of $2 days from day $1 on.
_MAKE_DAYS = "SELECT collector.make_days($1, $2)"
# Summarises and analyses a day's index: the BRIN is not used before (docs/decisions/0002).
_TEND_DAY = "SELECT collector.tend_day($1)"
# Opens a sweep, or reopens an ended one.
_BEGIN_SWEEP = """
INSERT INTO collector.sweep (slot, universe) VALUES ($1, $2)
ON CONFLICT (slot, universe) DO UPDATE SET ended_at = NULL
"""
# Marks a sweep as ended.
_END_SWEEP = "UPDATE collector.sweep SET ended_at = clock_timestamp() WHERE slot = $1 AND universe = $2"
# Takes back a sweep without any walk and without a living claim.
_FORGET_SWEEP = """
DELETE FROM collector.sweep AS s
WHERE s.slot = $1 AND s.universe = $2 AND s.ended_at IS NULL
  AND NOT EXISTS (SELECT FROM collector.walk AS w WHERE w.slot = s.slot)
  AND NOT EXISTS (SELECT FROM collector.claim AS c WHERE c.slot = s.slot AND c.expires_at > clock_timestamp())
"""
# Records sightings and boards from stored rows, for walks of other programs. Only listings with news are
# locked, in the order of their ids, so two programs ending the same sweep cannot deadlock.
_RECORD_SIGHTINGS = """
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
# Stores member lists changed since the last one.
_KEEP_MEMBERSHIP = "SELECT collector.keep_membership($1)"


class SnapshotStore(Ledger):
    """Reads and writes the ledger and the snapshots for one sweeping program. Errors are StoreError.

    Every write goes through `database.transaction`; a `lease.FencedDatabase` lets it write only under the
    lease.
    """

    async def begin_sweep(self, slot: datetime, universe: str, targets: Collection[Target]) -> None:
        """Records the start of a sweep, after registering its targets and creating its partitions."""
        await self.registry.refresh()
        await self.registry.register_targets(targets)
        async with self.database.transaction("beginning a sweep") as connection:
            await connection.fetchval(_MAKE_DAYS, slot.astimezone(KST).date(), AHEAD)
            await make_days(connection, slot.astimezone(KST).date())
            await connection.execute(_BEGIN_SWEEP, slot, universe)

    async def forget_sweep(self, slot: datetime, universe: str) -> None:
        """Take back the begin of a sweep without a walk, unless another program works on it."""
        async with self.database.connection("taking a sweep back") as connection:
            await connection.execute(_FORGET_SWEEP, slot, universe)

    async def end_sweep(self, slot: datetime, universe: str, others: Collection[Target] = ()) -> None:
        """Records the end of a sweep, and the listings and boards seen in its complete walks.

        `others` are targets walked by other programs; those may have died before recording their sightings.
        """
        with suppress(StoreError):
            # Tending only makes queries faster, those below included; the next sweep repeats it.
            async with self.database.connection("tending the day's index") as connection:
                await connection.execute(_TEND_DAY, slot.astimezone(KST).date())
        if others:
            await self.record_sightings(slot, others)
        async with self.database.transaction("ending a sweep") as connection:
            await self.registry.keep_members(connection, slot)
            await connection.execute(_KEEP_MEMBERSHIP, slot)
            await connection.execute(_END_SWEEP, slot, universe)

    async def suspect_copies(self, slot: datetime, targets: Collection[Target]) -> set[Target]:
        """Makes walks of NXT and CONSOLIDATED suspect if they repeat the rows of KRX; returns the targets of
        this slot.

        Compares the newest walks of each exchange within half an hour, in any order. A copy on NXT does not
        count when CONSOLIDATED is judged.
        """
        if all(target.exchange is Exchange.KRX for target in self.registry.targets):
            return set()
        ids = [self.registry.targets[target] for target in targets]
        copies: dict[Target, datetime] = {}
        async with self.database.transaction("comparing with KRX") as connection:
            for row in await connection.fetch(_COMPARE_WITH_KRX, ids, slot, midnight(slot)):
                target = Target.of(row["market"], row["sector"], row["exchange"])
                is_judged = target._replace(exchange=Exchange.NXT) not in copies
                if is_judged and is_copy(row["traded"], row["equal"]):
                    copies[target] = row["slot"]
                    by = f"walk of KRX of {row['krx_slot'].isoformat()}"
                    await connection.fetchval(_SUSPECT_COPY, row["target"], row["slot"], by)
        return {target for target, at in copies.items() if at == slot}

    async def record_sightings(self, slot: datetime, targets: Iterable[Target]) -> None:
        """Records listings and boards of complete walks of a slot; their program may have died before."""
        async with self.database.transaction("recording sightings") as connection:
            await connection.execute(
                _RECORD_SIGHTINGS, slot, [self.registry.targets[target] for target in targets]
            )

    async def end_assist(self, slot: datetime) -> None:
        """Records the listings and boards in our complete walks of another program's sweep."""
        async with self.database.transaction("ending an assistance") as connection:
            await self.registry.keep_members(connection, slot)

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
        """Stores a whole walk. Returns False if the ledger has a walk as good; nothing is changed then.

        Suspect walks of the target at the slots `borne_out` become complete in the same transaction.
        `expected` is the row count of the complete walk used as baseline.
        `log` holds the walk's answers, to be kept as they came.

        Raises ClaimLost if another program has claimed the walk; nothing is written then. An error at COMMIT
        leaves the fate unknown, so the ledger is read before the next attempt.
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

    async def tend_answers(
        self, host: datetime, keep_days: int, most: int | None = None
    ) -> tuple[int, list[date]]:
        """Packs the answers of past days, and drops those older than `keep_days`; see `AnswerStore.tend`."""
        return await AnswerStore(self.database).tend(host, keep_days, most)

    async def digest(self, reading: WalkResult) -> bytes:
        """Computes the digest of the rows of a walk; registers new listings as `save_walk` does."""
        pages = [page.rows for page in reading.pages]
        numbers = [await self.registry.listing_ids(page.listings, reading.slot) for page in pages]
        return digest_rows(pages, numbers)

    async def _pack(self, reading: WalkResult) -> "_Packed":
        """Encodes the rows with current ids. Registers new listings first: this changes the generation."""
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
        """Records a failed walk without rows. Returns False if the ledger has a walk already, and leaves it
        unchanged.

        Raises ClaimLost like `save_walk`.
        """
        nothing: tuple[Any, ...] = (None, None, [], [], 0, None, None, None, None)
        values: tuple[Any, ...] = (Status.FAILED, 0, 0, [], error, attempts, *nothing)

        async def write(_again: bool) -> bool:
            await self.registry.register_targets([target])
            generation, value = self.registry.generation, self.registry.targets[target]
            async with self.database.transaction(f"recording the failure of {target}") as connection:
                if claim is not None:
                    await claim.complete(connection)
                row = await connection.fetchrow(_SAVE_WALK, slot, value, *values)
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
            row = await connection.fetchrow(_SAVE_WALK, reading.slot, target, *values)
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
        """Stores member lists of earlier slots, oldest first, one slot a day: lists change overnight."""
        days = {slot.astimezone(KST).date(): slot for slot in slots}
        async with self.database.transaction("keeping the members of earlier walks") as connection:
            for slot in sorted(days.values()):
                await connection.execute(_KEEP_MEMBERSHIP, slot)

    async def _with_retries(self, slot: datetime, work: Callable[[bool], Awaitable[T]]) -> T:
        """Runs `work` with retries; creates the slot's partition if it is missing."""

        async def attempt(again: bool) -> T:
            return await self._with_fresh_ids(work, again=again)

        async def prepare(error: StoreError) -> None:
            if error.kind is StoreFailure.MISSING_TABLE:
                await self._make_day(slot)

        return await with_retries(attempt, prepare)

    async def _with_fresh_ids(self, work: Callable[[bool], Awaitable[T]], *, again: bool) -> T:
        """Runs `work`, again with ids read again, as long as other programs change ids meanwhile."""
        for _ in range(_ID_TRIES):
            try:
                return await work(again)
            except StoreError as error:
                if error.kind is not StoreFailure.STALE_IDS:
                    raise
                await self.registry.open()
        return await work(again)

    async def _was_committed(self, reading: WalkResult, status: Status) -> bool:
        """Returns True if this very walk is stored: the time of its first request identifies it."""
        async with self.database.connection("checking if a walk was stored") as connection:
            requested_at = await connection.fetchval(
                _WAS_COMMITTED, reading.slot, self.registry.targets[reading.target], status
            )
        return bool(requested_at == reading.requested_at)

    async def _make_day(self, slot: datetime) -> None:
        async with self.database.transaction("making a partition") as connection:
            await connection.fetchval(_MAKE_DAYS, slot.astimezone(KST).date(), 1)
            await make_days(connection, slot.astimezone(KST).date())


class _Packed(NamedTuple):
    """The encoded rows of a walk, with the target id and the generation of the ids used."""

    generation: UUID | None
    target: int
    copy: bytes
    digest: bytes


def _refuse_stale(row: Mapping[str, Any], generation: UUID | None) -> None:
    if row["generation"] != generation:
        raise StoreError(
            "the ids of targets and listings have changed in the database", kind=StoreFailure.STALE_IDS
        )


def ledger_values(reading: WalkResult, certificate: Certificate, expected: int | None) -> tuple[Any, ...]:
    """Returns the values `pages` to `expected` in the order of the INSERT."""
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
    """Sends the rows by COPY; StoreError if some are missing afterwards, since a trigger may drop rows silently."""
    status = await connection.copy_to_table(
        f"snapshot_{slot.astimezone(KST):%Y%m%d}",
        source=memoryview(data),  # bytes would be taken for the name of a file
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
    await connection.execute(_DELETE_ROWS, slot, target)
    await connection.execute(_DELETE_QUARANTINE, slot, target)


async def keep_memberships(connection: Connection, slot: datetime) -> None:
    """Note which listings the complete walks of a slot showed."""
    await connection.execute(_KEEP_MEMBERSHIP, slot)


async def quarantine_rows(connection: Connection, reading: WalkResult, target: int) -> None:
    """Store the rows of a walk that did not decode."""
    bad = [(page_number, *row) for page_number, page in enumerate(reading.pages, 1) for row in page.bad]
    if bad:
        await connection.execute(_QUARANTINE, reading.slot, target, *map(list, zip(*bad, strict=True)))
