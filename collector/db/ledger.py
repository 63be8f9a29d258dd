"""The ledger: reads the walks stored for slots, and everything earlier walks tell about a target."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.pool import Connection
from collector.model import KST, Baseline, EarlierWalk, Exchange, History, Outcome, Status, Target

_LISTS = 40
"""Different lists of one target compared at most; a list changing with every walk is not borne out anyway."""
# The ledger of one slot.
_LEDGER = """
SELECT target, status, pages, rows, remarks, error, attempts, expected, bad
FROM collector.walk
WHERE slot = $1
"""
# The newest complete walk of each target before a slot. 10 days bound the lookup of a target without any.
_BASELINES = """
SELECT t.id, newest.rows, newest.slot, newest.members
FROM unnest($1::smallint[]) AS t (id)
LEFT JOIN LATERAL (
    SELECT w.slot, w.rows + w.bad AS rows, w.members
    FROM collector.walk AS w
    WHERE w.target = t.id AND w.slot < $2 AND w.slot > $2 - INTERVAL '10 days' AND w.status = 'complete'
    ORDER BY w.slot DESC
    LIMIT 1
) AS newest ON true
"""
# The walks of a target back to its last complete one. A repeated page start means an empty page before the
# last.
_EARLIER_WALKS = """
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
# The symbols of walks in the order served; undecoded rows with a readable symbol come last. `walked` reads
# one partition by value (docs/decisions/0008).
_READ_LISTS = """
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
# The newest list of the same sector on KRX on the day of the slot. A suspect list is good enough if only its
# difference from earlier walks made it suspect.
_LIST_ON_KRX = """
SELECT w.target, w.slot
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE t.market = $1 AND t.sector = $2 AND t.exchange = 'KRX' AND w.slot <= $3 AND w.slot >= $4 AND w.rows > 0
  AND (w.status = 'complete' OR (w.status = 'suspect' AND w.remarks <@ '{row_count,membership}'))
ORDER BY w.slot DESC
LIMIT 1
"""
# Decides if NXT lists none of a sector's members. NXT's largest list proves absence only if the same list on
# KRX contains every member of the sector. Steps: the sector's newest list on KRX (`krx`), the largest newest
# list of NXT (`nxt`), the same list on KRX (`krx_parallel`), then their symbols. It is one statement because
# the answer is one boolean and the lists are long.
_HAS_NO_NXT_MEMBERS = """
WITH complete_walks AS (
    SELECT w.slot, w.target, w.rows, t.market, t.sector, t.exchange,
           (w.slot AT TIME ZONE INTERVAL '9 hours')::date AS day
    FROM collector.walk AS w
    JOIN collector.target AS t ON t.id = w.target
    WHERE t.market = $1 AND t.exchange IN ('KRX', 'NXT')
      AND w.status = 'complete' AND w.rows > 0 AND w.slot BETWEEN $3::timestamptz - INTERVAL '10 days' AND $3
), krx AS (
    SELECT slot, target
    FROM complete_walks
    WHERE sector = $2 AND exchange = 'KRX'
    ORDER BY slot DESC
    LIMIT 1
), nxt AS (
    SELECT slot, target, sector
    FROM complete_walks
    WHERE exchange = 'NXT'
    ORDER BY day DESC, rows DESC, slot DESC
    LIMIT 1
), krx_parallel AS (
    SELECT complete_walks.slot, complete_walks.target
    FROM complete_walks
    JOIN nxt USING (sector)
    WHERE complete_walks.exchange = 'KRX'
    ORDER BY complete_walks.slot DESC
    LIMIT 1
), members AS (
    SELECT l.symbol
    FROM krx
    CROSS JOIN LATERAL collector.walked(krx.slot, krx.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
), trading AS (
    SELECT l.symbol
    FROM nxt
    CROSS JOIN LATERAL collector.walked(nxt.slot, nxt.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
), candidates AS (
    SELECT l.symbol
    FROM krx_parallel
    CROSS JOIN LATERAL collector.walked(krx_parallel.slot, krx_parallel.target) AS k
    JOIN collector.listing AS l ON l.id = k.listing
)
SELECT EXISTS (SELECT FROM members)
   AND NOT EXISTS (SELECT FROM members WHERE symbol IN (SELECT symbol FROM trading))
   AND NOT EXISTS (SELECT FROM members WHERE symbol NOT IN (SELECT symbol FROM candidates))
"""
# The newest unfinished sweep with at least one stored walk.
_FIND_UNFINISHED_SWEEP = """
SELECT slot
FROM collector.sweep
WHERE universe = $1 AND ended_at IS NULL AND slot > $2
  AND EXISTS (SELECT FROM collector.walk AS w WHERE w.slot = sweep.slot)
ORDER BY slot DESC
LIMIT 1
"""


class Ledger:
    """Reads the ledger for one program. Errors are StoreError."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.database = database
        self.registry = registry

    async def find_unfinished_sweep(self, universe: str, since: datetime) -> datetime | None:
        """Returns the newest slot after `since` with stored walks and an unfinished sweep, None without one."""
        async with self.database.connection("looking for a sweep to resume") as connection:
            slot: datetime | None = await connection.fetchval(_FIND_UNFINISHED_SWEEP, universe, since)
            return slot

    async def ledger(self, slot: datetime) -> dict[Target, Outcome]:
        """Returns the ledger of a slot; targets registered meanwhile by other programs are left out."""
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
        """Returns for each target the newest complete walk before a slot."""
        await self.registry.refresh()
        ids = [self.registry.targets[target] for target in targets]
        async with self.database.connection("reading earlier walks") as connection:
            rows = await connection.fetch(_BASELINES, ids, slot)
        return {target: _baseline(row) for target, row in zip(targets, rows, strict=True)}

    async def history(self, slot: datetime, target: Target) -> History:
        """Returns the walks of a target before a slot, back to the last complete one, with their symbols.

        Walks without rows in the database (archived or dropped) are left out.
        """
        async with self.database.connection("reading the history of a list") as connection:
            return await _read_history(connection, slot, target, self.registry.targets[target])

    async def has_no_nxt_members(self, slot: datetime, target: Target) -> bool:
        """Returns True if the sector's newest list on KRX shares no symbol with the largest list on NXT.

        Both must be complete and at most ten days old, and the same list on KRX must contain every member of
        the sector. Then an empty sector on NXT is plausible.
        """
        async with self.database.connection("comparing KRX with NXT") as connection:
            return bool(await connection.fetchval(_HAS_NO_NXT_MEMBERS, target.market, target.sector, slot))


def midnight(slot: datetime) -> datetime:
    """Returns the first instant of the slot's day in Korea."""
    return slot.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)


def _baseline(row: Mapping[str, Any]) -> Baseline:
    return Baseline(
        rows=row["rows"],
        day=row["slot"] and row["slot"].astimezone(KST).date(),
        members=row["members"],
    )


async def _read_history(connection: Connection, slot: datetime, target: Target, value: int) -> History:
    walks = await connection.fetch(_EARLIER_WALKS, value, slot)
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
    krx = await connection.fetchrow(_LIST_ON_KRX, target.market, target.sector, slot, midnight(slot))
    if krx is None or target.exchange is Exchange.KRX:
        return History(earlier)
    on_krx = await _read_lists(connection, krx["target"], [krx["slot"]])
    return History(earlier, on_krx.get(krx["slot"]))


async def _read_lists(
    connection: Connection, value: int, slots: Sequence[datetime]
) -> dict[datetime, tuple[str, ...]]:
    """Returns the symbols of walks in the order served; undecoded rows come last."""
    return {row["slot"]: tuple(row["symbols"]) for row in await connection.fetch(_READ_LISTS, value, slots)}
