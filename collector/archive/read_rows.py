"""Reads rows from the database in the order of a file, a quarter of a million at a time."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from collector.archive.columns import Array, Table, Walks, replace_column, rows_of
from collector.archive.copy_stream import Splitter
from collector.archive.day_walks import StoredDay
from collector.archive.file import GROUP
from collector.base.days import day_bounds
from collector.base.prefetch import prefetch, split_evenly
from collector.db.pool import Connection
from collector.errors import ArchiveError

MOST = 250_000
"""Rows sorted at once: 56 bytes each, the same again during the sort, and the next ones are copied meanwhile.

Twice as many take 60 MB more and no less CPU.
"""

# The names of all listings.
_LISTINGS = "SELECT id, symbol, name FROM collector.listing"
# The rows of some targets on one day, for COPY. The server does not sort: joins and a sort there cost 2 µs of
# its CPU a row, more than sorting by one integer here (docs/decisions/0010).
_ROWS = """
SELECT slot, target, volume, listing, price, change, rate, ask, bid, open, high, low, position
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND target = ANY ($3::smallint[])
"""
# The same for some of the listings.
_SOME_ROWS = f"{_ROWS} AND listing = ANY ($4::integer[])"
# Rows of one slot by listing, to estimate the size of batches.
_BY_LISTING = """
SELECT listing, count(*) AS rows
FROM collector.snapshot
WHERE slot = $1 AND target = ANY ($2::smallint[])
GROUP BY listing
"""
# Positions of a walk fit in 15 bits, so one integer holds the whole sort key.
_POSITIONS = 1 << 15

Listing = tuple[str, str]
ListingNames = Mapping[int, Listing]


class ListingBatch(NamedTuple):
    """Rows of some listings on one exchange. `seen` grows by their listings, in index order."""

    stored: StoredDay
    walks: Walks
    seen: list[Listing]
    known: ListingNames
    listings: Sequence[int] | None = None
    """None means all listings."""
    is_last: bool = True


async def plan_batches(
    connection: Connection, stored: StoredDay, walks: Walks, seen: list[Listing], *, most: int = MOST
) -> list[ListingBatch]:
    """Splits a day and exchange into batches of about `most` rows, in the order of the file."""
    known = {row["id"]: (row["symbol"], row["name"]) for row in await connection.fetch(_LISTINGS)}
    parts = await _plan_parts(connection, stored, known, most)
    return [
        ListingBatch(stored, walks, seen, known, part, part_number == len(parts))
        for part_number, part in enumerate(parts, 1)
    ]


async def copy_batches(
    connection: Connection, batches: Sequence[ListingBatch]
) -> AsyncGenerator[tuple[ListingBatch, Table], None]:
    """Yields each batch with its rows as stored; the next batch is copied meanwhile."""
    async with aclosing(prefetch([partial(_copy, connection, batch) for batch in batches])) as copies:
        places = iter(batches)
        async for rows in copies:
            yield next(places), rows


def in_order(batch: ListingBatch, rows: Table) -> Iterator[tuple[Table, Array]]:
    """Yields the rows of a batch, sorted as in a file, with the numbers of their walks.

    ArchiveError if a row has no walk in the ledger.
    """
    rows = _renumber_listings(rows, batch.stored.numbers, batch.known, batch.seen)
    numbers = _numbers(batch.stored, batch.walks, rows)
    order = pc.array_sort_indices(_key(rows, numbers))
    for start in range(0, len(order), GROUP):
        part = order.slice(start, GROUP)
        yield rows.take(part), numbers.take(part)


def refuse_unless_all(stored: StoredDay, copied_rows: int) -> None:
    """Raises ArchiveError unless the number of copied rows matches the ledger."""
    if copied_rows != stored.rows:
        raise _differing(stored, f"it holds {copied_rows:,} rows, and its ledger {stored.rows:,}")


def _numbers(stored: StoredDay, walks: Walks, rows: Table) -> Array:
    try:
        return walks.numbers(rows)
    except ValueError as error:
        raise _differing(stored, str(error)) from error


def _differing(stored: StoredDay, what: str) -> ArchiveError:
    return ArchiveError(
        f"{stored.day} on {stored.exchange} differs from its ledger: {what}",
        hint="`collector verify` lists the changed walks",
    )


def _key(rows: Table, numbers: Array) -> Array:
    """Returns one integer for each row, sorting like SORTED_BY: by listing, walk and position."""
    count = pc.add(pc.max(numbers), 1)
    walk = pc.add(pc.multiply(rows["listing"].cast(pa.int64()), count), numbers)
    return pc.add(pc.multiply(walk, _POSITIONS), rows["position"].cast(pa.int64())).combine_chunks()


async def _plan_parts(
    connection: Connection, stored: StoredDay, known: ListingNames, most: int
) -> list[Sequence[int] | None]:
    """Returns the listings to copy together, in the order of the file; a single None means all of them at
    once.

    The share of each listing is estimated from the fullest slot: counting all rows would take as long as a
    copy.
    """
    if stored.rows <= most:
        return [None]
    slot, most_rows = stored.fullest()
    result = await connection.fetch(_BY_LISTING, slot, stored.numbers)
    rows = {line["listing"]: line["rows"] * stored.rows / most_rows for line in result}
    listings = sorted(known, key=lambda listing: _sort_key(known[listing]))
    return [*split_evenly(((listing, rows.get(listing, 0)) for listing in listings), most)]


async def _copy(connection: Connection, batch: ListingBatch) -> Table:
    splitter = Splitter()
    stored, wanted = batch.stored, batch.listings

    async def take(piece: bytes) -> None:
        splitter.feed(piece)

    query, arguments = (_ROWS, ()) if wanted is None else (_SOME_ROWS, (list(wanted),))
    values: tuple[Any, ...] = (*day_bounds(stored.day), stored.numbers, *arguments)
    await connection.copy_from_query(query, *values, output=take, format="binary")
    splitter.end()
    return rows_of(splitter.columns, splitter.rows)


def _renumber_listings(
    rows: Table, targets: Sequence[int], known: ListingNames, seen: list[Listing]
) -> Table:
    """Replaces the ids of targets and listings by indexes; new listings are appended to `seen`."""
    ids = sorted(pc.unique(rows["listing"]).to_pylist(), key=lambda listing: _sort_key(known[listing]))
    places = [-1] * (max(ids, default=0) + 1)
    for index, listing in enumerate(ids, len(seen)):
        places[listing] = index
    seen += [known[listing] for listing in ids]
    rows = replace_column(rows, "listing", pa.array(places, pa.int32()).take(rows["listing"]))
    target = pc.index_in(rows["target"], value_set=pa.array(targets, pa.int16()))
    return replace_column(rows, "target", target.cast(pa.int16()))


def _sort_key(listing: Listing) -> tuple[bytes, bytes]:
    """Returns a key sorting like the readers of a file: byte by byte."""
    symbol, name = listing
    return symbol.encode(), name.encode()
