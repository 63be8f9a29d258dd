"""Files back into the database: proved whole first, then loaded as the rows lay before, in one transaction.

The day's partition is filled in the order of slots, which is what its BRIN lives on; the files, sorted by
listing, are read once for every half a million rows of that.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from collector.cold import days, ledger
from collector.cold.ahead import ahead, aside, evenly
from collector.cold.archive import COUNT, LONGEST, PATIENT, TURN
from collector.cold.ledger import Stored
from collector.errors import ArchiveError
from collector.parquet.columns import Array, Names, Reader, Table, columns_of, replaced, ticks
from collector.parquet.files import Opened
from collector.parquet.stream import FIELDS, joined
from collector.postgres.database import Database
from collector.postgres.session import Connection

MOST = 500_000
"""Rows that are sorted at once."""

_ORIGIN = "SELECT kind FROM collector.origin"
_LISTINGS = """
SELECT l.id
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS f (symbol, name, place)
LEFT JOIN collector.listing AS l USING (symbol, name)
ORDER BY f.place
"""
_OPEN = "SELECT collector.open_day($1)"
_ATTACH = "SELECT collector.attach_day($1)"
_TEND = "SELECT collector.tend_day($1)"
_NOTE = """
INSERT INTO collector.archive AS a (day, exchange, file, rows, bytes, digest, restored_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
ON CONFLICT (day, exchange) DO UPDATE
SET restored_at = clock_timestamp()
"""


@dataclass(frozen=True)
class Restored:
    """What became of one file's rows; `was_there`: they were in the database, and nothing was done."""

    path: Path
    day: date
    exchange: str
    rows: int
    was_there: bool


async def restore(
    database: Database, day: date, paths: Sequence[Path], *, most: int = MOST
) -> list[Restored]:
    """Bring a day back from all its files, which stay. ArchiveError: nothing was changed, and why."""
    opened = [Opened(path) for path in paths]
    names = {each.path: each.verified() for each in opened}
    async with database.transaction(f"restoring {day}", timeout=LONGEST) as connection:
        await connection.execute(PATIENT)
        await connection.execute(TURN)
        stored = {each.exchange: each for each in await ledger.stored(connection, day)}
        digests = {each.exchange: each.digest for each in await days.noted(connection, day)}
        for each in opened:
            days.refuse_another(each, day, digests.get(each.facts.exchange))
        await _refuse_foreign(connection, opened, stored)
        was_there = await _is_there(connection, day, stored.values())
        if not was_there:
            is_new = await connection.fetchval(_OPEN, day)
            for each in opened:
                await _load(
                    connection, each, names[each.path], stored[each.facts.exchange], frozen=is_new, most=most
                )
                await connection.execute(_NOTE, *_note(each))
            if is_new:
                await connection.execute(_ATTACH, day)
    if not was_there:
        async with database.session("tending the day's index", timeout=600) as connection:
            await connection.execute(_TEND, day)
    return [Restored(each.path, day, each.facts.exchange, each.facts.rows, was_there) for each in opened]


async def _is_there(connection: Connection, day: date, stored: Iterable[Stored]) -> bool:
    """Whether the database has the day. ArchiveError if it has a part of it, or more."""
    held = await connection.fetchval(COUNT, *ledger.bounds(day))
    known = sum(each.rows for each in stored)
    if held not in (0, known):
        raise ArchiveError(
            f"{day} is not restored: the database holds {held:,} rows of it, and its ledger tells of {known:,}"
        )
    return bool(held)


async def _refuse_foreign(
    connection: Connection, opened: Sequence[Opened], stored: Mapping[str, Stored]
) -> None:
    """ArchiveError unless these are the files of the very rows that this database's ledger tells of."""
    origin = await connection.fetchval(_ORIGIN)
    for each in opened:
        facts, known = each.facts, stored.get(each.facts.exchange)
        if origin not in (None, facts.source):
            raise ArchiveError(
                f"{each.path} holds data of another source ({facts.source}) than the database ({origin})"
            )
        if known is None or (known.rows, known.targets) != (facts.rows, facts.targets):
            raise ArchiveError(
                f"{each.path}: the ledger of this database does not tell of these {facts.rows:,} rows of"
                f" {facts.day} on {facts.exchange}"
            )
    named = Counter(each.facts.exchange for each in opened)
    for exchange in stored.keys() - named.keys():
        raise ArchiveError(f"the file {exchange}.parquet is missing: a day comes back whole or not at all")
    for each in opened:
        if named[each.facts.exchange] > 1:
            raise ArchiveError(
                f"{each.path}: more than one file holds the day's rows on {each.facts.exchange}"
            )


def _note(opened: Opened) -> tuple[date, str, str, int, int, str]:
    facts, path = opened.facts, opened.path.absolute()
    return facts.day, facts.exchange, str(path), facts.rows, path.stat().st_size, facts.digest


async def _load(
    connection: Connection, opened: Opened, names: Names, stored: Stored, *, frozen: bool, most: int
) -> None:
    """Load one file. The rows are those that `verified` has seen."""
    symbols, titles = map(list, zip(*names.listings, strict=True))
    found = await connection.fetch(_LISTINGS, symbols, titles)
    ids = pa.array([line["id"] for line in found], pa.int32())
    if ids.null_count:
        raise ArchiveError(f"{opened.path}: a listing of it is not known to this database")
    targets = pa.array(stored.numbers, pa.int16())
    loaded = 0
    wanted = [partial(aside, _between, opened, first, last) for first, last in _stretches(stored, most)]
    async with aclosing(ahead(wanted)) as parts:
        async for placed in parts:
            rows = replaced(placed, "listing", ids.take(placed["listing"]))
            rows = replaced(rows, "target", targets.take(placed["target"]))
            loaded += await _copy(connection, opened.facts.day, rows, frozen=frozen)
    if loaded != opened.facts.rows:
        raise ArchiveError(f"{opened.path}: {loaded:,} of {opened.facts.rows:,} rows could be loaded")


def _stretches(stored: Stored, most: int) -> list[tuple[int, int]]:
    """The day's slots, first and last, in stretches of about so many rows."""
    rows = Counter[int]()
    for walk in sorted(stored.walks, key=lambda walk: walk.slot):
        rows[ticks(walk.slot)] += walk.rows
    return [(slots[0], slots[-1]) for slots in evenly(rows.items(), most)]


def _between(opened: Opened, first: int, last: int) -> Table:
    """The rows of these slots, in the order in which they were collected."""
    parts = []
    for _, rows in opened.rows(Reader(opened.facts.targets)):
        slot = rows["slot"]
        inside = pc.and_(pc.greater_equal(slot, first), pc.less_equal(slot, last))
        parts.append(rows.filter(inside))
    rows = pa.concat_tables(parts)
    return rows.take(pc.array_sort_indices(_key(rows, first)))


def _key(rows: Table, first: int) -> Array:
    """One integer that sorts by slot, target and position: seconds of a day, 15 bits and 15 bits."""
    second = pc.divide(pc.subtract(rows["slot"], first), 1_000_000)
    walk = pc.add(pc.multiply(second, 1 << 15), rows["target"].cast(pa.int64()))
    return pc.add(pc.multiply(walk, 1 << 15), rows["position"].cast(pa.int64())).combine_chunks()


async def _copy(connection: Connection, day: date, rows: Table, *, frozen: bool) -> int:
    async def source() -> AsyncIterator[bytes]:
        for piece in joined(columns_of(rows), len(rows)):
            yield piece

    status = await connection.copy_to_table(
        f"snapshot_{day:%Y%m%d}",
        source=source(),
        columns=list(FIELDS),
        schema_name="collector",
        format="binary",
        freeze=frozen,
    )
    return int(str(status).rpartition(" ")[2])
