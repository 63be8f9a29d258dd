"""Databases of a test's own with days of rows, copied from one that is filled once."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from collector.db.dsn import Dsn
from tests.support.archive_harness import DAY, fill
from tests.support.prepared_databases import PreparedDatabases


@pytest.fixture
async def filled(prepared: PreparedDatabases) -> AsyncIterator[Dsn]:
    """A database with one day of rows."""
    async with prepared.copy("a day", fill) as (address, _):
        yield address


@pytest.fixture
async def two_days(prepared: PreparedDatabases) -> AsyncIterator[Dsn]:
    """The same with the day before, too."""

    async def fill_both(address: Dsn) -> None:
        await fill(address)
        await fill(address, DAY - timedelta(days=1))

    async with prepared.copy("two days", fill_both) as (address, _):
        yield address
