"""One page for all tests that only look, and one browser."""

from collections.abc import AsyncIterator

import pytest

from collector.db.database import Database
from collector.db.pool import open_pool
from tests.support import browser_tabs, web_harness
from tests.support.browser_tabs import Tabs
from tests.support.postgres_server import Server
from tests.support.web_harness import Page


@pytest.fixture(scope="session")
async def shown(server: Server, template: str) -> AsyncIterator[Page]:
    """The page over a morning in a database of its own."""
    async with server.database(template=template) as address:
        async with open_pool(address, size=3) as pool:
            await web_harness.fill(Database(pool, address))
        async with web_harness.page(address) as page:
            yield page


@pytest.fixture(scope="session")
async def tabs() -> AsyncIterator[Tabs]:
    """The browser of the tests that need a real one."""
    if browser_tabs.CHROMIUM is None:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    async with browser_tabs.launched() as running:
        yield running
