"""Commands are started from a warm process, one for the whole run."""

from collections.abc import AsyncIterator

import pytest

from tests.support.command_process import warmed


@pytest.fixture(scope="session", autouse=True)
async def _warm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    async with warmed(tmp_path_factory.mktemp("commands")):
        yield
