"""Which days may leave the database, those that are over and accounted for, and which have left it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from collector.archive.day_walks import bounds
from collector.archive.file import ArchiveFile
from collector.db.pool import Connection
from collector.errors import ArchiveError
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, merge_slots
from collector.market.visibility import visible_until
from collector.model import Exchange

ABANDONED = timedelta(days=1)
"""After that, nothing takes up a sweep that has not ended."""

_DAYS = """
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'collector.snapshot'::regclass
  AND c.relname ~ '^snapshot_[0-9]{8}$'
  AND to_date(right(c.relname, 8), 'YYYYMMDD') < $1
ORDER BY day
"""
_RESTORED = "SELECT DISTINCT day FROM collector.archive WHERE restored_at IS NOT NULL"
_NOTED = "SELECT exchange, file, digest FROM collector.archive WHERE day = $1 ORDER BY exchange"
_OPEN = """
SELECT slot, universe
FROM collector.sweep
WHERE slot >= $1 AND slot < $2 AND ended_at IS NULL
UNION
SELECT slot, 'claimed'
FROM collector.claim
WHERE slot >= $1 AND slot < $2
ORDER BY slot, universe
"""
_ACCOUNTED = "SELECT schedule, until FROM collector.accounted"


async def list_before(connection: Connection, first: date) -> list[date]:
    """The days before `first` that have a partition, oldest first."""
    return [row["day"] for row in await connection.fetch(_DAYS, first)]


async def list_restored(connection: Connection) -> set[date]:
    """Days that were brought back, and are in files as well."""
    return {row["day"] for row in await connection.fetch(_RESTORED)}


class ArchiveRecord(NamedTuple):
    """What the database keeps of an archived file: where it was put, and the digest of its rows."""

    exchange: str
    path: Path
    digest: str


async def list_archived(connection: Connection, day: date) -> list[ArchiveRecord]:
    """The day's files as they were archived, by exchange."""
    rows = await connection.fetch(_NOTED, day)
    return [ArchiveRecord(row["exchange"], Path(row["file"]), row["digest"]) for row in rows]


async def list_files(connection: Connection, day: date) -> list[Path]:
    """Where the day's files were put, if all of them are still there."""
    paths = [record.path for record in await list_archived(connection, day)]
    return paths if all(path.is_file() for path in paths) else []


def refuse_another(opened: ArchiveFile, day: date, digest: str | None) -> None:
    """ArchiveError unless a file is of that day and holds the rows with this digest; None: none was noted."""
    facts = opened.facts
    if facts.day != day:
        raise ArchiveError(f"{opened.path} holds rows of {facts.day}, not of {day}")
    if digest not in (None, facts.digest):
        raise ArchiveError(
            f"{opened.path} holds other rows of {day} than were archived from this database",
            hint="it may be the file of another collector",
        )


async def why_open(
    connection: Connection,
    day: date,
    schedules: Sequence[Schedule],
    calendar: Calendar,
    now: datetime,
    *,
    forgive: bool,
) -> str:
    """Why something may still be written for a day, "" if nothing will.

    `forgive`: what has not ended for a day is abandoned, not open. A day that is on show is not forgiven: a
    late walk of it would leave a ledger that its files do not fit.
    """
    if on_show := _why_on_show(day, schedules, calendar, now):
        return on_show
    unended = await connection.fetch(_OPEN, *bounds(day))
    for row in unended:
        if not (forgive and row["slot"] < now - ABANDONED):
            return f"its sweep of {_kst(row['slot'])} KST ({row['universe']}) has not ended"
    if forgive:
        return ""
    until = {row["schedule"]: row["until"] for row in await connection.fetch(_ACCOUNTED)}
    for slot in merge_slots(
        [schedule for schedule in schedules if schedule.name in until], calendar, *bounds(day)
    ):
        if slot.at > until[slot.schedule]:
            return f"its slot {_kst(slot.at)} KST ({slot.schedule}) is not accounted for"
    return ""


def _why_on_show(day: date, schedules: Sequence[Schedule], calendar: Calendar, now: datetime) -> str:
    """Which slot of a day may be walked late, as `backfill` does until the next session opens; "" if none."""
    for slot in merge_slots(schedules, calendar, *bounds(day)):
        ends = [end for exchange in Exchange if (end := visible_until(calendar, exchange, slot.at))]
        until = max(ends, default=now)
        if until > now:
            return (
                f"its slot {_kst(slot.at)} KST ({slot.schedule}) is on show until"
                f" {kst(until):%Y-%m-%d %H:%M} KST, and may be walked again"
            )
    return ""


def _kst(at: datetime) -> str:
    return f"{kst(at):%H:%M:%S}"
