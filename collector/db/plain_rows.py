"""The rows of a day out of the view `snapshot`, one by one: for an export that needs no package for Parquet."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

from collector.base.days import day_bounds
from collector.db.database import Database
from collector.errors import ConfigError

PATIENCE = 900.0
"""Seconds for one day; one of 20 million rows takes about three minutes."""
_BATCH = 2000
_PATIENT = "SET LOCAL statement_timeout = '900s'"
_ARCHIVED = """
SELECT EXISTS (SELECT FROM collector.archive WHERE day = $1 AND restored_at IS NULL)
"""
_ROWS = """
SELECT s.*, w.status
FROM public.snapshot AS s
JOIN public.walk AS w USING (slot, market, sector, exchange)
WHERE s.slot >= $1 AND s.slot < $2 AND w.slot >= $1 AND w.slot < $2
ORDER BY s.exchange COLLATE "C", s.symbol COLLATE "C", s.name COLLATE "C", s.slot, s.market COLLATE "C",
         s.sector COLLATE "C", s.position
"""


async def iterate_day(database: Database, day: date) -> AsyncIterator[tuple[Any, ...]]:
    """The rows of one day, sorted by exchange, listing and slot; ConfigError if they are in Parquet files."""
    start, end = day_bounds(day)
    async with (
        database.connection(f"reading {day}", timeout=PATIENCE) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_PATIENT)
        if await connection.fetchval(_ARCHIVED, day):
            raise ConfigError(
                f"the rows of {day} are in Parquet files, and the package pyarrow is not installed",
                hint="pip install pyarrow",
            )
        async for row in connection.cursor(_ROWS, start, end, prefetch=_BATCH):
            yield tuple(row)
