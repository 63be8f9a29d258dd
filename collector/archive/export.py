"""Exports the rows of any period: from the database if they are there, else from the archived files."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from datetime import date

from collector.archive import columns
from collector.archive.columns import ArchiveReader, Names, Table, Walks
from collector.archive.day_state import ArchiveRecord, are_there, list_archived, refuse_another
from collector.archive.day_walks import list_stored
from collector.archive.digest import Digest
from collector.archive.file import ArchiveFile
from collector.archive.read_rows import Listing, copy_batches, in_order, plan_batches, refuse_unless_all
from collector.archive.store import Locator
from collector.archive.write import LONGEST, PATIENT
from collector.base.days import day_bounds, days_through
from collector.base.prefetch import to_thread_uninterrupted
from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import ArchiveError

# True if the database has rows of the day.
_IS_KEPT = "SELECT EXISTS (SELECT FROM collector.snapshot WHERE slot >= $1 AND slot < $2)"


async def export_rows(
    database: Database, first: date, last: date, locate: Locator | None = None
) -> AsyncIterator[Table]:
    """Yields the rows from `first` to `last`, both included, with a file's columns: by day, exchange, listing
    and slot.

    ArchiveError if rows of a walk in the ledger are neither in the database nor in readable files.
    """
    for day in days_through(first, last):
        async with (
            database.connection(f"reading {day}", timeout=LONGEST) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(PATIENT)
            if await connection.fetchval(_IS_KEPT, *day_bounds(day)):
                async for shown in _from_database(connection, day):
                    yield shown
            elif await list_stored(connection, day):
                noted = await list_archived(connection, day, locate or Locator())
                for shown in _from_files(await to_thread_uninterrupted(_open_files, day, noted)):
                    yield shown


async def _from_database(connection: Connection, day: date) -> AsyncIterator[Table]:
    for stored in await list_stored(connection, day):
        walks, seen = Walks(stored.walks), list[Listing]()
        names = Names(stored.targets, seen)
        copied_rows = 0
        wanted = await plan_batches(connection, stored, walks, seen)
        async with aclosing(copy_batches(connection, wanted)) as copies:
            async for batch, copy in copies:
                copied_rows += len(copy)
                for rows, numbers in in_order(batch, copy):
                    yield columns.readable(rows, names, stored.exchange, walks, numbers)
        refuse_unless_all(stored, copied_rows)


def _open_files(day: date, noted: Sequence[ArchiveRecord]) -> list[ArchiveFile]:
    """Opens the files of a day. Each is checked against the recorded digest, not against its own metadata."""
    if not (noted and are_there([item.path for item in noted])):
        raise ArchiveError(
            f"the rows of {day} are archived, and their files are not at their recorded paths",
            hint='see `collector sql "SELECT * FROM archive"`',
        )
    files = [ArchiveFile(item.path) for item in noted]
    for opened, record in zip(files, noted, strict=True):
        refuse_another(opened, day, record.digest)
    return files


def _from_files(files: Sequence[ArchiveFile]) -> Iterator[Table]:
    """Yields the rows of files; ArchiveError if they are not those of the digest."""
    for opened in files:
        reader, digest = ArchiveReader(opened.facts.targets), Digest()
        for shown, rows in opened.rows(reader):
            digest.update(rows)
            yield columns.plain(shown)
        opened.refuse_unless(digest, Names(reader.targets, reader.listings))
