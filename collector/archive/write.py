"""A day from the database into files: written, read back and compared, and only then dropped.

All of it is one transaction: the turn among archivers, the lock that keeps the day as it is, the copies, and
at the end the note of where the rows are now together with the drop of the partition. Whatever ends it before
its commit leaves the day in the database; files that are in place by then are written anew by the next try.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from collector.archive import columns
from collector.archive.columns import ArchiveReader, Names, Table, Walks
from collector.archive.day_walks import StoredDay, bounds, list_stored
from collector.archive.digest import Digest
from collector.archive.file import ArchiveFile, AtomicParquetWriter, FileMetadata, place, writing
from collector.archive.read_rows import (
    MOST,
    Listing,
    ListingBatch,
    copy_batches,
    in_order,
    plan_batches,
    refuse_unless_all,
)
from collector.base.prefetch import to_thread_uninterrupted
from collector.db import LockNotGranted
from collector.db.database import Database
from collector.db.errors import DROP_REFUSED, describe_refusal
from collector.db.pool import Connection
from collector.errors import ArchiveError

LONGEST = 4 * 3600.0
"""Seconds that one day may take, waiting for its turn included."""
_DROPPING = 60
"""How often the drop is tried: each waits a second for readers, and a second until the next."""

PATIENT = """
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
       set_config('idle_in_transaction_session_timeout', '0', true), set_config('work_mem', '32MB', true)
"""
TURN = "SELECT pg_advisory_xact_lock(hashtext('collector.archive'))"
_HOLD = "SELECT collector.hold_day($1)"
_DROP = "SELECT collector.drop_day($1)"
COUNT = "SELECT count(*) FROM collector.snapshot WHERE slot >= $1 AND slot < $2"
_SOURCE = "SELECT COALESCE((SELECT kind FROM collector.origin), 'ours')"
_NOTE = """
INSERT INTO collector.archive AS a (day, exchange, file, rows, bytes, digest)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (day, exchange) DO UPDATE
SET file = EXCLUDED.file, rows = EXCLUDED.rows, bytes = EXCLUDED.bytes, digest = EXCLUDED.digest,
    archived_at = clock_timestamp(), restored_at = NULL
"""


@dataclass(frozen=True)
class ArchivedFile:
    """Rows of one day and exchange that are in a file now and nowhere else."""

    day: date
    exchange: str
    path: Path
    rows: int
    size: int


async def archive(database: Database, day: date, folder: Path, *, most: int = MOST) -> list[ArchivedFile]:
    """Move one day into files; nothing for a day that is gone already, or has no rows: then it is dropped.

    About `most` rows are sorted at once. ArchiveError says why the day stays.
    """
    async with database.transaction(f"archiving {day}", timeout=LONGEST) as connection:
        await connection.execute(PATIENT)
        await connection.execute(TURN)
        if not await connection.fetchval(_HOLD, day):
            return []
        source = await connection.fetchval(_SOURCE)
        stored = await list_stored(connection, day)
        await _refuse_others(connection, day, stored)
        with ExitStack() as parts:
            written = await _write_parts(connection, stored, folder, source, parts, most=most)
            filed = [_publish(part, facts) for part, facts in written]
        for (_, facts), file in zip(written, filed, strict=True):
            await connection.execute(
                _NOTE, day, file.exchange, str(file.path), file.rows, file.size, facts.digest
            )
        await _drop(connection, day)
    return filed


async def _refuse_others(connection: Connection, day: date, stored: Sequence[StoredDay]) -> None:
    """ArchiveError if the day holds another number of rows than the ledger certifies."""
    row_count = await connection.fetchval(COUNT, *bounds(day))
    known = sum(stored_day.rows for stored_day in stored)
    if row_count != known:
        raise ArchiveError(
            f"{day} is not as its ledger says: it holds {row_count:,} rows, and its ledger tells of {known:,}",
            hint="`collector verify` lists the walks that were changed",
        )


async def _write_parts(
    connection: Connection,
    stored: Sequence[StoredDay],
    folder: Path,
    source: str,
    parts: ExitStack,
    *,
    most: int,
) -> list[tuple[AtomicParquetWriter, FileMetadata]]:
    """Write the part of each exchange and read it back, beside the copying of what comes next."""
    wanted: list[ListingBatch] = []
    filings: dict[str, _ArchiveWriter] = {}
    for stored_day in stored:
        filing = filings[stored_day.exchange] = _ArchiveWriter(stored_day, folder, source)
        parts.callback(filing.part.discard)
        wanted += await plan_batches(connection, stored_day, filing.walks, filing.seen, most=most)
    async with aclosing(copy_batches(connection, wanted)) as copies:
        async for stretch, rows in copies:
            await to_thread_uninterrupted(filings[stretch.stored.exchange].add, stretch, rows)
    return [(filing.part, filing.facts()) for filing in filings.values()]


class _ArchiveWriter:
    """The part of one exchange, written stretch by stretch."""

    def __init__(self, stored: StoredDay, folder: Path, source: str) -> None:
        self._stored = stored
        self._source = source
        self._digest = Digest()
        self.walks = Walks(stored.walks)
        self.seen: list[Listing] = []
        self._names = Names(stored.targets, self.seen)
        path = place(folder, stored.day, stored.exchange)
        with writing(path):
            self.part = AtomicParquetWriter(path)

    def add(self, stretch: ListingBatch, copy: Table) -> None:
        """The last one ends the part, and then it holds what the table holds: it was read back."""
        for rows, numbers in in_order(stretch, copy):
            self._digest.update(rows)
            shown = columns.readable(rows, self._names, self._stored.exchange, self.walks, numbers)
            with writing(self.part.path):
                self.part.write(shown)
        if stretch.is_last:
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


def _verify(path: Path, walks: Walks) -> None:
    """Read a part as `restore` would: every row is the table's, and shows what the ledger says of it."""
    opened = ArchiveFile(path)
    reader, digest = ArchiveReader(opened.facts.targets), Digest()
    for shown, rows in opened.rows(reader):
        digest.update(rows)
        if not columns.agrees(shown, rows, walks):
            raise ArchiveError(f"{path} is damaged: it shows other times than the ledger")
    opened.refuse_unless(digest, Names(reader.targets, reader.listings))


def _publish(part: AtomicParquetWriter, facts: FileMetadata) -> ArchivedFile:
    """Put a verified part in its place, unless another file is there."""
    path = part.path
    if path.exists() and ArchiveFile(path).facts.digest != facts.digest:
        raise ArchiveError(
            f"{path} is there already and holds other rows", hint="move it away, or name another folder"
        )
    with writing(path):
        size = part.keep()
    return ArchivedFile(facts.day, facts.exchange, path.absolute(), facts.rows, size)


async def _drop(connection: Connection, day: date) -> None:
    """Drop the partition as soon as no reader is in the way."""
    for _ in range(_DROPPING):
        try:
            async with connection.transaction():
                await connection.execute(_DROP, day)
        except LockNotGranted:
            await asyncio.sleep(1)
        except DROP_REFUSED as error:
            raise ArchiveError(
                f"{day} stays in the database: {describe_refusal(error)}",
                hint="drop what depends on the day's partition, or have the owner do this",
            ) from error
        else:
            return
    raise ArchiveError(
        f"{day} stays in the database: somebody has been reading it for minutes",
        hint="look for a long transaction in pg_stat_activity",
    )
