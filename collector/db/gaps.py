"""Finds slots × targets without a complete walk: the schedules ask for them, and the ledger lacks them.

The database computes one day at a time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from collector.base.remark_texts import Numbers, explain
from collector.db.pool import Connection
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, ScheduledSlot, merge_slots
from collector.model import KST, Target

# Days to look back for the newest day with slots.
_DAY = timedelta(days=1)
_LONG_AGO = 60

# Every expected slot × target without a complete walk, `absent` without a line. An `absent` target is left
# out while a sweep of its slot runs; after 30 minutes a sweep counts as broken off. Expected slots come as
# arrays, since schedules and calendar are not in the database.
_GAPS = """
SELECT s.slot, s.schedule, t.market, t.sector, t.exchange,
       COALESCE(w.status, 'absent') AS status,
       w.error, w.remarks, w.pages, w.rows, w.bad, w.expected
FROM unnest($1::timestamptz[], $2::text[], $3::text[]) AS s (slot, schedule, universe)
JOIN unnest($4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
     AS t (universe, market, sector, exchange, place) USING (universe)
LEFT JOIN collector.target AS known USING (market, sector, exchange)
LEFT JOIN collector.walk AS w ON w.slot = s.slot AND w.target = known.id
WHERE w.status IS DISTINCT FROM 'complete'
  AND NOT (w.status IS NULL AND EXISTS (
    SELECT FROM collector.sweep AS r
    WHERE r.slot = s.slot AND r.universe = s.universe
      AND r.ended_at IS NULL AND r.started_at > now() - INTERVAL '30 minutes'
  ))
ORDER BY s.slot, s.schedule, t.place
"""
# Counts of the slots' targets by status; an absent target of a running sweep counts as `under way`.
_COUNTS = """
SELECT expected.slot, expected.schedule, expected.status, count(*) AS targets
FROM (
    SELECT s.slot, s.schedule,
           CASE WHEN w.status IS NOT NULL THEN w.status
                WHEN r.slot IS NOT NULL THEN 'under way'
                ELSE 'absent' END AS status
    FROM unnest($1::timestamptz[], $2::text[], $3::text[]) AS s (slot, schedule, universe)
    JOIN unnest($4::text[], $5::text[], $6::text[], $7::text[])
         AS t (universe, market, sector, exchange) USING (universe)
    LEFT JOIN collector.target AS known USING (market, sector, exchange)
    LEFT JOIN collector.walk AS w ON w.slot = s.slot AND w.target = known.id
    LEFT JOIN collector.sweep AS r
         ON r.slot = s.slot AND r.universe = s.universe
        AND r.ended_at IS NULL AND r.started_at > now() - INTERVAL '30 minutes'
) AS expected
GROUP BY expected.slot, expected.schedule, expected.status
ORDER BY expected.slot, expected.schedule, expected.status
"""


class Gap(NamedTuple):
    """A slot × target not stored complete; `status` is `absent` without a line in the ledger."""

    slot: datetime
    schedule: str
    market: str
    sector: str
    exchange: str
    status: str
    reason: str


def _reason(row: Mapping[str, Any]) -> str:
    if row["error"] or not row["remarks"]:
        return row["error"] or "nothing is known of it"
    return explain(row["remarks"], Numbers(row["pages"], row["rows"], row["bad"], row["expected"]))


class StatusCount(NamedTuple):
    """The number of a slot's targets with one status; `under way`: a running sweep has still to reach them."""

    slot: datetime
    schedule: str
    status: str
    targets: int


@dataclass(frozen=True)
class GapFinder:
    """Compares the ledger with the schedules as they are written now."""

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]
    """By universe."""

    def slots(self, day: date, now: datetime) -> list[ScheduledSlot]:
        """Returns the day's slots due to have ended by now, without slots still allowed to begin."""
        midnight = datetime.combine(day, time(), KST)
        slots = merge_slots(self.schedules, self.calendar, midnight, midnight + _DAY)
        return [slot for slot in slots if slot.deadline <= now]

    def last_day(self, now: datetime) -> tuple[date, list[ScheduledSlot]] | None:
        """Returns the newest day with ended slots, and those slots; None without any in the last 60 days."""
        today = kst(now).date()
        for day in (today - days_ago * _DAY for days_ago in range(_LONG_AGO)):
            if slots := self.slots(day, now):
                return day, slots
        return None

    async def gaps(
        self, connection: Connection, first: date, last: date, now: datetime
    ) -> AsyncIterator[Gap]:
        """Yields the gaps from `first` to `last`, both days included, in time order."""
        for day in (first + offset * _DAY for offset in range((last - first).days + 1)):
            if slots := self.slots(day, now):
                for row in await connection.fetch(_GAPS, *self._columns(slots)):
                    yield Gap(**{name: row[name] for name in Gap._fields[:-1]}, reason=_reason(row))

    async def counts(self, connection: Connection, slots: Sequence[ScheduledSlot]) -> list[StatusCount]:
        """Counts the targets of these slots by status."""
        return [StatusCount(*row) for row in await connection.fetch(_COUNTS, *self._columns(slots))]

    def _columns(self, slots: Sequence[ScheduledSlot]) -> tuple[list[object], ...]:
        universes = {slot.universe for slot in slots}
        targets = [(name, *target) for name in universes for target in self.targets[name]]
        asked = [(slot.at, slot.schedule, slot.universe) for slot in slots]
        return tuple(map(list, (*zip(*asked, strict=True), *zip(*targets, strict=True))))
