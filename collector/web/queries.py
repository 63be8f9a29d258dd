"""The queries of the pages: read-only, limited in time, with slots always as parameters.

Rows lie in daily partitions with a BRIN index on (slot, target). A query with its slots as parameters reads a
small part of one day.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.pool import Connection
from collector.model import Sector, Target

QUERY_TIMEOUT = 5.0
# Force custom plans. From the sixth execution on PostgreSQL tries a generic plan. It covers all partitions, and
# planning takes a third of a second with a year of days.
_BOUNDS = """
SET TRANSACTION READ ONLY;
SET LOCAL statement_timeout = '3s';
SET LOCAL plan_cache_mode = force_custom_plan
"""

_TARGETS = "SELECT id, market, sector, exchange FROM collector.target"
_AROUND = """
SELECT (SELECT max(slot) FROM collector.walk WHERE slot < $1) AS before,
       (SELECT min(slot) FROM collector.walk WHERE slot >= $2) AS after
"""
_COUNTS = """
SELECT w.slot, t.market, t.exchange, w.status, count(*) AS targets
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2
GROUP BY w.slot, t.market, t.exchange, w.status
"""
_CELLS = """
SELECT slot, target, status
FROM collector.walk
WHERE slot >= $1 AND slot < $2 AND (target = ANY ($3::smallint[]) OR slot = ANY ($4::timestamptz[]))
"""
_SWEEPS = """
SELECT slot, universe, started_at, ended_at
FROM collector.sweep
WHERE slot >= $1 AND slot < $2
ORDER BY slot, universe
"""
_SLOT = """
SELECT t.market, t.sector, t.exchange, w.status, w.pages, w.rows, w.remarks, w.error, w.attempts
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot = $1
"""
_WALK = """
SELECT w.status, w.pages, w.rows, w.remarks, w.error, w.attempts, w.requested_at, w.received_at, w.committed_at,
       w.page_times, w.bad, w.expected
FROM collector.walk AS w
WHERE w.slot = $1 AND w.target = $2
"""
_QUARANTINED = """
SELECT page, raw, reason, symbol
FROM collector.quarantine
WHERE slot = $1 AND target = $2
ORDER BY page
LIMIT 50
"""
_WHOLE = """
SELECT t.id, w.slot
FROM unnest($1::smallint[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT slot
    FROM collector.walk
    WHERE target = t.id AND status = 'complete'
    ORDER BY slot DESC
    LIMIT 1
) AS w
"""
_WHOLE_SLOTS = """
SELECT slot
FROM collector.walk
WHERE target = $1 AND slot >= $2 AND slot < $3 AND status = 'complete'
ORDER BY slot
"""
_BREADTH = """
SELECT s.slot, s.target, count(*) AS members, count(*) FILTER (WHERE s.volume > 0) AS traded,
       count(*) FILTER (WHERE s.volume > 0 AND s.change > 0) AS up,
       count(*) FILTER (WHERE s.volume > 0 AND s.change < 0) AS down,
       (avg(s.rate >> 3) FILTER (WHERE s.volume > 0) * 0.01)::float8 AS mean,
       sum(s.volume::float8 * s.price) AS turnover
FROM collector.snapshot AS s
WHERE s.slot >= $1 AND s.slot <= $2 AND s.target = ANY ($3::smallint[])
GROUP BY s.slot, s.target
"""
_MEMBERS = """
SELECT s.position, l.symbol, l.name, NULLIF(s.price, 0) AS price, s.change,
       ((s.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent, s.volume,
       NULLIF(s.ask, 0) AS ask, NULLIF(s.bid, 0) AS bid, NULLIF(s.open, 0) AS open,
       NULLIF(s.high, 0) AS high, NULLIF(s.low, 0) AS low
FROM collector.snapshot AS s
JOIN collector.listing AS l ON l.id = s.listing
WHERE s.slot = $1 AND s.target = $2
ORDER BY s.position
"""
_NAMES = """
SELECT id, name, board
FROM collector.listing
WHERE symbol = $1
ORDER BY last_seen DESC
"""
_LAST_SEEN = "SELECT max(last_seen) FROM collector.listing WHERE symbol = $1"
_COURSE = """
SELECT slot, exchange, price, change, change_percent, volume, bid, ask
FROM public.listing_day($1, $2)
ORDER BY slot, exchange
"""
_STANDS_IN = """
SELECT DISTINCT t.market, t.sector, t.exchange
FROM collector.snapshot AS s
JOIN collector.target AS t ON t.id = s.target
WHERE s.listing = ANY ($1::integer[]) AND s.slot >= $2 AND s.slot < $3
ORDER BY t.market, t.sector, t.exchange
"""


class StatusTotal(NamedTuple):
    """Number of targets of a market on an exchange with one status at a slot."""

    slot: datetime
    market: str
    exchange: str
    status: str
    targets: int


class Cell(NamedTuple):
    """The status of one target at a slot."""

    slot: datetime
    target: int
    status: str


class SweepLine(NamedTuple):
    """A sweep in the ledger. `ended_at` is None if it is under way or was broken off."""

    slot: datetime
    universe: str
    started_at: datetime
    ended_at: datetime | None


class WalkLine(NamedTuple):
    """A walk's line in the ledger."""

    status: str
    pages: int
    rows: int
    remarks: Sequence[str]
    error: str | None
    attempts: int
    requested_at: datetime | None
    received_at: datetime | None
    committed_at: datetime
    page_times: Sequence[datetime]
    bad: int
    expected: int | None


class SlotLine(NamedTuple):
    """One target of a slot. `status` is a state of the grid if the ledger has no line."""

    market: str
    sector: str
    exchange: str
    status: str
    pages: int
    rows: int
    remarks: Sequence[str]
    error: str | None
    attempts: int


class Breadth(NamedTuple):
    """The breadth of a sector in one walk: traded members, rises, falls, and the equally weighted mean
    change.
    """

    slot: datetime
    target: int
    members: int
    traded: int
    up: int
    down: int
    mean: float | None
    turnover: float


class Member(NamedTuple):
    """One listing of a sector."""

    position: int
    symbol: str
    name: str
    price: int | None
    change: int
    change_percent: object
    volume: int
    ask: int | None
    bid: int | None
    open: int | None
    high: int | None
    low: int | None


class ListingQuote(NamedTuple):
    """A listing at a slot on an exchange."""

    slot: datetime
    exchange: str
    price: int | None
    change: int
    change_percent: object
    volume: int
    bid: int | None
    ask: int | None


class Bad(NamedTuple):
    """An undecoded row."""

    page: int
    raw: str
    reason: str
    symbol: str


class Name(NamedTuple):
    """A name of a listing, with its id."""

    id: int
    name: str
    board: str | None


@dataclass(frozen=True)
class Queries:
    """One method per query. StoreError if the database does not answer in time."""

    database: Database

    @asynccontextmanager
    async def connection(self, what: str) -> AsyncIterator[Connection]:
        """A read-only transaction with a statement timeout."""
        async with self.database.transaction(what, timeout=QUERY_TIMEOUT) as connection:
            await connection.execute(_BOUNDS)
            yield connection

    async def targets(self) -> dict[int, Target]:
        async with self.connection("reading the targets") as connection:
            rows = await connection.fetch(_TARGETS)
        return {row["id"]: Target.of(row["market"], row["sector"], row["exchange"]) for row in rows}

    async def sectors(self) -> dict[str, Sector]:
        return await Registry(self.database).sectors()

    async def around(self, start: datetime, end: datetime) -> tuple[datetime | None, datetime | None]:
        """The newest slot of the ledger before `start`, and the oldest from `end` on."""
        async with self.connection("looking for days") as connection:
            row = await connection.fetchrow(_AROUND, start, end)
        return row["before"], row["after"]

    async def counts(self, start: datetime, end: datetime) -> list[StatusTotal]:
        async with self.connection("counting a day") as connection:
            return [StatusTotal(*row) for row in await connection.fetch(_COUNTS, start, end)]

    async def cells(
        self, start: datetime, end: datetime, targets: Collection[int], slots: Collection[datetime]
    ) -> list[Cell]:
        """The day's lines of these targets, and all lines of these slots."""
        async with self.connection("reading a day") as connection:
            rows = await connection.fetch(_CELLS, start, end, list(targets), list(slots))
        return [Cell(*row) for row in rows]

    async def sweeps(self, start: datetime, end: datetime) -> list[SweepLine]:
        async with self.connection("reading the sweeps") as connection:
            return [SweepLine(*row) for row in await connection.fetch(_SWEEPS, start, end)]

    async def slot(self, slot: datetime) -> list[SlotLine]:
        async with self.connection("reading a slot") as connection:
            return [SlotLine(*row) for row in await connection.fetch(_SLOT, slot)]

    async def walk(self, slot: datetime, target: int) -> tuple[WalkLine, list[Bad]] | None:
        """A walk with its quarantined rows; None if the ledger has no line."""
        async with self.connection("reading a walk") as connection:
            row = await connection.fetchrow(_WALK, slot, target)
            bad = await connection.fetch(_QUARANTINED, slot, target)
        return (WalkLine(*row), [Bad(*bad_row) for bad_row in bad]) if row else None

    async def whole(self, targets: Collection[int]) -> dict[int, datetime]:
        """The slot of each target's newest complete walk."""
        async with self.connection("looking for complete walks") as connection:
            rows = await connection.fetch(_WHOLE, list(targets))
        return {row["id"]: row["slot"] for row in rows}

    async def whole_slots(self, target: int, start: datetime, end: datetime) -> list[datetime]:
        """The slots of a target's complete walks."""
        async with self.connection("looking for complete walks") as connection:
            return [row["slot"] for row in await connection.fetch(_WHOLE_SLOTS, target, start, end)]

    async def breadth(self, first: datetime, last: datetime, targets: Collection[int]) -> list[Breadth]:
        """The breadth of every stored walk of these targets from one slot to another, both included."""
        async with self.connection("weighing sectors") as connection:
            return [Breadth(*row) for row in await connection.fetch(_BREADTH, first, last, list(targets))]

    async def members(self, slot: datetime, target: int) -> list[Member]:
        async with self.connection("reading the members") as connection:
            return [Member(*row) for row in await connection.fetch(_MEMBERS, slot, target)]

    async def names(self, symbol: str) -> tuple[list[Name], datetime | None]:
        """A listing's names, the newest first, and its last appearance."""
        async with self.connection("looking for a listing") as connection:
            rows = await connection.fetch(_NAMES, symbol)
            seen = await connection.fetchval(_LAST_SEEN, symbol)
        return [Name(*row) for row in rows], seen

    async def course(self, symbol: str, day: date) -> list[ListingQuote]:
        """A listing's day on each exchange, from complete walks."""
        async with self.connection("reading a listing's day") as connection:
            return [ListingQuote(*row) for row in await connection.fetch(_COURSE, symbol, day)]

    async def stands_in(self, ids: Collection[int], start: datetime, end: datetime) -> list[Target]:
        """The targets with this listing in their rows."""
        async with self.connection("looking for a listing's sectors") as connection:
            rows = await connection.fetch(_STANDS_IN, list(ids), start, end)
        return [Target.of(*row) for row in rows]
