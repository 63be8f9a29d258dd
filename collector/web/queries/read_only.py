"""Read-only access to the database, limited in time, for the pages.

Rows lie in daily partitions with a BRIN index on (slot, target). A query with its slots as parameters reads a
small part of one day.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collector.db.database import Database
from collector.db.pool import Connection

QUERY_TIMEOUT = 5.0
# Force custom plans. From the sixth execution on PostgreSQL tries a generic plan. It covers all partitions, and
# planning takes a third of a second with a year of days.
_BOUNDS = """
SET TRANSACTION READ ONLY;
SET LOCAL statement_timeout = '3s';
SET LOCAL plan_cache_mode = force_custom_plan
"""


@dataclass(frozen=True)
class ReadOnlyDatabase:
    """One method per query. StoreError if the database does not answer in time."""

    database: Database

    @asynccontextmanager
    async def connection(self, what: str) -> AsyncIterator[Connection]:
        """A read-only transaction with a statement timeout."""
        async with self.database.transaction(what, timeout=QUERY_TIMEOUT) as connection:
            await connection.execute(_BOUNDS)
            yield connection
