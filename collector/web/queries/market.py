"""The queries of the market: sectors, their breadth, and listings."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from collector.model import Target
from collector.web.queries.read_only import ReadOnlyDatabase

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
_WHOLE_AROUND = """
SELECT (SELECT max(slot) FROM collector.walk WHERE target = $1 AND slot < $2 AND status = 'complete') AS before,
       (SELECT min(slot) FROM collector.walk WHERE target = $1 AND slot >= $3 AND status = 'complete') AS after
"""
# Products as float8: with the percent as a numeric, a board's day took 85 ms instead of 52.
_SELECT_BREADTH = """
SELECT s.slot, s.target, count(*) AS members, count(*) FILTER (WHERE s.volume > 0) AS traded,
       count(*) FILTER (WHERE s.volume > 0 AND s.change > 0) AS up,
       count(*) FILTER (WHERE s.volume > 0 AND s.change < 0) AS down,
       (avg(s.rate >> 3) FILTER (WHERE s.volume > 0) * 0.01)::float8 AS mean,
       sum(s.volume::float8 * s.price) AS turnover,
       sum((s.rate >> 3) * (s.volume::float8 * s.price)) * 0.01 / NULLIF(sum(s.volume::float8 * s.price), 0) AS weighted
FROM collector.snapshot AS s
"""
_BREADTH = f"""{_SELECT_BREADTH}WHERE s.slot >= $1 AND s.slot <= $2 AND s.target = ANY ($3::smallint[])
GROUP BY s.slot, s.target
"""
_BREADTH_AT = f"""{_SELECT_BREADTH}WHERE s.slot = ANY ($1::timestamptz[]) AND s.target = $2
GROUP BY s.slot, s.target
"""
_WHOLE_AT = """
SELECT t.id, w.slot
FROM unnest($1::smallint[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT slot
    FROM collector.walk
    WHERE target = t.id AND slot >= $2 AND slot <= $3 AND status = 'complete'
    ORDER BY slot DESC
    LIMIT 1
) AS w
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

_LISTED = """
SELECT symbol, array_agg(name ORDER BY last_seen DESC, id DESC) AS names
FROM collector.listing
GROUP BY symbol
"""

_LEVELS = """
SELECT DISTINCT ON (slot) slot, (level * 0.01)::float8 AS level, (change_bp * 0.01)::float8 AS change_percent, volume,
       turnover, members, traded, advancers, unchanged, decliners, limit_up, limit_down, received_at, source
FROM collector.index_level
WHERE sector = $1 AND slot >= $2 AND slot < $3
ORDER BY slot, source, received_at DESC
"""
_REPAIRED_BREADTH = """
SELECT m.slot, m.target, count(*) AS members, count(*) FILTER (WHERE r.volume > 0) AS traded,
       count(*) FILTER (WHERE r.volume > 0 AND r.change > 0) AS up,
       count(*) FILTER (WHERE r.volume > 0 AND r.change < 0) AS down,
       (avg(r.rate >> 3) FILTER (WHERE r.volume > 0) * 0.01)::float8 AS mean,
       COALESCE(sum(r.volume::float8 * r.price), 0) AS turnover,
       sum((r.rate >> 3) * (r.volume::float8 * r.price)) * 0.01 / NULLIF(sum(r.volume::float8 * r.price), 0) AS weighted
FROM collector.repaired_member AS m
JOIN collector.target AS t ON t.id = m.target
JOIN collector.reconstructed AS r ON r.slot = m.slot AND r.exchange = t.exchange AND r.symbol = m.symbol
LEFT JOIN collector.walk AS w ON w.slot = m.slot AND w.target = m.target
WHERE m.target = $1 AND m.slot >= $2 AND m.slot < $3 AND COALESCE(w.status, 'missed') IN ('missed', 'failed')
GROUP BY m.slot, m.target
ORDER BY m.slot
"""
_REPAIRED_QUOTES = """
SELECT s.slot, p.exchange, r.price, r.change, ((r.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent, r.volume,
       NULL::integer AS bid, NULL::integer AS ask
FROM collector.repair AS p
CROSS JOIN LATERAL unnest(p.slots) AS s (slot)
JOIN collector.reconstructed AS r ON r.slot = s.slot AND r.exchange = p.exchange AND r.symbol = p.symbol
WHERE p.symbol = $1 AND p.trading_date = $2
ORDER BY s.slot, p.exchange
"""


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
    weighted: float | None = None
    """The mean change, weighted by turnover."""


class IndexReading(NamedTuple):
    """An index of KRX at a slot. ka20003 gives the counts of its members as well, ka20006 only the close of a day."""

    slot: datetime
    level: float
    change_percent: float | None
    volume: int
    turnover: int
    members: int | None
    traded: int | None
    advancers: int | None
    unchanged: int | None
    decliners: int | None
    limit_up: int | None
    limit_down: int | None
    received_at: datetime
    source: str


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


class Name(NamedTuple):
    """A name of a listing, with its id."""

    id: int
    name: str
    board: str | None


class MarketQueries(ReadOnlyDatabase):
    """The queries of the market."""

    async def whole(self, targets: Collection[int]) -> dict[int, datetime]:
        """The slot of each target's newest complete walk."""
        async with self.connection("looking for complete walks") as connection:
            rows = await connection.fetch(_WHOLE, list(targets))
        return {row["id"]: row["slot"] for row in rows}

    async def whole_slots(self, target: int, start: datetime, end: datetime) -> list[datetime]:
        """The slots of a target's complete walks."""
        async with self.connection("looking for complete walks") as connection:
            return [row["slot"] for row in await connection.fetch(_WHOLE_SLOTS, target, start, end)]

    async def whole_around(
        self, target: int, start: datetime, end: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """The slot of a target's newest complete walk before `start`, and of its oldest one from `end` on."""
        async with self.connection("looking for complete walks") as connection:
            row = await connection.fetchrow(_WHOLE_AROUND, target, start, end)
        return row["before"], row["after"]

    async def breadth(self, first: datetime, last: datetime, targets: Collection[int]) -> list[Breadth]:
        """The breadth of every stored walk of these targets from one slot to another, both included."""
        async with self.connection("weighing sectors") as connection:
            return [Breadth(*row) for row in await connection.fetch(_BREADTH, first, last, list(targets))]

    async def breadth_at(self, slots: Collection[datetime], target: int) -> list[Breadth]:
        """The breadth of a target's stored walks at these slots of any days."""
        async with self.connection("weighing a sector") as connection:
            return [Breadth(*row) for row in await connection.fetch(_BREADTH_AT, list(slots), target)]

    async def whole_at(
        self, targets: Collection[int], start: datetime, slot: datetime
    ) -> dict[int, datetime]:
        """The slot of each target's newest complete walk from `start` to `slot`, both included."""
        async with self.connection("looking for complete walks") as connection:
            rows = await connection.fetch(_WHOLE_AT, list(targets), start, slot)
        return {row["id"]: row["slot"] for row in rows}

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

    async def read_names(self) -> list[tuple[str, list[str]]]:
        """Every symbol with its names, the newest name first."""
        async with self.connection("reading the names") as connection:
            return [(row["symbol"], row["names"]) for row in await connection.fetch(_LISTED)]

    async def levels(self, sector: str, start: datetime, end: datetime) -> list[IndexReading]:
        """The index of a sector, the last answer for each slot; ka20003 goes before ka20006."""
        async with self.connection("reading an index") as connection:
            return [IndexReading(*row) for row in await connection.fetch(_LEVELS, sector, start, end)]

    async def repaired_breadth(self, target: int, start: datetime, end: datetime) -> list[Breadth]:
        """The breadth of the reconstructed rows of a target's missed and failed slots."""
        async with self.connection("weighing reconstructed rows") as connection:
            return [Breadth(*row) for row in await connection.fetch(_REPAIRED_BREADTH, target, start, end)]

    async def repaired_quotes(self, symbol: str, day: date) -> list[ListingQuote]:
        """The reconstructed rows of a listing on a day."""
        async with self.connection("reading reconstructed rows") as connection:
            return [ListingQuote(*row) for row in await connection.fetch(_REPAIRED_QUOTES, symbol, day)]
