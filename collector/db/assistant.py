"""What an assistant may ask: each question in a transaction of its own, as the role that only reads, with limits."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import ConfigError

MOST_ROWS = 1000
"""Rows of one answer at most: more than that fills an assistant's memory and answers nothing."""
SECONDS = 20.0
"""How long one question may run; a question over a year takes about two seconds."""

_LIMIT = "SET LOCAL statement_timeout = '20s'"
_AS_READER = "SET LOCAL ROLE collector_reader"
_IS_READER = """
SELECT to_regrole('collector_reader') IS NOT NULL
   AND pg_has_role(current_user, to_regrole('collector_reader'), 'MEMBER')
"""
_FRESHNESS = """
SELECT t.market, t.exchange, count(*) AS targets, max(n.slot) AS newest_complete, min(n.slot) AS oldest_of_the_newest,
       (SELECT kind FROM collector.origin LIMIT 1) AS source
FROM collector.target AS t
LEFT JOIN LATERAL (
    SELECT w.slot FROM collector.walk AS w
    WHERE w.target = t.id AND w.status = 'complete'
    ORDER BY w.slot DESC
    LIMIT 1
) AS n ON true
GROUP BY t.market, t.exchange
ORDER BY t.market, t.exchange
"""
_BREADTH = "SELECT * FROM public.breadth($1, $2, $3, $4)"
_SECTOR_DAYS = "SELECT * FROM public.sector_days($1, $2, $3, $4)"


class Answer(NamedTuple):
    """Rows with the names of their columns; `is_cut` says that there were more."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]
    is_cut: bool


async def refuse_without_role(database: Database) -> None:
    """ConfigError unless this session may become the role that only reads."""
    async with database.connection("looking for the reading role") as connection:
        if not await connection.fetchval(_IS_READER):
            raise ConfigError(
                "there is no role collector_reader that this user may take",
                hint="run `collector migrate`; it makes the role, or says which statements do",
            )


async def ask_sql(database: Database, query: str, *values: object, most: int = MOST_ROWS) -> Answer:
    """The first rows of one statement; StoreError, or ConfigError for a statement without rows."""
    async with _reading(database) as connection:
        statement = await connection.prepare(query)
        columns = [attribute.name for attribute in statement.get_attributes()]
        if not columns:
            raise ConfigError("the statement gives no rows", hint="this server only reads: SELECT …")
        try:
            cursor = await statement.cursor(*values)
        except asyncpg.InterfaceError as error:
            raise ConfigError(f"the statement cannot be read: {error}") from None
        limit = most + 1
        rows = [tuple(row) for row in await cursor.fetch(limit)]
    return Answer(columns, rows[:most], len(rows) > most)


async def ask_freshness(database: Database) -> Answer:
    """Of each market and exchange: how many targets, and the newest complete slots."""
    async with database.connection("asking how fresh it is") as connection:
        rows = await connection.fetch(_FRESHNESS)
    return Answer(list(rows[0].keys()) if rows else [], [tuple(row) for row in rows], is_cut=False)


async def ask_breadth(database: Database, *values: object) -> Answer:
    """A sector's day by slot: market, sector, exchange, day."""
    return await ask_sql(database, _BREADTH, *values)


async def ask_sector_days(database: Database, *values: object) -> Answer:
    """All sectors at once: market or None, exchange, first day, last day."""
    return await ask_sql(database, _SECTOR_DAYS, *values)


@asynccontextmanager
async def _reading(database: Database) -> AsyncIterator[Connection]:
    async with (
        database.connection("asking, read-only", timeout=SECONDS + 5) as connection,
        connection.transaction(readonly=True),
    ):
        await connection.execute(_LIMIT)
        await connection.execute(_AS_READER)
        yield connection
