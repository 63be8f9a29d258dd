"""A warm process for commands, as in `tests.cli`; one object store and one day of rows for all tests of a worker."""

from collections.abc import AsyncIterator

import pytest

from tests.cli.conftest import _warm
from tests.support.filled_databases import filled, two_days
from tests.support.object_server import ObjectServer, object_server

__all__ = ["_warm", "filled", "two_days"]


@pytest.fixture(scope="session")
async def objects() -> AsyncIterator[ObjectServer]:
    async with object_server() as running:
        yield running


@pytest.fixture
def bucket(objects: ObjectServer) -> str:
    """An empty bucket of the test's own."""
    return objects.make_bucket()
