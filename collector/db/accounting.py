"""The daemon's books: how far each schedule is accounted for, and what is entered where nothing was walked.

Every due slot × target has one line in the ledger. What was walked is there already; the rest is entered
here as missed, in bulk, and never over what is there.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from collector.base.clock import DISCIPLINED
from collector.base.outages import Outages
from collector.db.bars import BarStore
from collector.db.catalog import Registry
from collector.db.clocks import why_unsure, witnesses
from collector.db.database import Database
from collector.db.pool import Connection
from collector.db.retention import Retention
from collector.market.calendar import Calendar, kst
from collector.market.stale import Seen, is_stale
from collector.market.visibility import closings
from collector.model import KST, Exchange, Remark, Target

AHEAD = 9
"""Days for which partitions are made, today included: a week ahead even a day later."""
_KEPT = timedelta(days=400)
"""How far back the closings of trading days are written down again: the calendar may have been corrected."""

_UNTIL = "SELECT schedule, until FROM collector.accounted WHERE schedule = ANY ($1::text[])"
_NEWEST = """
SELECT DISTINCT slot
FROM collector.walk
WHERE target = ANY ($1::smallint[]) AND slot <= $2
ORDER BY slot DESC
LIMIT 500
"""
_MISS = """
INSERT INTO collector.walk (slot, target, status, error)
SELECT s.slot, t.target, 'missed', $3
FROM unnest($1::timestamptz[]) AS s (slot)
CROSS JOIN unnest($2::smallint[]) AS t (target)
ON CONFLICT DO NOTHING
"""
# Whoever still walks one of them for us writes nothing any more.
_WITHDRAW = (
    "DELETE FROM collector.claim WHERE slot = ANY ($1::timestamptz[]) AND target = ANY ($2::smallint[])"
)
_CLOSE = """
UPDATE collector.sweep
SET ended_at = clock_timestamp()
WHERE slot = ANY ($1::timestamptz[]) AND universe = $2 AND ended_at IS NULL
"""
_ACCOUNT = """
INSERT INTO collector.accounted AS a (schedule, until) VALUES ($1, $2)
ON CONFLICT (schedule) DO UPDATE SET until = GREATEST(a.until, EXCLUDED.until)
"""
_RUN_BEFORE = """
SELECT EXISTS (
    SELECT FROM collector.walk
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND NOT (status = 'missed' AND error = 'late')
      AND 'ahead_of_time' <> ALL (remarks)
)
"""
_SEEN = """
SELECT w.target, w.rows, COALESCE(w.digest = before.digest, false) AS is_same
FROM collector.walk AS w
LEFT JOIN LATERAL (
    SELECT e.digest
    FROM collector.walk AS e
    WHERE e.target = w.target AND e.slot < $3 AND e.slot > $3 - INTERVAL '20 days' AND e.status = 'complete'
    ORDER BY e.slot DESC
    LIMIT 1
) AS before ON true
WHERE w.slot = $1 AND w.target = ANY ($2::smallint[]) AND w.status = 'complete'
"""
# A list in which nothing was ever traded stays the same on any day.
_TRADED = """
SELECT EXISTS (
    SELECT FROM collector.snapshot
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND volume > 0
)
"""
_SUSPECTED = """
SELECT EXISTS (
    SELECT FROM collector.walk
    WHERE slot >= $1 AND slot < $2 AND 'stale' = ANY (remarks)
)
"""
# Also what was stored earlier on that day, while its opening was still too near to tell.
_SUSPECT = """
UPDATE collector.walk AS w
SET status = 'suspect', remarks = array_append(w.remarks, 'stale')
WHERE w.slot >= $3 AND w.slot <= $1 AND w.target = ANY ($2::smallint[]) AND w.status = 'complete'
  AND NOT w.remarks @> '{accepted}'
  AND w.digest = (
    SELECT e.digest
    FROM collector.walk AS e
    WHERE e.target = w.target AND e.slot < $3 AND e.slot > $3 - INTERVAL '20 days' AND e.status = 'complete'
    ORDER BY e.slot DESC
    LIMIT 1
  )
"""
_MAKE_DAYS = "SELECT collector.make_days($1, $2)"
# A walk of 15:23 that was committed at 06:23 does not show 15:23; the newest days are enough, since this is looked for
# at every start.
_SUSPECT_AHEAD = """
WITH marked AS (
    UPDATE collector.walk AS w
    SET status = 'suspect', remarks = array_append(w.remarks, $2)
    WHERE w.slot > $1::timestamptz - INTERVAL '7 days'
      AND (w.slot > $1 OR w.slot > w.committed_at + $3::interval)
      AND w.status IN ('complete', 'suspect') AND $2 <> ALL (w.remarks)
    RETURNING 1
)
SELECT count(*) FROM marked
"""
_FORGET_LINES = """
WITH forgotten AS (
    DELETE FROM collector.walk WHERE slot > $1 AND status IN ('failed', 'missed') RETURNING 1
)
SELECT count(*) FROM forgotten
"""
_FORGET_SWEEPS = """
DELETE FROM collector.sweep AS s
WHERE s.slot > $1 AND NOT EXISTS (SELECT FROM collector.walk AS w WHERE w.slot = s.slot)
"""
_FORGET_ACCOUNTS = """
WITH put_back AS (
    UPDATE collector.accounted SET until = $1 WHERE until > $1::timestamptz + $2::interval RETURNING 1
)
SELECT count(*) FROM put_back
"""
_OLDEST = "SELECT min(slot) FROM collector.walk"


class Forgotten(NamedTuple):
    """How much was taken back: lines without rows, walks that are suspect now, schedules that were put back."""

    lines: int = 0
    walks: int = 0
    schedules: int = 0


class SlotAccounting:
    """The books in the database, which lets only the lease's holder write."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def until(self, schedules: Sequence[str]) -> dict[str, datetime]:
        """How far each schedule is accounted for; those that never ran are not there."""
        await self._registry.refresh()
        async with self._database.connection("reading the accounts") as connection:
            rows = await connection.fetch(_UNTIL, schedules)
        return {row["schedule"]: row["until"] for row in rows}

    async def newest(self, targets: Collection[Target], until: datetime) -> list[datetime]:
        """The newest slots of which the ledger has anything for these targets, newest first."""
        async with self._database.connection("looking for the last slot") as connection:
            rows = await connection.fetch(_NEWEST, self._numbers(targets), until)
        return [row["slot"] for row in rows]

    async def account(self, schedule: str, until: datetime) -> None:
        """Every slot of the schedule up to `until` has its lines."""
        async with self._database.transaction("accounting") as connection:
            await connection.execute(_ACCOUNT, schedule, until)

    async def record_missed(
        self, slots: Sequence[datetime], universe: str, targets: Collection[Target], reason: str
    ) -> int:
        """Enter what the ledger lacks of these slots as missed; how many slot × targets that were."""
        await self._registry.register_targets(targets)
        async with self._database.transaction("entering misses") as connection:
            return await self._insert_missed(connection, slots, universe, targets, reason)

    async def settle(
        self, schedule: str, slot: datetime, universe: str, targets: Collection[Target], reason: str
    ) -> int:
        """A sweep has ended: what it left out is missed, and the schedule accounted for up to its slot."""
        await self._registry.refresh()
        async with self._database.transaction("settling a slot") as connection:
            missed = await self._insert_missed(connection, [slot], universe, targets, reason)
            await connection.execute(_ACCOUNT, schedule, slot)
            return missed

    async def has_run(self, slot: datetime, targets: Collection[Target]) -> bool:
        """Whether the ledger has more of a slot than that it was found too late."""
        async with self._database.connection("looking at a slot") as connection:
            return bool(await connection.fetchval(_RUN_BEFORE, slot, self._numbers(targets)))

    async def flag_stale(
        self, slot: datetime, targets: Collection[Target], exchanges: Collection[Exchange]
    ) -> bool:
        """Suspect the day's walks that show the session before, if all of the slot's do.

        True when that is news: the first time on that day.
        """
        midnight = datetime.combine(kst(slot).date(), time(), KST)
        numbers = self._numbers(targets)
        async with self._database.transaction("comparing with the session before") as connection:
            walks = await self._read_walks(connection, slot, numbers, midnight)
            if not is_stale(walks, exchanges) or not await connection.fetchval(_TRADED, slot, numbers):
                return False
            known = await connection.fetchval(_SUSPECTED, midnight, slot)
            await connection.execute(_SUSPECT, slot, numbers, midnight)
            return not known

    async def make_days(self, today: date) -> None:
        """Partitions for today and the days to come."""
        async with self._database.transaction("making partitions") as connection:
            await connection.fetchval(_MAKE_DAYS, today, AHEAD)

    async def keep_closings(self, calendar: Calendar, today: date) -> None:
        """When each trading day since the oldest walk closes, so that the view `daily` knows its closing walk."""
        async with self._database.connection("looking for the oldest walk") as connection:
            oldest: datetime | None = await connection.fetchval(_OLDEST)
        first = max(kst(oldest).date() if oldest else today, today - _KEPT)
        days = [first + timedelta(days=offset) for offset in range((today - first).days + AHEAD)]
        # A year of sessions takes a quarter of a second to work out, and sweeps run beside it.
        closing_rows = await asyncio.to_thread(lambda: list(closings(calendar, days)))
        await BarStore(self._database).keep_days(closing_rows)

    def retention(self, outages: Outages) -> Retention:
        """What drops old days; `outages` remembers which of its warnings were logged."""
        return Retention(self._database, outages.is_news)

    async def forget_ahead(self, now: datetime) -> Forgotten:
        """Take back what was written for a time that has not come, under a clock that was ahead.

        Lines without rows go, and the schedules are accounted for up to `now` at most. Walks with rows are
        observations, so they stay; they are suspect, and the sweep of their slot replaces them. So are walks of
        earlier slots that were committed before their slot, by the database's clock.
        Nothing is changed while the newest stored walk lies more than a day in the future: then it is not certain
        which of the clocks was wrong.
        """
        ahead = now + DISCIPLINED
        async with self._database.transaction("looking for slots of the future") as connection:
            if why_unsure(await witnesses(connection, now)):
                return Forgotten()
            walks = await connection.fetchval(_SUSPECT_AHEAD, ahead, Remark.AHEAD_OF_TIME, DISCIPLINED)
            lines = await connection.fetchval(_FORGET_LINES, ahead)
            await connection.execute(_FORGET_SWEEPS, ahead)
            schedules = await connection.fetchval(_FORGET_ACCOUNTS, now, DISCIPLINED)
        return Forgotten(lines, walks, schedules)

    async def _insert_missed(
        self,
        connection: Connection,
        slots: Sequence[datetime],
        universe: str,
        targets: Collection[Target],
        reason: str,
    ) -> int:
        await connection.execute(_WITHDRAW, slots, self._numbers(targets))
        status = await connection.execute(_MISS, slots, self._numbers(targets), reason)
        await connection.execute(_CLOSE, slots, universe)
        return int(status.rpartition(" ")[2])

    async def _read_walks(
        self, connection: Connection, slot: datetime, numbers: list[int], midnight: datetime
    ) -> Iterable[Seen]:
        names = {target_id: target for target, target_id in self._registry.targets.items()}
        rows = await connection.fetch(_SEEN, slot, numbers, midnight)
        return [Seen(names[row["target"]], row["rows"], row["is_same"]) for row in rows]

    def _numbers(self, targets: Collection[Target]) -> list[int]:
        known = self._registry.targets
        return [known[target] for target in targets if target in known]
