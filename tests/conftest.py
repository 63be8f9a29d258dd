"""What every test may ask for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.postgres import Address
from tests import database as databases
from tests.database import Server


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The run's PostgreSQL: DATABASE_URL, or a private one."""
    async with databases.server(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
async def template(server: Server) -> AsyncIterator[str]:
    """The name of the database that `database` is copied from."""
    async with databases.migrated(server) as name:
        yield name


@pytest.fixture
async def database(server: Server, template: str) -> AsyncIterator[Address]:
    """A database of the test's own, with the real schema."""
    async with server.database(template=template) as address:
        yield address


@pytest.fixture
async def blank(server: Server) -> AsyncIterator[Address]:
    """A database of the test's own with nothing in it."""
    async with server.database(options="ENCODING 'UTF8'") as address:
        yield address


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A COLLECTOR_HOME of the test's own."""
    return tmp_path / "home"
