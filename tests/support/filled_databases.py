"""Databases with days of rows, copied from one that was filled once: a fifth of the cost of storing the rows again."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from collector.db.dsn import Dsn
from tests.support.archive_harness import DAY, fill
from tests.support.postgres_server import Server


@pytest.fixture(scope="session")
async def filled_template(server: Server, template: str) -> AsyncIterator[str]:
    async with server.database(template=template) as address:
        await fill(address)
        yield address.database


@pytest.fixture
async def filled(server: Server, filled_template: str) -> AsyncIterator[Dsn]:
    """A database of the test's own with one day of rows."""
    async with server.database(template=filled_template) as address:
        yield address


@pytest.fixture(scope="session")
async def two_days_template(server: Server, filled_template: str) -> AsyncIterator[str]:
    async with server.database(template=filled_template) as address:
        await fill(address, DAY - timedelta(days=1))
        yield address.database


@pytest.fixture
async def two_days(server: Server, two_days_template: str) -> AsyncIterator[Dsn]:
    """The same with the day before, too."""
    async with server.database(template=two_days_template) as address:
        yield address
