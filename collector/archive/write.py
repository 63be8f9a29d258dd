"""Archives a day: writes its files, reads them back, compares them, and only then drops its partition.

All of it is one transaction: the turn among archivers, the lock on the day, the copies, the record of the
files, and the drop. If it ends before its commit, the day stays in the database; the next attempt writes the
files again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import date

from collector.archive import columns
from collector.archive.columns import ArchiveReader, Names, Table, Walks
from collector.archive.day_walks import StoredDay, list_stored
from collector.archive.digest import Digest
from collector.archive.file import ArchiveFile, AtomicParquetWriter, FileMetadata, place, read_facts, writing
from collector.archive.read_rows import (
    MOST,
    Listing,
    ListingBatch,
    copy_batches,
    in_order,
    plan_batches,
    refuse_unless_all,
)
from collector.archive.store import Location, store_of
from collector.base.days import day_bounds
from collector.base.prefetch import to_thread_uninterrupted
from collector.db import LockNotAvailableError
from collector.db.database import Database
from collector.db.errors import DROP_REFUSED, describe_refusal
from collector.db.pool import Connection
from collector.errors import ArchiveError

LONGEST = 4 * 3600.0
"""Seconds for one day, the wait for its turn included."""
_DROPPING = 60
"""Attempts to drop the partition: each waits a second for readers, and a second until the next."""

# Lifts the limits of a connection for a long transaction; a small work_mem is enough, since the server sorts
# nothing. The name keeps other programs from taking it for frozen (`collector.db.frozen`).
PATIENT = """
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true), set_config('work_mem', '32MB', true),
       set_config('application_name', 'collector long work', true)
"""
# Lets one archiver at a time pass. The lock belongs to the transaction, so it works behind PgBouncer.
TURN = "SELECT pg_advisory_xact_lock(hashtext('collector.archive'))"
# Locks the day against changes; false if it has no partition.
_HOLD = "SELECT collector.hold_day($1)"
# Drops the day's partition.
_DROP = "SELECT collector.drop_day($1)"
# The number of stored rows between two instants.
COUNT = "SELECT count(*) FROM collector.snapshot WHERE slot >= $1 AND slot < $2"
# The source of the data; a database without a record has simulated data.
_SOURCE = "SELECT COALESCE((SELECT kind FROM collector.origin), 'ours')"
# Records a file. A day archived again after a restore replaces its record.
_NOTE = """
INSERT INTO collector.archive AS a (day, exchange, file, rows, bytes, digest)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (day, exchange) DO UPDATE
SET file = EXCLUDED.file, rows = EXCLUDED.rows, bytes = EXCLUDED.bytes, digest = EXCLUDED.digest,
    archived_at = clock_timestamp(), restored_at = NULL
"""


@dataclass(frozen=True)
class ArchivedFile:
    """Rows of one day and exchange, now in a file only."""

    day: date
    exchange: str
    path: Location
    rows: int
    size: int


async def archive(database: Database, day: date, folder: Location, *, most: int = MOST) -> list[ArchivedFile]:
    """Archives one day into files; returns nothing if the day is gone or has no rows (it is dropped then).

    About `most` rows are sorted at once. ArchiveError with the reason if the day stays.
    """
    async with database.transaction(f"archiving {day}", timeout=LONGEST) as connection:
        await connection.execute(PATIENT)
        await connection.execute(TURN)
        if not await connection.fetchval(_HOLD, day):
            return []
        source = await connection.fetchval(_SOURCE)
        stored = await list_stored(connection, day)
        await _refuse_others(connection, day, stored)
        async with AsyncExitStack() as parts:
            written = await _write_parts(connection, stored, folder, source, parts, most=most)
            filed = [await to_thread_uninterrupted(_publish, part, facts) for part, facts in written]
        for (_, facts), file in zip(written, filed, strict=True):
            await connection.execute(
                _NOTE, day, file.exchange, str(file.path), file.rows, file.size, facts.digest
            )
        await _drop(connection, day)
    return filed


async def _refuse_others(connection: Connection, day: date, stored: Sequence[StoredDay]) -> None:
    """Raises ArchiveError if the day has another number of rows than the ledger."""
    row_count = await connection.fetchval(COUNT, *day_bounds(day))
    known = sum(stored_day.rows for stored_day in stored)
    if row_count != known:
        raise ArchiveError(
            f"{day} differs from its ledger: it holds {row_count:,} rows, and its ledger {known:,}",
            hint="`collector verify` lists the changed walks",
        )


async def _write_parts(
    connection: Connection,
    stored: Sequence[StoredDay],
    folder: Location,
    source: str,
    parts: AsyncExitStack,
    *,
    most: int,
) -> list[tuple[AtomicParquetWriter, FileMetadata]]:
    """Writes the part of each exchange and reads it back, while the next batch is copied."""
    wanted: list[ListingBatch] = []
    filings: dict[str, _ArchiveWriter] = {}
    for stored_day in stored:
        filing = await to_thread_uninterrupted(_ArchiveWriter, stored_day, folder, source)
        filings[stored_day.exchange] = filing
        parts.push_async_callback(to_thread_uninterrupted, filing.part.discard)
        wanted += await plan_batches(connection, stored_day, filing.walks, filing.seen, most=most)
    async with aclosing(copy_batches(connection, wanted)) as copies:
        async for batch, rows in copies:
            await to_thread_uninterrupted(filings[batch.stored.exchange].add, batch, rows)
    return [(filing.part, filing.facts()) for filing in filings.values()]


class _ArchiveWriter:
    """Writes the part of one exchange, batch by batch."""

    def __init__(self, stored: StoredDay, folder: Location, source: str) -> None:
        self._stored = stored
        self._source = source
        self._digest = Digest()
        self.walks = Walks(stored.walks)
        self.seen: list[Listing] = []
        self._names = Names(stored.targets, self.seen)
        path = place(folder, stored.day, stored.exchange)
        with writing(path):
            self.part = AtomicParquetWriter(path)

    def add(self, batch: ListingBatch, copy: Table) -> None:
        """Adds a batch. After the last batch the part is closed and read back, so it equals the table."""
        for rows, numbers in in_order(batch, copy):
            self._digest.update(rows)
            shown = columns.readable(rows, self._names, self._stored.exchange, self.walks, numbers)
            with writing(self.part.path):
                self.part.write(shown)
        if batch.is_last:
            refuse_unless_all(self._stored, self._digest.rows)
            with writing(self.part.path):
                self.part.end(self.facts())
            _verify(self.part.part, self.walks)

    def facts(self) -> FileMetadata:
        stored, digest = self._stored, self._digest
        return FileMetadata(
            stored.day,
            stored.exchange,
            self._source,
            digest.rows,
            digest.hexdigest(self._names),
            stored.targets,
        )


def _verify(path: Location, walks: Walks) -> None:
    """Reads a part like `restore`: every row must equal the table's row, with the ledger's times and status."""
    opened = ArchiveFile(path)
    reader, digest = ArchiveReader(opened.facts.targets), Digest()
    for shown, rows in opened.rows(reader):
        digest.update(rows)
        if not columns.agrees(shown, rows, walks):
            raise ArchiveError(f"{path} is damaged: it shows other times than the ledger")
    opened.refuse_unless(digest, Names(reader.targets, reader.listings))


def _publish(part: AtomicParquetWriter, facts: FileMetadata) -> ArchivedFile:
    """Gives a verified part its final name, unless another file is there, and looks what the name stands for then."""
    path = part.path
    with writing(path):
        is_there = store_of(path).is_file(path)
    if is_there and read_facts(path).digest != facts.digest:
        raise ArchiveError(
            f"{path} exists already and holds other rows", hint="move it away, or name another folder"
        )
    with writing(path):
        size = part.keep()
    if read_facts(path) != facts:
        raise ArchiveError(
            f"{path} was replaced by another writer", hint="give each collector a folder of its own"
        )
    return ArchivedFile(facts.day, facts.exchange, path.absolute(), facts.rows, size)


async def _drop(connection: Connection, day: date) -> None:
    """Drops the partition as soon as no reader holds it."""
    for _ in range(_DROPPING):
        try:
            async with connection.transaction():
                await connection.execute(_DROP, day)
        except LockNotAvailableError:
            await asyncio.sleep(1)
        except DROP_REFUSED as error:
            raise ArchiveError(
                f"{day} stays in the database: {describe_refusal(error)}",
                hint="drop the objects depending on the day's partition, or run this as the owner",
            ) from error
        else:
            return
    raise ArchiveError(
        f"{day} stays in the database: a reader has held it for minutes",
        hint="look for a long transaction in pg_stat_activity",
    )
