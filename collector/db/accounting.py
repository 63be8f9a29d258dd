"""Accounts for slots in the ledger: how far each schedule is complete, and which targets were missed.

Every due slot × target gets one line in the ledger. Walks write their own lines. This module adds the
remaining lines as `missed`, in bulk, and never overwrites an existing line.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from collector.base.clock import DISCIPLINED
from collector.base.days import ONE_DAY, day_start, days_between
from collector.base.outages import Outages
from collector.db.bars import BarStore
from collector.db.catalog import Registry
from collector.db.clocks import read_clocks, why_unsure
from collector.db.database import Database
from collector.db.pool import Connection
from collector.db.retention import Retention
from collector.market.calendar import Calendar, kst
from collector.market.stale import Seen, is_stale
from collector.market.visibility import closings
from collector.model import Exchange, Remark, Target

AHEAD = 9
"""Number of days to create partitions for, today included: still a week ahead if the last run was a day ago."""
_CLOSINGS_FOR = timedelta(days=400)
"""How far back the closing times of trading days are written again, since the calendar may have been corrected."""

# How far each of these schedules is accounted for.
_UNTIL = "SELECT schedule, until FROM collector.accounted WHERE schedule = ANY ($1::text[])"
# The newest slots of these targets in the ledger; the limit bounds the answer.
_NEWEST = """
SELECT DISTINCT slot
FROM collector.walk
WHERE target = ANY ($1::smallint[]) AND slot <= $2
ORDER BY slot DESC
LIMIT 500
"""
# Adds missing lines of slots × targets. An existing line wins: a walk may have been stored meanwhile.
_INSERT_MISSED = """
INSERT INTO collector.walk (slot, target, status, error)
SELECT s.slot, t.target, 'missed', $3
FROM unnest($1::timestamptz[]) AS s (slot)
CROSS JOIN unnest($2::smallint[]) AS t (target)
ON CONFLICT DO NOTHING
"""
# Removes the claims of these slots, so a process still walking such a target cannot store its walk any more.
_CANCEL_CLAIMS = (
    "DELETE FROM collector.claim WHERE slot = ANY ($1::timestamptz[]) AND target = ANY ($2::smallint[])"
)
# Marks the sweeps of these slots as ended: all their lines are written now, so nothing is left to resume.
_END_SWEEPS = """
UPDATE collector.sweep
SET ended_at = clock_timestamp()
WHERE slot = ANY ($1::timestamptz[]) AND universe = $2 AND ended_at IS NULL
"""
# Moves a schedule's account forward. GREATEST keeps a late writer from moving it back.
_ACCOUNT = """
INSERT INTO collector.accounted AS a (schedule, until) VALUES ($1, $2)
ON CONFLICT (schedule) DO UPDATE SET until = GREATEST(a.until, EXCLUDED.until)
"""
# A line `missed`/`late` is no trace of a run, and neither is a walk stored under a clock that was ahead.
_HAS_RUN = """
SELECT EXISTS (
    SELECT FROM collector.walk
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND NOT (status = 'missed' AND error = 'late')
      AND 'ahead_of_time' <> ALL (remarks)
)
"""
# The complete walks of a slot, each compared with the target's newest complete walk before midnight ($3). 20
# days reach back over any run of holidays.
_READ_WALKS = """
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
# True if any listing of these targets was traded. A list without any trade stays the same on every day.
_HAS_TRADED = """
SELECT EXISTS (
    SELECT FROM collector.snapshot
    WHERE slot = $1 AND target = ANY ($2::smallint[]) AND volume > 0
)
"""
# True if an earlier slot of the day was flagged already: the finding is not news then.
_IS_FLAGGED = """
SELECT EXISTS (
    SELECT FROM collector.walk
    WHERE slot >= $1 AND slot < $2 AND 'stale' = ANY (remarks)
)
"""
# Flags the day's walks equal to the newest one of an earlier day. Includes walks stored earlier on the day,
# when the opening was still too near for a judgement. An accepted walk is left alone.
_FLAG_STALE = """
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
# Creates the partitions of $2 days from day $1 on.
_MAKE_DAYS = "SELECT collector.make_days($1, $2)"
# Flags walks stored under a clock that was ahead: a walk of 15:23 committed at 06:23 does not show 15:23. The
# last seven days are enough, because the check runs at every start.
_FLAG_AHEAD = """
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
# Deletes future lines without rows. A line without rows carries no observation.
_DELETE_LINES_AHEAD = """
WITH forgotten AS (
    DELETE FROM collector.walk WHERE slot > $1 AND status IN ('failed', 'missed') RETURNING 1
)
SELECT count(*) FROM forgotten
"""
# Deletes future sweeps without any walk left.
_DELETE_SWEEPS_AHEAD = """
DELETE FROM collector.sweep AS s
WHERE s.slot > $1 AND NOT EXISTS (SELECT FROM collector.walk AS w WHERE w.slot = s.slot)
"""
# Moves schedules back to $1 if they are accounted for further ahead than a disciplined clock ($2) explains.
_MOVE_ACCOUNTS_BACK = """
WITH put_back AS (
    UPDATE collector.accounted SET until = $1 WHERE until > $1::timestamptz + $2::interval RETURNING 1
)
SELECT count(*) FROM put_back
"""
# Slot of the oldest walk.
_OLDEST_WALK = "SELECT min(slot) FROM collector.walk"


class Forgotten(NamedTuple):
    """Counts of the changes taken back: lines without rows, walks made suspect, schedules moved back."""

    lines: int = 0
    walks: int = 0
    schedules: int = 0


class SlotAccounting:
    """Reads and writes the accounts. Only the process with the lease may write, if the database is fenced."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def until(self, schedules: Sequence[str]) -> dict[str, datetime]:
        """Returns how far each schedule is accounted for. A schedule without any run is not in the result."""
        await self._registry.refresh()
        async with self._database.connection("reading the accounts") as connection:
            rows = await connection.fetch(_UNTIL, schedules)
        return {row["schedule"]: row["until"] for row in rows}

    async def newest(self, targets: Collection[Target], until: datetime) -> list[datetime]:
        """Returns up to 500 slots with lines for these targets, none after `until`, newest first."""
        async with self._database.connection("looking for the last slot") as connection:
            rows = await connection.fetch(_NEWEST, self._numbers(targets), until)
        return [row["slot"] for row in rows]

    async def account(self, schedule: str, until: datetime) -> None:
        """Records every slot of the schedule up to `until` as accounted for."""
        async with self._database.transaction("accounting") as connection:
            await connection.execute(_ACCOUNT, schedule, until)

    async def record_missed(
        self, slots: Sequence[datetime], universe: str, targets: Collection[Target], reason: str
    ) -> int:
        """Adds lines `missed` for slots × targets without a line; returns their count."""
        await self._registry.register_targets(targets)
        async with self._database.transaction("entering misses") as connection:
            return await self._insert_missed(connection, slots, universe, targets, reason)

    async def settle(
        self, schedule: str, slot: datetime, universe: str, targets: Collection[Target], reason: str
    ) -> int:
        """Closes the slot of a finished sweep: targets left out become missed, and the schedule is accounted
        up to the slot.

        Returns the count of missed targets.
        """
        await self._registry.refresh()
        async with self._database.transaction("settling a slot") as connection:
            missed = await self._insert_missed(connection, [slot], universe, targets, reason)
            await connection.execute(_ACCOUNT, schedule, slot)
            return missed

    async def has_run(self, slot: datetime, targets: Collection[Target]) -> bool:
        """Returns True if the ledger has more of a slot than the note `late`."""
        async with self._database.connection("looking at a slot") as connection:
            return bool(await connection.fetchval(_HAS_RUN, slot, self._numbers(targets)))

    async def flag_stale(
        self, slot: datetime, targets: Collection[Target], exchanges: Collection[Exchange]
    ) -> bool:
        """Makes the day's walks suspect if all walks of the slot repeat the session before.

        Returns True the first time on a day, False if nothing was flagged or the day was flagged already.
        """
        midnight = day_start(kst(slot).date())
        numbers = self._numbers(targets)
        async with self._database.transaction("comparing with the session before") as connection:
            walks = await self._read_walks(connection, slot, numbers, midnight)
            if not is_stale(walks, exchanges) or not await connection.fetchval(_HAS_TRADED, slot, numbers):
                return False
            known = await connection.fetchval(_IS_FLAGGED, midnight, slot)
            await connection.execute(_FLAG_STALE, slot, numbers, midnight)
            return not known

    async def make_days(self, today: date) -> None:
        """Creates the partitions of today and the days to come."""
        async with self._database.transaction("making partitions") as connection:
            await connection.fetchval(_MAKE_DAYS, today, AHEAD)

    async def keep_closings(self, calendar: Calendar, today: date) -> None:
        """Stores closing times of trading days since the oldest walk, for the closing walks of the view `daily`."""
        async with self._database.connection("looking for the oldest walk") as connection:
            oldest: datetime | None = await connection.fetchval(_OLDEST_WALK)
        first = max(kst(oldest).date() if oldest else today, today - _CLOSINGS_FOR)
        days = list(days_between(first, today + AHEAD * ONE_DAY))
        # A year of sessions takes a quarter of a second, so a thread computes it: sweeps share the loop.
        closing_rows = await asyncio.to_thread(lambda: list(closings(calendar, days)))
        await BarStore(self._database).keep_days(closing_rows)

    def retention(self, outages: Outages) -> Retention:
        """Returns the retention of old days; `outages` remembers the warnings logged so far."""
        return Retention(self._database, outages.is_news)

    async def forget_ahead(self, now: datetime) -> Forgotten:
        """Takes back records of the future, written while a clock was ahead.

        Lines without rows are deleted, and the schedules are accounted for up to `now` at most. Walks with
        rows are observations and stay; they become suspect, and the sweep of their slot replaces them. The
        same holds for walks of earlier slots committed before their slot by the database's clock.

        Changes nothing while the newest stored walk lies more than a day in the future: it is not certain
        then which of the clocks was wrong.
        """
        ahead = now + DISCIPLINED
        async with self._database.transaction("looking for slots of the future") as connection:
            if why_unsure(await read_clocks(connection, now)):
                return Forgotten()
            walks = await connection.fetchval(_FLAG_AHEAD, ahead, Remark.AHEAD_OF_TIME, DISCIPLINED)
            lines = await connection.fetchval(_DELETE_LINES_AHEAD, ahead)
            await connection.execute(_DELETE_SWEEPS_AHEAD, ahead)
            schedules = await connection.fetchval(_MOVE_ACCOUNTS_BACK, now, DISCIPLINED)
        return Forgotten(lines, walks, schedules)

    async def _insert_missed(
        self,
        connection: Connection,
        slots: Sequence[datetime],
        universe: str,
        targets: Collection[Target],
        reason: str,
    ) -> int:
        await connection.execute(_CANCEL_CLAIMS, slots, self._numbers(targets))
        status = await connection.execute(_INSERT_MISSED, slots, self._numbers(targets), reason)
        await connection.execute(_END_SWEEPS, slots, universe)
        return int(status.rpartition(" ")[2])

    async def _read_walks(
        self, connection: Connection, slot: datetime, numbers: list[int], midnight: datetime
    ) -> Iterable[Seen]:
        names = {target_id: target for target, target_id in self._registry.targets.items()}
        rows = await connection.fetch(_READ_WALKS, slot, numbers, midnight)
        return [Seen(names[row["target"]], row["rows"], row["is_same"]) for row in rows]

    def _numbers(self, targets: Collection[Target]) -> list[int]:
        known = self._registry.targets
        return [known[target] for target in targets if target in known]
