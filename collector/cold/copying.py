"""Rows out of the database in the order of a file, never more than half a million in memory."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.cold.ledger import Stored, bounds
from collector.errors import ArchiveError
from collector.parquet.columns import Array, Table, Walks, replaced, rows_of
from collector.parquet.files import GROUP
from collector.parquet.stream import Splitter
from collector.postgres.session import Connection

MOST = 500_000
"""Rows that are sorted at once: 56 bytes each, and as much again while they are."""

_LISTINGS = "SELECT id, symbol, name FROM collector.listing"
_ROWS = """
SELECT slot, target, volume, listing, price, change, rate, ask, bid, open, high, low, position
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND target = ANY ($3::smallint[])
"""
_SOME_ROWS = f"{_ROWS} AND listing = ANY ($4::integer[])"
_BY_LISTING = """
SELECT listing, count(*) AS rows
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND target = ANY ($3::smallint[])
GROUP BY listing
"""
_POSITIONS = 1 << 15

Listing = tuple[str, str]


async def copied(
    connection: Connection, stored: Stored, walks: Walks, seen: list[Listing], *, most: int = MOST
) -> AsyncIterator[tuple[Table, Array]]:
    """The rows of one exchange and day, sorted as in a file, with the numbers of their walks.

    `seen` grows by the listings that the rows name by their places in it. ArchiveError: rows and ledger differ.
    """
    known = {row["id"]: (row["symbol"], row["name"]) for row in await connection.fetch(_LISTINGS)}
    copied_rows = 0
    for wanted in await _stretches(connection, stored, known, most):
        rows = await _copy(connection, stored, wanted)
        rows = _placed(rows, stored.numbers, known, seen)
        numbers = _numbers(stored, walks, rows)
        order = pc.array_sort_indices(_key(rows, numbers))
        for start in range(0, len(order), GROUP):
            part = order.slice(start, GROUP)
            yield rows.take(part), numbers.take(part)
        copied_rows += len(order)
    if copied_rows != stored.rows:
        raise _differing(stored, f"it holds {copied_rows:,} rows, and its ledger tells of {stored.rows:,}")


def _numbers(stored: Stored, walks: Walks, rows: Table) -> Array:
    try:
        return walks.numbers(rows)
    except ValueError as error:
        raise _differing(stored, str(error)) from error


def _differing(stored: Stored, what: str) -> ArchiveError:
    return ArchiveError(
        f"{stored.day} on {stored.exchange} is not as its ledger says: {what}",
        hint="`collector verify` lists the walks that were changed",
    )


def _key(rows: Table, numbers: Array) -> Array:
    """One integer that sorts as the columns of SORTED_BY do: by listing, walk and position."""
    count = pc.add(pc.max(numbers), 1)
    walk = pc.add(pc.multiply(rows["listing"].cast(pa.int64()), count), numbers)
    return pc.add(pc.multiply(walk, _POSITIONS), rows["position"].cast(pa.int64())).combine_chunks()


async def _stretches(
    connection: Connection, stored: Stored, known: Mapping[int, Listing], most: int
) -> list[Sequence[int] | None]:
    """Which listings to copy together, in the order of the file; one None, all of them, if that is not too much."""
    if stored.rows <= most:
        return [None]
    found = await connection.fetch(_BY_LISTING, *bounds(stored.day), stored.numbers)
    rows = {line["listing"]: line["rows"] for line in found}
    stretches: list[Sequence[int] | None] = []
    together: list[int] = []
    held = 0
    for listing in sorted(rows, key=lambda listing: _sort_key(known[listing])):
        if together and held + rows[listing] > most:
            stretches.append(together)
            together, held = [], 0
        together.append(listing)
        held += rows[listing]
    return [*stretches, together]


async def _copy(connection: Connection, stored: Stored, wanted: Sequence[int] | None) -> Table:
    splitter = Splitter()

    async def take(piece: bytes) -> None:
        splitter.feed(piece)

    query, arguments = (_ROWS, ()) if wanted is None else (_SOME_ROWS, (list(wanted),))
    values: tuple[Any, ...] = (*bounds(stored.day), stored.numbers, *arguments)
    await connection.copy_from_query(query, *values, output=take, format="binary")
    splitter.end()
    return rows_of(splitter.columns, splitter.rows)


def _placed(rows: Table, targets: Sequence[int], known: Mapping[int, Listing], seen: list[Listing]) -> Table:
    """The rows with targets and listings numbered by their places; new listings are put behind those of `seen`."""
    ids = sorted(pc.unique(rows["listing"]).to_pylist(), key=lambda listing: _sort_key(known[listing]))
    places = [-1] * (max(ids, default=0) + 1)
    for place, listing in enumerate(ids, len(seen)):
        places[listing] = place
    seen += [known[listing] for listing in ids]
    rows = replaced(rows, "listing", pa.array(places, pa.int32()).take(rows["listing"]))
    target = pc.index_in(rows["target"], value_set=pa.array(targets, pa.int16()))
    return replaced(rows, "target", target.cast(pa.int16()))


def _sort_key(listing: Listing) -> tuple[bytes, bytes]:
    """As a file's readers compare texts: byte by byte."""
    symbol, name = listing
    return symbol.encode(), name.encode()
