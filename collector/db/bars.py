"""The ledger of bars and the bars: finds missing ranges of a listing's history, and stores histories.

One statement stores a history: its line in the ledger, its bars, and the rows not decoded. The line settles
every trading day of its range, so no day is requested twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import itemgetter
from typing import Any

from collector.db.database import Database
from collector.db.retry import with_retries
from collector.market.bar_changes import Suspected, fill_changes
from collector.model import KST, Bar, BarPage, BarReading, Certificate, Status, Target

_PLANNING = 120.0
"""Seconds for one query over all listings of a backfill."""
_DAY_OF = itemgetter(1)

# Symbols of the newest complete walk of each target. A listing with an undecoded row is a member too; a walk
# with a row without a readable symbol (`members` is NULL) is skipped, since its list is incomplete.
_MEMBERS = """
SELECT w.target, w.slot, w.rows, held.symbols
FROM unnest($1::smallint[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT w.target, w.slot, w.rows + w.bad AS rows
    FROM collector.walk AS w
    WHERE w.target = t.id AND w.status = 'complete' AND (w.bad = 0 OR w.members IS NOT NULL)
    ORDER BY w.slot DESC
    LIMIT 1
) AS w
CROSS JOIN LATERAL (
    SELECT COALESCE(array_agg(present.symbol ORDER BY present.position), '{}') AS symbols
    FROM (
        SELECT l.symbol, s.position
        FROM collector.walked(w.slot, w.target) AS s
        JOIN collector.listing AS l ON l.id = s.listing
        UNION ALL
        SELECT q.symbol, NULL
        FROM collector.quarantine AS q
        WHERE q.slot = w.slot AND q.target = w.target AND q.symbol <> ''
    ) AS present
) AS held
"""
# The facts of each listing on KRX by its newest complete walk. The slot is looked up first, so one partition
# is read for each target (docs/decisions/0008). A renamed symbol has several listings; `since` is the first
# sighting of any.
_SIGHTINGS = """
SELECT DISTINCT ON (l.symbol) l.symbol, w.slot, s.price - s.change AS base, s.volume > 0 AS traded, o.since
FROM unnest($1::smallint[]) AS t (id)
JOIN collector.target AS k ON k.id = t.id AND k.exchange = 'KRX'
CROSS JOIN LATERAL (
    SELECT w.target, w.slot
    FROM collector.walk AS w
    WHERE w.target = t.id AND w.status = 'complete'
    ORDER BY w.slot DESC
    LIMIT 1
) AS w
CROSS JOIN LATERAL collector.walked(w.slot, w.target) AS s
JOIN collector.listing AS l ON l.id = s.listing
JOIN (SELECT symbol, min(first_seen) AS since FROM collector.listing GROUP BY symbol) AS o ON o.symbol = l.symbol
ORDER BY l.symbol, w.slot DESC
"""
# The newest suspect walk with absent days, and the dates in question.
_FIND_SUSPECTED = """
SELECT w.from_date, w.to_date, ARRAY(
    SELECT s.trading_date
    FROM collector.bar_suspect AS s
    WHERE s.symbol = w.symbol AND s.adjusted = w.adjusted AND s.trading_date BETWEEN w.from_date AND w.to_date
) AS dates
FROM collector.bar_walk AS w
WHERE w.symbol = $1 AND w.adjusted = $2 AND w.status = 'suspect' AND 'absent_days' = ANY (w.remarks)
ORDER BY w.id DESC
LIMIT 1
"""
# Stores a member list if it differs from the newest one up to the same day.
_KEEP_MEMBERS = """
INSERT INTO collector.membership (target, as_of, symbols)
SELECT $1, $2, $3
WHERE $3 IS DISTINCT FROM (
    SELECT m.symbols
    FROM collector.membership AS m
    WHERE m.target = $1 AND m.as_of <= $2
    ORDER BY m.as_of DESC
    LIMIT 1
)
ON CONFLICT (target, as_of) DO UPDATE SET symbols = EXCLUDED.symbols
"""
# Stores trading days. The last condition leaves unchanged rows alone: the daemon repeats this for 400 days
# every day.
_KEEP_DAYS = """
INSERT INTO collector.trading_day AS d (trading_date, closes, stands_until, shown_until)
SELECT * FROM unnest($1::date[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
ON CONFLICT (trading_date) DO UPDATE
SET closes = EXCLUDED.closes, stands_until = EXCLUDED.stands_until, shown_until = EXCLUDED.shown_until
WHERE (d.closes, d.stands_until, d.shown_until)
      IS DISTINCT FROM (EXCLUDED.closes, EXCLUDED.stands_until, EXCLUDED.shown_until)
"""
# The trading days ($2) not covered by complete walks of bars, by listing. `range_agg` merges overlapping
# ranges, so no day counts twice. A listing without a walk has no row here.
_MISSING_RANGES = """
WITH settled AS (
    SELECT w.symbol, range_agg(daterange(w.from_date, w.to_date, '[]')) AS days
    FROM collector.bar_walk AS w
    WHERE w.symbol = ANY ($1::text[]) AND w.adjusted = $3 AND w.status = 'complete'
    GROUP BY w.symbol
)
SELECT s.symbol, lower(s.days) AS oldest, min(d.day) AS first, max(d.day) AS last, count(d.day) AS days
FROM settled AS s
LEFT JOIN unnest($2::date[]) AS d (day) ON NOT s.days @> d.day
GROUP BY s.symbol, s.days
"""
# Stores walk, bars and undecoded rows by one statement: one transaction in one round trip, not the four of
# COPY (docs/decisions/0005). Arrays travel as text, since the driver would inspect every element several
# times.
_INSERT_HISTORY = """
SELECT collector.enter_bars(
    ROW(
        NULL::bigint, $1::text, $2::boolean, $3::date, $4::date, $5::date, $6::text, $7::text[], $8::text,
        $9::integer, $10::integer, $11::integer, $12::timestamptz, $13::timestamptz, NULL::timestamptz
    )::collector.bar_walk,
    $14::text::integer[], $15::text::integer[], $16::text::integer[], $17::text::integer[],
    $18::text::integer[], $19::text::bigint[], $20::text::integer[], $21, $22, $23
)
"""
# True if a walk with this first request is stored. The time of the first request identifies a walk.
_WAS_COMMITTED = """
SELECT EXISTS (
    SELECT FROM collector.bar_walk AS w WHERE w.symbol = $1 AND w.adjusted = $2 AND w.requested_at = $3
)
"""
_NO_BARS = ("{}",) * 7
_NO_BAD_ROWS: tuple[list[Any], ...] = ([], [], [])


@dataclass(frozen=True, slots=True)
class MissingRange:
    """The trading days missing in one listing's history: `days` days from `first` to `last`.

    `oldest` is the day to read down to: `first`, or for adjusted prices the oldest stored day, since a split
    has changed the stored prices too.
    """

    symbol: str
    first: date
    last: date
    days: int
    oldest: date


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a target by its newest complete walk with rows in the database."""

    slot: datetime
    symbols: Sequence[str]


class BarStore:
    """Stores and reads bars for a backfill. Errors are StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def members(self, targets: Mapping[Target, int]) -> dict[Target, Members]:
        """Returns the members of each target with a complete walk; other targets are not in the result."""
        names = {target_id: target for target, target_id in targets.items()}
        async with self._database.connection("reading the members", timeout=_PLANNING) as connection:
            rows = await connection.fetch(_MEMBERS, list(names))
        return {
            names[row["target"]]: Members(row["slot"], row["symbols"])
            for row in rows
            if len(row["symbols"]) == row["rows"]
        }

    async def keep_members(self, targets: Mapping[Target, int], members: Mapping[Target, Members]) -> None:
        """Stores the member lists used by a backfill, if they have changed."""
        rows = [
            (targets[target], known.slot.astimezone(KST).date(), sorted(known.symbols))
            for target, known in members.items()
        ]
        async with self._database.transaction("keeping the members", timeout=_PLANNING) as connection:
            await connection.executemany(_KEEP_MEMBERS, rows)

    async def sightings(self, targets: Collection[int]) -> list[tuple[str, datetime, int, bool, datetime]]:
        """Returns symbol, slot, base price, traded and first seen of listings on KRX, by the newest complete walk."""
        async with self._database.connection("reading the newest prices", timeout=_PLANNING) as connection:
            return [tuple(row) for row in await connection.fetch(_SIGHTINGS, list(targets))]

    async def keep_days(self, days: Sequence[tuple[date, datetime, datetime, datetime]]) -> None:
        """Stores trading days: day, closing time, and the ends of validity and display of the closing prices."""
        if days:
            async with self._database.transaction("keeping the trading days") as connection:
                await connection.execute(_KEEP_DAYS, *map(list, zip(*days, strict=True)))

    async def missing_ranges(
        self, symbols: Sequence[str], days: Sequence[date], *, adjusted: bool
    ) -> dict[str, MissingRange]:
        """Returns the missing range of each incomplete listing; `days` are sorted, oldest first."""
        if not days:
            return {}
        async with self._database.connection("reading stored histories", timeout=_PLANNING) as connection:
            rows = await connection.fetch(_MISSING_RANGES, list(symbols), list(days), adjusted)
        lacking = {symbol: MissingRange(symbol, days[0], days[-1], len(days), days[0]) for symbol in symbols}
        for row in rows:
            symbol, first = row["symbol"], row["first"]
            if first is None:
                del lacking[symbol]
                continue
            oldest = min(first, row["oldest"]) if adjusted else first
            lacking[symbol] = MissingRange(symbol, first, row["last"], row["days"], oldest)
        return lacking

    async def find_suspected(self, symbol: str, *, adjusted: bool) -> Suspected | None:
        """Returns the newest suspect walk of a history with missing days, None if there is none."""
        async with self._database.connection("reading suspect histories") as connection:
            row = await connection.fetchrow(_FIND_SUSPECTED, symbol, adjusted)
        return Suspected(row["from_date"], row["to_date"], frozenset(row["dates"])) if row else None

    async def save_history(
        self, missing_range: MissingRange, reading: BarReading, certificate: Certificate, *, adjusted: bool
    ) -> int | None:
        """Stores a whole history; returns the number of its bars in the wanted range.

        Returns None if another process has stored the history meanwhile; nothing is changed then.
        """
        bars = reading.bars
        wanted: int = sum(missing_range.first <= day <= missing_range.last for day in map(_DAY_OF, bars))
        walk = (
            *(missing_range.symbol, adjusted, missing_range.first, missing_range.last, reading.newest),
            *(certificate.status, list(certificate.remarks), None, reading.attempts),
            *(len(reading.pages), wanted, reading.requested_at, reading.received_at),
        )
        values = (*walk, *_columns(fill_changes(bars)), *_bad_rows(reading.pages))

        async def write(again: bool) -> int | None:
            if again and await self._was_committed(missing_range.symbol, reading, adjusted=adjusted):
                return wanted
            return wanted if await self._insert_history(missing_range.symbol, values) else None

        return await with_retries(write)

    async def save_failure(
        self,
        missing_range: MissingRange,
        *,
        adjusted: bool,
        as_of: date,
        error: str,
        attempts: int,
        at: datetime,
    ) -> None:
        """Records a failed history; no bars are stored."""
        walk: tuple[Any, ...] = (
            *(missing_range.symbol, adjusted, missing_range.first, missing_range.last, as_of),
            *(Status.FAILED, [], error, attempts, 0, 0, at, None),
        )
        await self._insert_history(missing_range.symbol, (*walk, *_NO_BARS, *_NO_BAD_ROWS))

    async def _was_committed(self, symbol: str, reading: BarReading, *, adjusted: bool) -> bool:
        """Returns True if this very history is stored: the time of its first request identifies it."""
        async with self._database.connection("checking if a history was stored") as connection:
            return bool(await connection.fetchval(_WAS_COMMITTED, symbol, adjusted, reading.requested_at))

    async def _insert_history(self, symbol: str, values: Sequence[Any]) -> bool:
        async with self._database.connection(f"storing the history of {symbol}") as connection:
            return bool(await connection.fetchval(_INSERT_HISTORY, *values))


def _columns(bars: Sequence[Bar]) -> Sequence[str]:
    """Returns days, open to close, volumes and changes for `enter_bars`, oldest first; 0 stands for None.

    The columns are array literals as text, since the driver would inspect every element several times.
    """
    if not bars:
        return _NO_BARS
    _, days, *prices, volumes, changes = zip(*reversed(bars), strict=True)
    won = (column if all(column) else [price or 0 for price in column] for column in prices)
    return [_array(column) for column in (map(date.toordinal, days), *won, volumes, changes)]


def _array(numbers: Iterable[int | None]) -> str:
    return f"{{{str(list(numbers))[1:-1].replace('None', 'NULL')}}}"


def _bad_rows(pages: Sequence[BarPage]) -> Sequence[Sequence[Any]]:
    bad = [
        (page_number, row.raw, row.reason) for page_number, page in enumerate(pages, 1) for row in page.bad
    ]
    return list(zip(*bad, strict=True)) if bad else _NO_BAD_ROWS
