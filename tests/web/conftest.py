"""One page for all tests that only look."""

from collections.abc import AsyncIterator

import pytest

from collector.postgres import open_pool
from collector.postgres.database import Database
from tests.database import Server
from tests.web import stage
from tests.web.stage import Page


@pytest.fixture(scope="session")
async def shown(server: Server, template: str) -> AsyncIterator[Page]:
    """The page over a morning in a database of its own."""
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await stage.fill(Database(pool, address))
        async with stage.page(address) as page:
            yield page
