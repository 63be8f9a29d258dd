"""Restores files into the database: proves them whole first, then loads the rows in one transaction.

The partition is filled in the order of slots, since its BRIN depends on it. The files are sorted by listing,
so they are read once for each part of a day.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from collector.archive.columns import ArchiveReader, Array, Names, Table, columns_of, replace_column, ticks
from collector.archive.copy_stream import interleave_columns
from collector.archive.day_state import list_archived, refuse_another
from collector.archive.day_walks import StoredDay, list_stored
from collector.archive.file import ArchiveFile
from collector.archive.store import Location, Locator, store_of
from collector.archive.write import COUNT, LONGEST, PATIENT, TURN
from collector.base.days import day_bounds
from collector.base.prefetch import prefetch, split_evenly, to_thread_uninterrupted
from collector.db.copy_layout import WIDTHS
from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import ArchiveError

MOST = 300_000
"""Rows sorted at once; each part reads the files once more."""

# The source of the data in this database.
_ORIGIN = "SELECT kind FROM collector.origin"
# The ids of a file's listings in the order of the file; NULL for an unknown one.
_LISTINGS = """
SELECT l.id
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS f (symbol, name, place)
LEFT JOIN collector.listing AS l USING (symbol, name)
ORDER BY f.place
"""
# Creates a table for the day, if there is none; true if it is new.
_OPEN = "SELECT collector.open_day($1)"
# Attaches the new table as a partition; this builds its indexes at once.
_ATTACH = "SELECT collector.attach_day($1)"
# Summarises and analyses the day's index (docs/decisions/0002).
_TEND = "SELECT collector.tend_day($1)"
# Records the restore. An existing record keeps its path and digest, so the files stay known.
_NOTE = """
INSERT INTO collector.archive AS a (day, exchange, file, rows, bytes, digest, restored_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
ON CONFLICT (day, exchange) DO UPDATE
SET restored_at = clock_timestamp()
"""


@dataclass(frozen=True)
class RestoredDay:
    """The result for one file; `was_there` means its rows were in the database, and nothing was done."""

    path: Location
    day: date
    exchange: str
    rows: int
    was_there: bool


async def restore(
    database: Database,
    day: date,
    paths: Sequence[Location],
    *,
    locate: Locator | None = None,
    most: int = MOST,
) -> list[RestoredDay]:
    """Restores a day from all its files; the files stay. ArchiveError with the reason if nothing was changed."""
    opened = [await to_thread_uninterrupted(ArchiveFile, path) for path in paths]
    names = {item.path: await to_thread_uninterrupted(item.verify) for item in opened}
    async with database.transaction(f"restoring {day}", timeout=LONGEST) as connection:
        await connection.execute(PATIENT)
        await connection.execute(TURN)
        stored = {stored_day.exchange: stored_day for stored_day in await list_stored(connection, day)}
        digests = {
            record.exchange: record.digest
            for record in await list_archived(connection, day, locate or Locator())
        }
        for archive_file in opened:
            refuse_another(archive_file, day, digests.get(archive_file.facts.exchange))
        await _refuse_foreign(connection, opened, stored)
        was_there = await _is_there(connection, day, stored.values())
        if not was_there:
            is_new = await connection.fetchval(_OPEN, day)
            for archive_file in opened:
                await _load(
                    connection,
                    archive_file,
                    names[archive_file.path],
                    stored[archive_file.facts.exchange],
                    frozen=is_new,
                    most=most,
                )
                await connection.execute(_NOTE, *_note(archive_file))
            if is_new:
                await connection.execute(_ATTACH, day)
    if not was_there:
        async with database.connection("tending the day's index", timeout=600) as connection:
            await connection.execute(_TEND, day)
    return [RestoredDay(item.path, day, item.facts.exchange, item.facts.rows, was_there) for item in opened]


async def _is_there(connection: Connection, day: date, stored: Iterable[StoredDay]) -> bool:
    """Returns True if the database has the day; ArchiveError if it has a part of it, or more."""
    row_count = await connection.fetchval(COUNT, *day_bounds(day))
    known = sum(stored_day.rows for stored_day in stored)
    if row_count not in (0, known):
        raise ArchiveError(
            f"{day} is not restored: the database holds {row_count:,} rows of it, and its ledger {known:,}"
        )
    return bool(row_count)


async def _refuse_foreign(
    connection: Connection, opened: Sequence[ArchiveFile], stored: Mapping[str, StoredDay]
) -> None:
    """Raises ArchiveError unless these files hold exactly the rows of this database's ledger."""
    origin = await connection.fetchval(_ORIGIN)
    for archive_file in opened:
        facts, known = archive_file.facts, stored.get(archive_file.facts.exchange)
        if origin not in (None, facts.source):
            raise ArchiveError(
                f"{archive_file.path} holds data of another source ({facts.source}) than the database ({origin})"
            )
        if known is None or (known.rows, known.targets) != (facts.rows, facts.targets):
            raise ArchiveError(
                f"{archive_file.path}: the ledger of this database does not have these {facts.rows:,} rows of"
                f" {facts.day} on {facts.exchange}"
            )
    named = Counter(item.facts.exchange for item in opened)
    for exchange in stored.keys() - named.keys():
        raise ArchiveError(f"the file {exchange}.parquet is missing: a day is restored as a whole")
    for archive_file in opened:
        if named[archive_file.facts.exchange] > 1:
            raise ArchiveError(
                f"{archive_file.path}: more than one file holds the day's rows on {archive_file.facts.exchange}"
            )


def _note(opened: ArchiveFile) -> tuple[date, str, str, int, int, str]:
    facts, path = opened.facts, opened.path.absolute()
    return facts.day, facts.exchange, str(path), facts.rows, store_of(path).size(path), facts.digest


async def _load(
    connection: Connection, opened: ArchiveFile, names: Names, stored: StoredDay, *, frozen: bool, most: int
) -> None:
    """Loads one file, after `ArchiveFile.verify` has checked its rows."""
    symbols, titles = map(list, zip(*names.listings, strict=True))
    result = await connection.fetch(_LISTINGS, symbols, titles)
    ids = pa.array([line["id"] for line in result], pa.int32())
    if ids.null_count:
        raise ArchiveError(f"{opened.path}: one of its listings is unknown to this database")
    targets = pa.array(stored.numbers, pa.int16())
    loaded = 0
    wanted = [
        partial(to_thread_uninterrupted, _between, opened, first, last)
        for first, last in _slot_ranges(stored, most)
    ]
    async with aclosing(prefetch(wanted)) as parts:
        async for placed in parts:
            rows = replace_column(placed, "listing", ids.take(placed["listing"]))
            rows = replace_column(rows, "target", targets.take(placed["target"]))
            loaded += await _copy(connection, opened.facts.day, rows, frozen=frozen)
    if loaded != opened.facts.rows:
        raise ArchiveError(f"{opened.path}: {loaded:,} of {opened.facts.rows:,} rows could be loaded")


def _slot_ranges(stored: StoredDay, most: int) -> list[tuple[int, int]]:
    """Splits the day's slots into ranges (first, last) of about `most` rows."""
    rows = Counter[int]()
    for walk in sorted(stored.walks, key=lambda walk: walk.slot):
        rows[ticks(walk.slot)] += walk.rows
    return [(slots[0], slots[-1]) for slots in split_evenly(rows.items(), most)]


def _between(opened: ArchiveFile, first: int, last: int) -> Table:
    """Returns the rows of these slots, in the order of their collection."""
    parts = []
    for _, rows in opened.rows(ArchiveReader(opened.facts.targets)):
        slot = rows["slot"]
        inside = pc.and_(pc.greater_equal(slot, first), pc.less_equal(slot, last))
        parts.append(rows.filter(inside))
    rows = pa.concat_tables(parts)
    return rows.take(pc.array_sort_indices(_key(rows, first)))


def _key(rows: Table, first: int) -> Array:
    """Returns an integer sorting by slot, target, position: seconds of a day, 15 bits, 15 bits."""
    second = pc.divide(pc.subtract(rows["slot"], first), 1_000_000)
    walk = pc.add(pc.multiply(second, 1 << 15), rows["target"].cast(pa.int64()))
    return pc.add(pc.multiply(walk, 1 << 15), rows["position"].cast(pa.int64())).combine_chunks()


async def _copy(connection: Connection, day: date, rows: Table, *, frozen: bool) -> int:
    async def source() -> AsyncIterator[bytes]:
        for piece in interleave_columns(columns_of(rows), len(rows)):
            yield piece

    status = await connection.copy_to_table(
        f"snapshot_{day:%Y%m%d}",
        source=source(),
        columns=list(WIDTHS),
        schema_name="collector",
        format="binary",
        freeze=frozen,
    )
    return int(str(status).rpartition(" ")[2])
