"""Compares the stored rows with the ledger, to find rows changed by hand.

A walk is committed with a digest of its rows. Rows changed, deleted, added or moved to another listing give a
different digest.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from struct import Struct, pack
from typing import Any, NamedTuple

from collector.base.days import day_bounds, days_through
from collector.db.copy_layout import CODES, WIDTHS
from collector.db.database import Database
from collector.db.pool import Connection
from collector.model import KST, Target

LONGEST = 600.0
"""Seconds to read the rows of one day."""

_DIGESTED = tuple(WIDTHS)[2:-1]
"""The columns of a digest: all but slot, target and position."""
_ROW = Struct(">" + "".join(f"i{CODES[WIDTHS[name]]}" for name in (*_DIGESTED, "position")))

# First and last slot of the ledger.
_SPAN = "SELECT min(slot), max(slot) FROM collector.walk"
# True if the day's partition exists: days may be archived or dropped.
_IS_KEPT = "SELECT to_regclass('collector.snapshot_' || to_char($1::date, 'YYYYMMDD')) IS NOT NULL"
# The walks of a day with their digests; failed and missed ones have no rows.
_WALKS = """
SELECT w.slot, w.target, t.market, t.sector, t.exchange, w.rows, w.digest, w.members, w.names
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2 AND w.status IN ('complete', 'suspect')
ORDER BY w.slot, w.target
"""
# The rows of one walk, an array for each column, since the digest is made of whole columns. The outer join
# finds rows without a listing.
_STORED_ROWS = """
SELECT count(*) AS rows,
       array_agg(s.volume ORDER BY s.position) AS volume,
       array_agg(s.listing ORDER BY s.position) AS listing,
       array_agg(s.price ORDER BY s.position) AS price,
       array_agg(s.change ORDER BY s.position) AS change,
       array_agg(s.rate ORDER BY s.position) AS rate,
       array_agg(s.ask ORDER BY s.position) AS ask,
       array_agg(s.bid ORDER BY s.position) AS bid,
       array_agg(s.open ORDER BY s.position) AS open,
       array_agg(s.high ORDER BY s.position) AS high,
       array_agg(s.low ORDER BY s.position) AS low,
       array_agg(s.position ORDER BY s.position) AS position,
       array_agg(DISTINCT l.symbol) AS symbols,
       count(*) FILTER (WHERE l.id IS NULL) AS nameless,
       string_agg(l.symbol || E'\t' || l.name, E'\n' ORDER BY s.position) AS names
FROM collector.snapshot AS s
LEFT JOIN collector.listing AS l ON l.id = s.listing
WHERE s.slot = $1 AND s.target = $2
"""
# Rows without a walk to account for them.
_STRAY_ROWS = """
SELECT s.slot, s.target, t.market, t.sector, t.exchange, count(*) AS rows
FROM collector.snapshot AS s
LEFT JOIN collector.walk AS w ON w.slot = s.slot AND w.target = s.target
LEFT JOIN collector.target AS t ON t.id = s.target
WHERE s.slot >= $1 AND s.slot < $2 AND (w.status IS NULL OR w.status IN ('failed', 'missed'))
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2
"""
# Rows with impossible prices. They are stored as received, so they are counted and not reported as damage.
_COUNT_ODD = """
SELECT count(*)
FROM collector.snapshot
WHERE slot >= $1 AND slot < $2 AND (
    high < low
    OR (price > 0 AND low > 0 AND price NOT BETWEEN low AND high)
    OR (price = 0 AND volume > 0)
)
"""


class Mismatch(NamedTuple):
    """A walk with damaged rows, and the kind of damage in words."""

    slot: datetime
    target: str
    what: str


@dataclass
class Findings:
    """Counts of one verification. `odd` rows have impossible prices; they are stored as received."""

    walks: int = 0
    rows: int = 0
    odd: int = 0
    not_kept: int = 0
    """Walks of days without rows in the database: dropped, or archived to files."""
    damaged: int = 0


async def span(database: Database) -> tuple[date, date] | None:
    """Returns the first and the last day of the ledger, None if it is empty."""
    async with database.connection("looking at the ledger") as connection:
        first, last = await connection.fetchrow(_SPAN)
    return (first.astimezone(KST).date(), last.astimezone(KST).date()) if first else None


async def verify(database: Database, first: date, last: date, findings: Findings) -> AsyncIterator[Mismatch]:
    """Yields every damaged walk of the days from `first` to `last`, both included, in time order; counts in
    `findings`.

    Each day is read in one snapshot of the database, so a sweep running meanwhile is not reported as damage.
    """
    for day in days_through(first, last):
        async with (
            database.connection(f"verifying {day}", timeout=LONGEST) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            mismatches = [damage async for damage in _of_day(connection, day, findings)]
        findings.damaged += len(mismatches)
        for damage in mismatches:
            yield damage


async def _of_day(connection: Connection, day: date, findings: Findings) -> AsyncIterator[Mismatch]:
    bounds = day_bounds(day)
    walks = await connection.fetch(_WALKS, *bounds)
    if not await connection.fetchval(_IS_KEPT, day):
        findings.not_kept += len(walks)
        return
    findings.odd += await connection.fetchval(_COUNT_ODD, *bounds)
    for walk in walks:
        stored = await connection.fetchrow(_STORED_ROWS, walk["slot"], walk["target"])
        findings.walks += 1
        findings.rows += stored["rows"]
        if what := _wrong(walk, stored):
            yield Mismatch(walk["slot"], _name(walk), what)
    for stray in await connection.fetch(_STRAY_ROWS, *bounds):
        yield Mismatch(stray["slot"], _name(stray), f"{stray['rows']} rows without a walk in the ledger")


def _name(row: Mapping[str, Any]) -> str:
    if row["market"] is None:
        return f"target {row['target']}"
    return str(Target.of(row["market"], row["sector"], row["exchange"]))


def _wrong(walk: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Describes the damage to the rows of a walk, "" if there is none."""
    if stored["rows"] != walk["rows"]:
        return f"{stored['rows']} rows instead of {walk['rows']}"
    if walk["rows"] and list(stored["position"]) != list(range(1, walk["rows"] + 1)):
        return "rows are out of order"
    if walk["digest"] not in _digests(stored):
        return "values have changed"
    return _wrong_listings(walk, stored) if walk["rows"] else ""


def _wrong_listings(walk: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Describes damage to a walk's listings. Walks older than the column `names` are checked by symbol."""
    if stored["nameless"]:
        return f"{stored['nameless']} rows have an unknown listing"
    if walk["members"] != _digest(",".join(_known_symbols(stored["symbols"])).encode()):
        return "listings have changed their symbols"
    if walk["names"] not in (None, _digest(stored["names"].encode())):
        return "listings have changed their symbols or names"
    return ""


def _known_symbols(symbols: Sequence[str | None]) -> list[str]:
    return sorted(symbol for symbol in symbols if symbol is not None)


def _digests(stored: Mapping[str, Any]) -> Iterator[bytes]:
    """Yields the digest of the rows by column; then the older form by row, used for the first walks."""
    count = stored["rows"]
    columns = {name: stored[name] or () for name in _DIGESTED}
    packed = (pack(f">{count}{CODES[WIDTHS[name]]}", *column) for name, column in columns.items())
    yield _digest(b"".join(packed))
    rows = zip(*columns.values(), stored["position"] or (), strict=True)
    yield _digest(b"".join(_ROW.pack(*_with_length_prefixes(row)) for row in rows))


def _with_length_prefixes(row: Sequence[int]) -> Iterator[int]:
    for length, value in zip((WIDTHS[name] for name in (*_DIGESTED, "position")), row, strict=True):
        yield length
        yield value


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=8).digest()
