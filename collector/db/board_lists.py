"""Stores the listings of a board as ka10099 gave them, and reads the newest list."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from collector.db.database import Database
from collector.market.witness_values import ListingFact
from collector.model import Market

# The list is the newest of the board; each listing has the facts that counted on that day.
_NEWEST_LIST = """
WITH newest AS (
    SELECT asked_at, symbols, is_whole
    FROM collector.board_list
    WHERE board = $1 AND asked_at >= $2 AND ($3::timestamptz IS NULL OR asked_at <= $3)
    ORDER BY asked_at DESC
    LIMIT 1
)
SELECT n.asked_at, n.is_whole, f.*
FROM newest AS n
CROSS JOIN LATERAL unnest(n.symbols) AS s (symbol)
CROSS JOIN LATERAL (
    SELECT *
    FROM collector.listing_fact AS k
    WHERE k.symbol = s.symbol AND k.as_of <= (n.asked_at AT TIME ZONE INTERVAL '9 hours')::date
    ORDER BY k.as_of DESC
    LIMIT 1
) AS f
ORDER BY f.symbol COLLATE "C"
"""
_KEEP_LIST = """
INSERT INTO collector.board_list (board, asked_at, symbols, is_whole)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""
# Only what differs from the newest line of a listing is written.
_KEEP_FACTS = """
INSERT INTO collector.listing_fact AS f (
    symbol, as_of, name, kind, market, code, industry, size, department, shares, listed_on, state, nxt
)
SELECT n.symbol, $1, n.name, n.kind, $2, n.code, n.industry, n.size, n.department, n.shares, n.listed_on, n.state,
       n.nxt
FROM unnest(
    $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
    $11::date[], $12::text[], $13::boolean[]
) AS n (symbol, name, kind, code, industry, size, department, shares, listed_on, state, nxt)
LEFT JOIN LATERAL (
    SELECT *
    FROM collector.listing_fact AS k
    WHERE k.symbol = n.symbol AND k.as_of <= $1
    ORDER BY k.as_of DESC
    LIMIT 1
) AS o ON true
WHERE (n.name, n.kind, $2, n.code, n.industry, n.size, n.department, n.shares, n.listed_on, n.state, n.nxt)
      IS DISTINCT FROM
      (o.name, o.kind, o.market, o.code, o.industry, o.size, o.department, o.shares, o.listed_on, o.state, o.nxt)
ORDER BY n.symbol
ON CONFLICT (symbol, as_of) DO UPDATE
SET name = EXCLUDED.name, kind = EXCLUDED.kind, market = EXCLUDED.market, code = EXCLUDED.code,
    industry = EXCLUDED.industry, size = EXCLUDED.size, department = EXCLUDED.department, shares = EXCLUDED.shares,
    listed_on = EXCLUDED.listed_on, state = EXCLUDED.state, nxt = EXCLUDED.nxt
"""


class StoredList(NamedTuple):
    """The newest list of a board that the database holds."""

    asked_at: datetime
    facts: Sequence[ListingFact]
    is_whole: bool


class BoardListStore:
    """The tables of listings. Errors are StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_list(
        self, board: Market, since: datetime, *, until: datetime | None = None
    ) -> StoredList | None:
        """The newest list of a board that was asked for at or after `since`, and not after `until`."""
        async with self._database.connection("reading the listings of a board") as connection:
            rows = await connection.fetch(_NEWEST_LIST, board, since, until)
        if not rows:
            return None
        return StoredList(rows[0]["asked_at"], [_fact(row) for row in rows], rows[0]["is_whole"])

    async def list_at(self, board: Market, asked_at: datetime) -> StoredList | None:
        """The list of a board that arrived at this very instant."""
        stored = await self.newest_list(board, asked_at, until=asked_at)
        return stored if stored is not None and stored.asked_at == asked_at else None

    async def keep_list(
        self, board: Market, day: date, asked_at: datetime, facts: Sequence[ListingFact], *, is_whole: bool
    ) -> None:
        """Store a list of listings, and of each listing what is new since the days before `day`."""
        columns = [list(column) for column in zip(*map(_fact_values, facts), strict=True)]
        async with self._database.transaction("keeping the listings of a board") as connection:
            await connection.execute(_KEEP_LIST, board, asked_at, columns[0], is_whole)
            await connection.execute(_KEEP_FACTS, day, board, *columns)


def _fact(row: Mapping[str, Any]) -> ListingFact:
    return ListingFact(
        symbol=row["symbol"],
        name=row["name"],
        kind=row["kind"],
        market_code=row["code"],
        industry=row["industry"],
        size=row["size"],
        shares=row["shares"],
        listed_on=row["listed_on"],
        state=row["state"],
        nxt=row["nxt"],
        department=row["department"],
    )


def _fact_values(fact: ListingFact) -> tuple[Any, ...]:
    return (
        *(fact.symbol, fact.name, fact.kind, fact.market_code, fact.industry, fact.size, fact.department),
        *(fact.shares, fact.listed_on, fact.state, fact.nxt),
    )
