"""What the schedules asked for and the ledger does not have whole, computed by the database a day at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from collector.base.remark_texts import Numbers, explain
from collector.db.pool import Connection
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, ScheduledSlot, merge_slots
from collector.model import KST, Target

_DAY = timedelta(days=1)
_LONG_AGO = 60

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
_COUNTS = """
SELECT found.slot, found.schedule, found.status, count(*) AS targets
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
) AS found
GROUP BY found.slot, found.schedule, found.status
ORDER BY found.slot, found.schedule, found.status
"""


class Gap(NamedTuple):
    """A slot × target that is not stored complete; `status` is `absent` where the ledger has no line."""

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
    """How many of a slot's targets ended that way; `under way` where a sweep has still to get to them."""

    slot: datetime
    schedule: str
    status: str
    targets: int


@dataclass(frozen=True)
class GapFinder:
    """Which slots × targets there should be: those of the schedules, as they are written now."""

    schedules: Sequence[Schedule]
    calendar: Calendar
    targets: Mapping[str, Sequence[Target]]
    """By universe."""

    def slots(self, day: date, now: datetime) -> list[ScheduledSlot]:
        """The day's slots that should have ended by now: later ones, and those that may still begin, are none."""
        midnight = datetime.combine(day, time(), KST)
        slots = merge_slots(self.schedules, self.calendar, midnight, midnight + _DAY)
        return [slot for slot in slots if slot.deadline <= now]

    def last_day(self, now: datetime) -> tuple[date, list[ScheduledSlot]] | None:
        """The newest day with slots that should have ended, and those slots; None if there is none for long."""
        today = kst(now).date()
        for day in (today - days_ago * _DAY for days_ago in range(_LONG_AGO)):
            if slots := self.slots(day, now):
                return day, slots
        return None

    async def gaps(
        self, connection: Connection, first: date, last: date, now: datetime
    ) -> AsyncIterator[Gap]:
        """What is not complete from one day to another, both included, in time order."""
        for day in (first + offset * _DAY for offset in range((last - first).days + 1)):
            if slots := self.slots(day, now):
                for row in await connection.fetch(_GAPS, *self._columns(slots)):
                    yield Gap(**{name: row[name] for name in Gap._fields[:-1]}, reason=_reason(row))

    async def counts(self, connection: Connection, slots: Sequence[ScheduledSlot]) -> list[StatusCount]:
        """These slots' targets by how they ended."""
        return [StatusCount(*row) for row in await connection.fetch(_COUNTS, *self._columns(slots))]

    def _columns(self, slots: Sequence[ScheduledSlot]) -> tuple[list[object], ...]:
        universes = {slot.universe for slot in slots}
        targets = [(name, *target) for name in universes for target in self.targets[name]]
        asked = [(slot.at, slot.schedule, slot.universe) for slot in slots]
        return tuple(map(list, (*zip(*asked, strict=True), *zip(*targets, strict=True))))
