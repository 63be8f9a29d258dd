"""What the tests of notices share: a database as the program holds one."""

from collections.abc import AsyncIterator

import pytest

from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool


@pytest.fixture
async def held(database: Dsn) -> AsyncIterator[Database]:
    """A pool on a database of the test's own."""
    async with open_pool(database, size=4) as pool:
        yield Database(pool, database)
