"""The state of days: which may leave the database (finished and accounted for), and which are archived."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from collector.archive.file import ArchiveFile, reading
from collector.archive.store import Location, Locator, store_of
from collector.base.days import day_bounds
from collector.db.pool import Connection
from collector.errors import ArchiveError
from collector.market.calendar import Calendar, kst
from collector.market.schedule import Schedule, merge_slots
from collector.market.visibility import visible_until
from collector.model import Exchange

ABANDONED = timedelta(days=1)
"""An unfinished sweep older than this is abandoned: no program resumes it."""

# Days with a partition before $1. The partition's name gives the day, so no row is read.
_DAYS = """
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'collector.snapshot'::regclass
  AND c.relname ~ '^snapshot_[0-9]{8}$'
  AND to_date(right(c.relname, 8), 'YYYYMMDD') < $1
ORDER BY day
"""
# Days restored from files.
_RESTORED = "SELECT DISTINCT day FROM collector.archive WHERE restored_at IS NOT NULL"
# The files of an archived day.
_NOTED = "SELECT exchange, file, digest FROM collector.archive WHERE day = $1 ORDER BY exchange"
# Unfinished sweeps and claimed walks of a day.
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
# How far each schedule is accounted for.
_ACCOUNTED = "SELECT schedule, until FROM collector.accounted"


async def list_before(connection: Connection, first: date) -> list[date]:
    """Returns the days before `first` with a partition, oldest first."""
    return [row["day"] for row in await connection.fetch(_DAYS, first)]


async def list_restored(connection: Connection) -> set[date]:
    """Returns the days restored into the database; their files exist as well."""
    return {row["day"] for row in await connection.fetch(_RESTORED)}


class ArchiveRecord(NamedTuple):
    """An archived file as recorded in the database: its path, and the digest of its rows."""

    exchange: str
    path: Location
    digest: str


async def list_archived(connection: Connection, day: date, locate: Locator) -> list[ArchiveRecord]:
    """Returns the day's files as archived, by exchange."""
    rows = await connection.fetch(_NOTED, day)
    return [ArchiveRecord(row["exchange"], locate(row["file"]), row["digest"]) for row in rows]


async def list_files(connection: Connection, day: date, locate: Locator) -> list[Location]:
    """Returns the locations of the day's files, or nothing if any is missing."""
    paths = [record.path for record in await list_archived(connection, day, locate)]
    return paths if await asyncio.to_thread(are_there, paths) else []


def are_there(paths: Sequence[Location]) -> bool:
    """Returns True if all files exist; ArchiveError if their store does not answer."""
    return all(is_there(path) for path in paths)


def is_there(path: Location) -> bool:
    """Returns True if a file exists; ArchiveError if its store does not answer."""
    with reading(path):
        return store_of(path).is_file(path)


def refuse_another(opened: ArchiveFile, day: date, digest: str | None) -> None:
    """Raises ArchiveError unless a file is of this day and has this digest; None skips the digest."""
    facts = opened.facts
    if facts.day != day:
        raise ArchiveError(f"{opened.path} holds rows of {facts.day}, not of {day}")
    if digest not in (None, facts.digest):
        raise ArchiveError(
            f"{opened.path} holds other rows of {day} than the rows archived from this database",
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
    """Explains why rows of a day may still be written, "" if none will be.

    With `forgive`, sweeps unfinished for a day are abandoned, not open. A day still on display is never
    forgiven: a late walk of it would change the ledger, and the files would not fit it any more.
    """
    if on_show := _why_on_show(day, schedules, calendar, now):
        return on_show
    unended = await connection.fetch(_OPEN, *day_bounds(day))
    for row in unended:
        if not (forgive and row["slot"] < now - ABANDONED):
            return f"its sweep of {_kst(row['slot'])} KST ({row['universe']}) has not ended"
    if forgive:
        return ""
    until = {row["schedule"]: row["until"] for row in await connection.fetch(_ACCOUNTED)}
    for slot in merge_slots(
        [schedule for schedule in schedules if schedule.name in until], calendar, *day_bounds(day)
    ):
        if slot.at > until[slot.schedule]:
            return f"its slot {_kst(slot.at)} KST ({slot.schedule}) is not accounted for"
    return ""


def _why_on_show(day: date, schedules: Sequence[Schedule], calendar: Calendar, now: datetime) -> str:
    """Names a slot of the day `backfill` may still walk late, until the next session opens; "" without one."""
    for slot in merge_slots(schedules, calendar, *day_bounds(day)):
        ends = [end for exchange in Exchange if (end := visible_until(calendar, exchange, slot.at))]
        until = max(ends, default=now)
        if until > now:
            return (
                f"its slot {_kst(slot.at)} KST ({slot.schedule}) is still shown until"
                f" {kst(until):%Y-%m-%d %H:%M} KST, and may be walked again"
            )
    return ""


def _kst(at: datetime) -> str:
    return f"{kst(at):%H:%M:%S}"
