"""What the daemon's tests share: a database as the program holds one."""

from collections.abc import AsyncIterator

import pytest

from collector.postgres import Dsn, open_pool
from collector.postgres.database import Database


@pytest.fixture
async def held(database: Dsn) -> AsyncIterator[Database]:
    """A pool on a database of the test's own."""
    async with open_pool(database, size=4) as pool:
        yield Database(pool, database)
