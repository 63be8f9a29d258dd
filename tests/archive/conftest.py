"""Commands are started from a warm process, as those of `tests.cli`; one object store serves all tests of a worker."""

from collections.abc import AsyncIterator

import pytest

from tests.cli.conftest import _warm
from tests.support.object_server import ObjectServer, object_server

__all__ = ["_warm"]


@pytest.fixture(scope="session")
async def objects() -> AsyncIterator[ObjectServer]:
    async with object_server() as running:
        yield running


@pytest.fixture
def bucket(objects: ObjectServer) -> str:
    """An empty bucket of the test's own."""
    return objects.make_bucket()
