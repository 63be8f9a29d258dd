"""Any query of a user in a read-only transaction, and the names that it may use."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import ConfigError

_BATCH = 1000
"""Rows fetched at a time."""
_SECONDS = 330.0
"""Time limit of the connection: a little more than the server's limit, so that the server reports it."""
_LIMIT = "SET LOCAL statement_timeout = '300s'"
_RELATIONS = """
SELECT c.relname AS name
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1
"""
_COLUMNS = """
SELECT DISTINCT a.attname AS name
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname = ANY ($1::text[])
ORDER BY 1
"""
_FUNCTIONS = """
SELECT DISTINCT p.proname AS name
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
ORDER BY 1
"""


async def run(database: Database, query: str) -> AsyncGenerator[tuple[Any, ...], None]:
    """The names of the columns, then the rows. Every OSError in here counts as a connection error."""
    async with (
        database.connection("asking, read-only", timeout=_SECONDS) as connection,
        connection.transaction(readonly=True),
    ):
        await connection.execute(_LIMIT)
        statement = await connection.prepare(query)
        columns = tuple(attribute.name for attribute in statement.get_attributes())
        if not columns:
            raise ConfigError("the query returns no rows", hint="this command only reads: SELECT …")
        yield columns
        try:
            async for row in statement.cursor(prefetch=_BATCH):
                yield tuple(row)
        except (OverflowError, ValueError) as error:  # raised by the driver
            raise ConfigError(
                "the query returns a date beyond the years 1 to 9999", hint="cast it to text: COLUMN::text"
            ) from error


async def list_relations(connection: Connection, words: Sequence[str]) -> list[str]:
    """The tables and views of schema `public`."""
    return [row["name"] for row in await connection.fetch(_RELATIONS)]


async def list_columns(connection: Connection, words: Sequence[str]) -> list[str]:
    """The columns of the tables and views among the words of a query."""
    return [row["name"] for row in await connection.fetch(_COLUMNS, words)]


async def list_functions(connection: Connection, words: Sequence[str]) -> list[str]:
    """The functions of schema `public`."""
    return [row["name"] for row in await connection.fetch(_FUNCTIONS)]
