"""Finds slots × targets without a complete walk: the schedules ask for them, and the ledger lacks them.

The database computes one day at a time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from collector.base.days import days_through
from collector.base.remark_texts import Numbers, explain
from collector.db.pool import Connection
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable

# Every expected slot × target without a complete walk, `absent` without a line. An `absent` target is left
# out while a sweep of its slot runs; after 30 minutes a sweep counts as broken off. Expected slots come as
# arrays, since schedules and calendar are not in the database. Before the ledger's first slot nothing is absent.
_GAPS = """
SELECT s.slot, s.schedule, t.market, t.sector, t.exchange,
       COALESCE(w.status, 'absent') AS status,
       w.error, w.remarks, w.pages, w.rows, w.bad, w.expected,
       (SELECT string_agg(
                   to_char(h.changed_at AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD HH24:MI') || ' ' || h.event
                   || CASE WHEN h.status <> w.status THEN ', was ' || h.status ELSE '' END,
                   '; ' ORDER BY h.changed_at
               )
        FROM walk_history AS h
        WHERE h.slot = s.slot AND (h.market, h.sector, h.exchange) = (t.market, t.sector, t.exchange)) AS history
FROM unnest($1::timestamptz[], $2::text[], $3::text[]) AS s (slot, schedule, universe)
JOIN unnest($4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
     AS t (universe, market, sector, exchange, place) USING (universe)
LEFT JOIN collector.target AS known USING (market, sector, exchange)
LEFT JOIN collector.walk AS w ON w.slot = s.slot AND w.target = known.id
WHERE w.status IS DISTINCT FROM 'complete'
  AND (w.status IS NOT NULL OR s.slot >= (SELECT min(slot) FROM collector.walk))
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
    WHERE w.status IS NOT NULL OR r.slot IS NOT NULL OR s.slot >= (SELECT min(slot) FROM collector.walk)
) AS expected
GROUP BY expected.slot, expected.schedule, expected.status
ORDER BY expected.slot, expected.schedule, expected.status
"""


class Gap(NamedTuple):
    """A slot × target not stored complete; `status` is `absent` without a line in the ledger.

    `history`: the changes of the line since its first judgement, with their times in Korea; "" if there are none.
    """

    slot: datetime
    schedule: str
    market: str
    sector: str
    exchange: str
    status: str
    reason: str
    history: str = ""


def _reason(row: Mapping[str, Any]) -> str:
    if row["error"] or not row["remarks"]:
        return row["error"] or "nothing is known of it"
    return explain(row["remarks"], Numbers(row["pages"], row["rows"], row["bad"], row["expected"]))


def _gap(row: Mapping[str, Any]) -> Gap:
    facts = {name: row[name] for name in ("slot", "schedule", "market", "sector", "exchange", "status")}
    return Gap(**facts, reason=_reason(row), history=row["history"] or "")


class StatusCount(NamedTuple):
    """The number of a slot's targets with one status; `under way`: a running sweep has still to reach them."""

    slot: datetime
    schedule: str
    status: str
    targets: int


async def find_gaps(
    connection: Connection, timetable: Timetable, first: date, last: date, now: datetime
) -> AsyncIterator[Gap]:
    """Yields the gaps from `first` to `last`, both days included, in time order.

    Only slots past their deadline count; the others are still allowed to begin.
    """
    for day in days_through(first, last):
        if slots := timetable.overdue(day, day, now):
            for row in await connection.fetch(_GAPS, *_columns(timetable, slots)):
                yield _gap(row)


async def count_statuses(
    connection: Connection, timetable: Timetable, slots: Sequence[ScheduledSlot]
) -> list[StatusCount]:
    """Counts the targets of these slots by status."""
    return [StatusCount(*row) for row in await connection.fetch(_COUNTS, *_columns(timetable, slots))]


def _columns(timetable: Timetable, slots: Sequence[ScheduledSlot]) -> tuple[list[object], ...]:
    """The parameters of both statements: the slots, and the targets of their universes."""
    universes = {slot.universe for slot in slots}
    targets = [(name, *target) for name in universes for target in timetable.targets[name]]
    due = [(slot.at, slot.schedule, slot.universe) for slot in slots]
    return tuple(map(list, (*zip(*due, strict=True), *zip(*targets, strict=True))))
