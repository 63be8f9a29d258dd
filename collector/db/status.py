"""Reads the data of `collector status`: the database, the daemon and the day, as plain values."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from collector.config import Config, build_timetable
from collector.db import outlook
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.gaps import StatusCount, count_statuses
from collector.db.outlook import Outlook
from collector.db.pool import Connection
from collector.market import sectors
from collector.market.calendar import Calendar, kst
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable
from collector.ratelimit.permits import RETESTED_EVERY

# The ten newest slots with the counts of their targets by status. The limit comes before the join, so only
# ten slots of the ledger are read.
_SWEEPS = """
SELECT s.slot, s.universe, s.ended,
       count(*) FILTER (WHERE w.status = 'complete') AS complete,
       count(*) FILTER (WHERE w.status = 'suspect') AS suspect,
       count(*) FILTER (WHERE w.status = 'failed') AS failed,
       count(*) FILTER (WHERE w.status = 'missed') AS missed,
       COALESCE(sum(w.rows), 0)::bigint AS rows
FROM (
    SELECT slot, string_agg(universe, ', ' ORDER BY universe) AS universe, bool_and(ended_at IS NOT NULL) AS ended
    FROM collector.sweep
    GROUP BY slot
    ORDER BY slot DESC
    LIMIT 10
) AS s
LEFT JOIN collector.walk AS w ON w.slot = s.slot
GROUP BY s.slot, s.universe, s.ended
ORDER BY s.slot DESC
"""
# Size and extent of the stored data.
_DATABASE = """
SELECT pg_database_size(current_database()) AS bytes,
       (SELECT min(slot) FROM collector.walk) AS oldest,
       (SELECT max(slot) FROM collector.walk) AS newest,
       (SELECT count(*) FROM collector.quarantine) AS quarantined,
       (SELECT kind FROM collector.origin) AS source
"""
# The first and the last day with a partition. Partitions are created ahead, so days without rows are cut off.
_DAYS = """
SELECT min(day) AS oldest_day, max(day) AS newest_day
FROM (
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'collector.snapshot'::regclass AND c.relname ~ '^snapshot_[0-9]{8}$'
) AS days
WHERE day <= (SELECT (max(slot) AT TIME ZONE 'Asia/Seoul')::date FROM collector.walk WHERE rows > 0)
"""
# Extent and size of the archive; restored days are in the database again.
_ARCHIVE_DAYS = """
SELECT min(day) AS oldest_archived, max(day) AS newest_archived,
       COALESCE(sum(rows), 0)::bigint AS archived_rows, COALESCE(sum(bytes), 0)::bigint AS archived_bytes
FROM collector.archive
WHERE restored_at IS NULL
"""
# Rates by key and api-id. A learned rate not below the configured one has no effect, so it is not shown.
_QUOTA = """
SELECT q.key, q.api_id, $1::integer AS configured, q.granted AS learned, q.granted_at AS learned_at,
       q.granted_at + $2::interval AS retested_at, q.caution, q.refused_at,
       (SELECT count(*) FROM collector.place AS p
        WHERE p.key = q.key AND p.api_id = q.api_id AND p.free_at > clock_timestamp()) AS in_use
FROM (
    SELECT key, api_id, caution, refused_at,
           CASE WHEN $1::integer IS NULL OR granted < $1 THEN granted END AS granted,
           CASE WHEN $1::integer IS NULL OR granted < $1 THEN granted_at END AS granted_at
    FROM collector.quota
) AS q
ORDER BY q.api_id, q.key
"""
# The newest changes of ledger lines by later judgements and replays. Repairs are left out: they are many, and to find
# them takes the whole ledger.
_CHANGES = """
SELECT h.slot, h.market, h.sector, h.exchange, h.changed_at, h.event, h.changed_by, h.status AS status_before, w.status
FROM walk_history AS h
LEFT JOIN walk AS w USING (slot, market, sector, exchange)
WHERE h.event <> 'repaired' AND h.changed_at > clock_timestamp() - INTERVAL '7 days'
ORDER BY h.changed_at DESC, h.slot DESC
LIMIT 5
"""
# The newest token and its age by the database's clock.
_ISSUED = """
SELECT issued_at, expires_at, floor(extract(epoch FROM clock_timestamp() - issued_at))::bigint AS age_seconds
FROM collector.token
WHERE issued_at IS NOT NULL
ORDER BY issued_at DESC
LIMIT 1
"""
# Running claims by host and key. The host is the first part of the process token.
_RUNNING_CLAIMS = """
SELECT split_part(holder, '/', 1) AS host, key, count(*) AS walks
FROM collector.claim
WHERE expires_at > clock_timestamp()
GROUP BY host, key
ORDER BY host, key
"""
# How far each schedule is accounted for.
_ACCOUNTED = "SELECT schedule, until FROM collector.accounted ORDER BY schedule"
# The lease; `is_held` is judged by the database's clock.
_LEASE = """
SELECT holder, epoch, taken_at, renewed_at, expires_at, expires_at > clock_timestamp() AS is_held
FROM collector.lease
WHERE name = 'sweeps'
"""


async def read_status(
    config: Config | None, calendar: Calendar, database: Database, now: datetime
) -> dict[str, Any]:
    """Returns the whole status; without configuration or schedules, only facts of the database."""
    table = await Registry(database).sectors() or sectors.bundled_sectors()
    async with database.connection("reading the status", timeout=60) as connection:
        report = await _read_stored(connection, config.api.requests_per_second if config else None)
        report |= {
            "clocks": _clocks(await outlook.look(connection, datetime.now(UTC))),
            "schedules": [],
            "calendar": _knowledge(calendar, now),
            "last_slot": None,
            "next_slot": None,
            "day": None,
        }
        if config and config.schedules:
            timetable = build_timetable(config, calendar, table)
            report["schedules"] = [schedule.name for schedule in config.schedules]
            report["next_slot"] = _slot(timetable.next(now))
            report |= await _last_day(timetable, connection, now, since=report["oldest"])
    return {"address": str(database.address), **report}


async def quotas(connection: Connection, configured: int | None) -> list[dict[str, Any]]:
    """Returns the rate of each key and api-id: configured, learned (if lower), and the time of the next test."""
    return [dict(row) for row in await connection.fetch(_QUOTA, configured, RETESTED_EVERY)]


async def _read_stored(connection: Connection, configured: int | None) -> dict[str, Any]:
    sweeps = [dict(row) for row in await connection.fetch(_SWEEPS)]
    rates = await quotas(connection, configured)
    in_use: Counter[str] = Counter()
    for rate in rates:
        in_use[rate["api_id"]] += rate["in_use"]
    learned = [rate for rate in rates if rate["learned"] is not None]
    return {
        **dict(await connection.fetchrow(_DATABASE)),
        **dict(await connection.fetchrow(_DAYS)),
        **dict(await connection.fetchrow(_ARCHIVE_DAYS)),
        "quota": rates,
        "quota_learnt": {rate["api_id"]: rate["learned"] for rate in learned},
        "quota_in_use": dict(in_use),
        "token": _or_none(await connection.fetchrow(_ISSUED)),
        "lease": _or_none(await connection.fetchrow(_LEASE)),
        "walking": [dict(row) for row in await connection.fetch(_RUNNING_CLAIMS)],
        "accounted": {row["schedule"]: row["until"] for row in await connection.fetch(_ACCOUNTED)},
        "sweeps": sweeps,
        "changes": [dict(row) for row in await connection.fetch(_CHANGES)],
    }


def _clocks(result: Outlook) -> dict[str, Any]:
    """Returns the three clocks and the announcement of retention."""
    return {
        "host": result.clocks.host,
        "database": result.clocks.database,
        "newest_received": result.clocks.newest,
        "ahead_seconds": round(result.ahead.total_seconds(), 3),
        "agree": not result.is_apart,
        "nothing_dropped_because": result.why_kept or None,
        "keep_days_announced": result.keep_days,
        "dropped_from": result.drops_from,
        "days_to_drop": result.days,
        "oldest_to_drop": result.oldest,
        "notices": list(result.lines()),
    }


def _or_none(row: Any) -> dict[str, Any] | None:
    return dict(row) if row else None


def _knowledge(calendar: Calendar, now: datetime) -> dict[str, Any]:
    today = kst(now).date()
    return {
        "known_from": calendar.coverage_start,
        "known_until": calendar.coverage_end,
        "sure_of_today": calendar.sure(today),
        "today": calendar.closed_reason(today) or "trading day",
    }


async def _last_day(
    timetable: Timetable, connection: Connection, now: datetime, *, since: datetime | None
) -> dict[str, Any]:
    """Returns counts of the newest day with ended slots, from the ledger's first slot on."""
    last = timetable.last_overdue_day(now)
    if last is None or since is None:
        return {}
    day, slots = last
    slots = [slot for slot in slots if slot.at >= since]
    counts = await count_statuses(connection, timetable, slots) if slots else []
    return {
        "day": {"date": day, "slots": len(slots), **_totals(counts)},
        "last_slot": _slot(slots[-1]) if slots else None,
    }


def _slot(slot: ScheduledSlot | None) -> dict[str, Any] | None:
    return slot and {"slot": slot.at, "schedule": slot.schedule, "universe": slot.universe}


def _totals(counts: Sequence[StatusCount]) -> dict[str, int]:
    """Adds up slots × targets by status; every status is present."""
    totals: Counter[str] = Counter()
    for count in counts:
        totals[count.status] += count.targets
    names = ("complete", "suspect", "failed", "missed", "absent", "under way")
    return {name.replace(" ", "_"): totals[name] for name in names}
