"""Stores the events of notices, and the messages sent about them.

Every process may write here, the leader or not: a unique index makes one row of the same event noticed twice,
and a message is claimed before it is sent. So no message is sent by two processes, and a restart repeats none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from collector.db.database import Database
from collector.model import Target

Facts = Mapping[str, Any]
"""Values of a message: texts, numbers, lists of texts."""

_CLAIMED_FOR = timedelta(minutes=3)
"""A claim of a process that died ends after this time. It is longer than one round of sending."""
_TOLD_WITHIN = timedelta(days=1)
"""An older event is not told any more."""
_PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
"""Between two rounds of sending that no service accepted. After the last one the message is given up."""
_SAMPLES_KEPT = timedelta(days=14)

# The events that last, of one kind; a subject is the prefix itself or begins with it and a blank.
_LASTING = """
SELECT id, kind, subject, began_at, facts::text AS facts
FROM collector.notice
WHERE ended_at IS NULL AND kind = ANY ($1::text[])
  AND ($2::text = '' OR subject = $2 OR starts_with(subject, $2 || ' '))
"""
# `quiet_until` is set if the same event was told within $5 before now, or is being told.
_BEGIN = """
INSERT INTO collector.notice (kind, subject, began_at, facts, quiet_until)
SELECT $1, $2, $3, $4::jsonb,
       (SELECT max(COALESCE(o.told_at, o.noted_at)) + $5::interval FROM collector.notice AS o
        WHERE o.kind = $1 AND o.subject = $2
          AND (o.told_at > clock_timestamp() - $5::interval
               OR (o.told_at IS NULL AND o.quiet_until IS NULL AND o.noted_at > clock_timestamp() - $5::interval)))
ON CONFLICT (kind, subject) WHERE ended_at IS NULL DO NOTHING
"""
# The end of an event that was never to be told needs no message, and neither does an unwanted one. A message that
# is being sent stays claimed.
_END = """
UPDATE collector.notice
SET ended_at = GREATEST($2::timestamptz, began_at),
    facts = facts || $3::jsonb,
    next_try_at = CASE WHEN told_at IS NULL THEN next_try_at ELSE '-infinity' END,
    tries = CASE WHEN told_at IS NULL THEN tries ELSE 0 END,
    end_told_at = CASE WHEN NOT $4 OR (told_at IS NULL AND quiet_until IS NOT NULL) THEN clock_timestamp() END
WHERE id = $1 AND ended_at IS NULL
"""
# An event of one moment, once for its subject.
_BEGIN_AND_END = """
INSERT INTO collector.notice (kind, subject, began_at, facts, ended_at)
SELECT $1, $2, $3, $4::jsonb, $3
WHERE NOT EXISTS (SELECT FROM collector.notice AS o WHERE o.kind = $1 AND o.subject = $2)
"""
# Messages that are due, claimed for this process. SKIP LOCKED lets two processes claim at the same moment.
_CLAIM = """
UPDATE collector.notice AS n
SET next_try_at = clock_timestamp() + $1::interval
FROM (
    SELECT id FROM collector.notice
    WHERE GREATEST(noted_at, quiet_until, ended_at) > clock_timestamp() - $2::interval
      AND next_try_at <= clock_timestamp() AND tries < $3
      AND ((told_at IS NULL AND (quiet_until IS NULL OR (quiet_until <= clock_timestamp() AND ended_at IS NULL)))
           OR (told_at IS NOT NULL AND ended_at IS NOT NULL AND end_told_at IS NULL))
    ORDER BY id
    LIMIT 50
    FOR UPDATE SKIP LOCKED
) AS due
WHERE n.id = due.id
RETURNING n.id, n.kind, n.subject, n.began_at, n.facts::text AS facts, n.ended_at, n.told_at
"""
_TOLD = """
UPDATE collector.notice
SET told_at = COALESCE(told_at, clock_timestamp()),
    end_told_at = CASE WHEN $2 THEN clock_timestamp() ELSE end_told_at END,
    tries = 0, next_try_at = '-infinity'
WHERE id = $1
"""
_NOT_TOLD = """
UPDATE collector.notice
SET tries = tries + 1, next_try_at = clock_timestamp() + ($2::interval[])[LEAST(tries + 1, cardinality($2))]
WHERE id = ANY ($1::bigint[])
"""
_RECENT = """
SELECT id, kind, subject, began_at, facts::text AS facts, ended_at, told_at
FROM collector.notice
ORDER BY ended_at IS NULL DESC, id DESC
LIMIT $1
"""
# The lines of a slot for these targets.
_LINES = """
SELECT w.status, COALESCE(w.error, '') AS error, w.remarks, w.corroboration, w.rows,
       t.market || '/' || t.sector || '/' || t.exchange AS target
FROM unnest($2::text[], $3::text[], $4::text[]) AS s (market, sector, exchange)
JOIN collector.target AS t ON t.market = s.market AND t.sector = s.sector AND t.exchange = s.exchange
JOIN collector.walk AS w ON w.slot = $1 AND w.target = t.id
"""
# Lines and complete walks of several slots; a slot without a line is not in the result.
_COUNTS = """
SELECT s.slot, count(*) AS lines, count(*) FILTER (WHERE w.status = 'complete') AS complete
FROM unnest($1::timestamptz[]) AS s (slot)
CROSS JOIN unnest($2::text[], $3::text[], $4::text[]) AS u (market, sector, exchange)
JOIN collector.target AS t ON t.market = u.market AND t.sector = u.sector AND t.exchange = u.exchange
JOIN collector.walk AS w ON w.slot = s.slot AND w.target = t.id
GROUP BY s.slot
"""
_LOWERED = """
SELECT key, api_id, granted, granted_at
FROM collector.quota
WHERE granted < $1
ORDER BY key, api_id
"""
_DAY = """
SELECT status, count(*) AS walks, COALESCE(sum(rows), 0)::bigint AS rows
FROM collector.walk
WHERE slot >= $1 AND slot < $2
GROUP BY status
"""
# A sample an hour; a process that asks earlier changes nothing.
_SAMPLE = """
INSERT INTO collector.disk_sample (host, free_bytes)
SELECT $1, $2
WHERE NOT EXISTS (
    SELECT FROM collector.disk_sample
    WHERE host = $1 AND taken_at > clock_timestamp() - INTERVAL '55 minutes' AND taken_at <= clock_timestamp()
)
"""
_FORGET_SAMPLES = "DELETE FROM collector.disk_sample WHERE taken_at < clock_timestamp() - $1::interval"
_SAMPLES = """
SELECT taken_at, free_bytes
FROM collector.disk_sample
WHERE host = $1 AND taken_at > clock_timestamp() - INTERVAL '7 days'
ORDER BY taken_at
"""


@dataclass(frozen=True)
class Notice:
    """An event with its message's values. `ended_at` is None while it lasts, `told_at` before its message."""

    id: int
    kind: str
    subject: str
    began_at: datetime
    facts: Facts = field(default_factory=dict)
    ended_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(frozen=True)
class NoticedWalk:
    """The ledger's line of one slot × target."""

    status: str
    error: str
    remarks: Sequence[str]
    corroboration: str
    rows: int
    target: str


@dataclass(frozen=True)
class LoweredQuota:
    """A rate below the configured one, by the digest of its key, and since when the server grants it."""

    key: str
    api_id: str
    granted: int
    since: datetime


class NoticeStore:
    """The events of one database, and the figures that they are derived from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lasting(self, kinds: Sequence[str], subject: str = "") -> list[Notice]:
        """The events that last, of these kinds; with `subject`, of it or of one that begins with it and a blank."""
        async with self._database.connection("reading notices") as connection:
            return [_notice(row) for row in await connection.fetch(_LASTING, kinds, subject)]

    async def change(
        self,
        begun: Iterable[Notice],
        ended: Iterable[tuple[int, datetime, Facts]],
        *,
        quiet: timedelta,
        tells_end: bool,
    ) -> None:
        """Store the events that begin, and the id, time and further facts of those that end, in one transaction."""
        async with self._database.transaction("writing notices") as connection:
            for notice in begun:
                await connection.execute(
                    _BEGIN, notice.kind, notice.subject, notice.began_at, json.dumps(notice.facts), quiet
                )
            for notice_id, at, facts in ended:
                await connection.execute(_END, notice_id, at, json.dumps(facts), tells_end)

    async def add_once(self, kind: str, subject: str, at: datetime, facts: Facts) -> None:
        """Store an event of one moment, unless there is one of this kind and subject."""
        async with self._database.transaction("writing a notice") as connection:
            await connection.execute(_BEGIN_AND_END, kind, subject, at, json.dumps(facts))

    async def claim_due(self) -> list[Notice]:
        """The events whose message is due, for this process alone for the next three minutes."""
        async with self._database.transaction("claiming notices") as connection:
            rows = await connection.fetch(_CLAIM, _CLAIMED_FOR, _TOLD_WITHIN, len(_PAUSES) + 1)
        return sorted(map(_notice, rows), key=lambda notice: notice.id)

    async def mark_told(self, notices: Iterable[Notice]) -> None:
        """Note that a service accepted the message, which was about the end if the event had ended."""
        async with self._database.transaction("writing told notices") as connection:
            for notice in notices:
                await connection.execute(_TOLD, notice.id, notice.ended_at is not None)

    async def mark_untold(self, notices: Iterable[Notice]) -> None:
        """Note that no service accepted the message; it is due again after a pause, four times at most."""
        async with self._database.transaction("writing untold notices") as connection:
            await connection.execute(_NOT_TOLD, [notice.id for notice in notices], list(_PAUSES))

    async def recent(self, limit: int) -> list[Notice]:
        """The newest events, those that last first."""
        async with self._database.connection("reading notices") as connection:
            return [_notice(row) for row in await connection.fetch(_RECENT, limit)]

    async def slot_lines(self, slot: datetime, targets: Sequence[Target]) -> list[NoticedWalk]:
        """The ledger's lines of a slot for these targets."""
        async with self._database.connection("reading a slot") as connection:
            return [
                NoticedWalk(
                    row["status"],
                    row["error"],
                    tuple(row["remarks"]),
                    row["corroboration"],
                    row["rows"],
                    row["target"],
                )
                for row in await connection.fetch(_LINES, slot, *_columns(targets))
            ]

    async def complete_counts(
        self, slots: Sequence[datetime], targets: Sequence[Target]
    ) -> dict[datetime, int]:
        """The number of complete walks of each slot. A slot without any line is not in the result."""
        async with self._database.connection("counting slots") as connection:
            rows = await connection.fetch(_COUNTS, slots, *_columns(targets))
        return {row["slot"]: row["complete"] for row in rows}

    async def lowered_quotas(self, configured: int) -> list[LoweredQuota]:
        """The rates that the server grants below the configured one."""
        async with self._database.connection("reading the quota") as connection:
            return [LoweredQuota(*row) for row in await connection.fetch(_LOWERED, configured)]

    async def day_totals(self, start: datetime, end: datetime) -> dict[str, tuple[int, int]]:
        """Walks and rows by status, of the slots in a period."""
        async with self._database.connection("counting a day") as connection:
            rows = await connection.fetch(_DAY, start, end)
        return {row["status"]: (row["walks"], row["rows"]) for row in rows}

    async def sample_disk(self, host: str, free_bytes: int) -> list[tuple[datetime, int]]:
        """Keep a sample of the free space, one an hour; return those of the last seven days, oldest first."""
        async with self._database.transaction("keeping a sample of the disk") as connection:
            await connection.execute(_SAMPLE, host, free_bytes)
            await connection.execute(_FORGET_SAMPLES, _SAMPLES_KEPT)
            return [(row["taken_at"], row["free_bytes"]) for row in await connection.fetch(_SAMPLES, host)]


def _columns(targets: Sequence[Target]) -> tuple[list[str], list[str], list[str]]:
    return (
        [str(target.market) for target in targets],
        [target.sector for target in targets],
        [str(target.exchange) for target in targets],
    )


def _notice(row: Any) -> Notice:
    values = dict(row)
    return Notice(
        values["id"],
        values["kind"],
        values["subject"],
        values["began_at"],
        json.loads(values["facts"]),
        values.get("ended_at"),
        values.get("told_at"),
    )
