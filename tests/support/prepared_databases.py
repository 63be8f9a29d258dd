"""Databases that several tests begin with: each is filled once a run, and a test gets a copy."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from collector.db.dsn import Dsn
from tests.support.postgres_server import Server


class PreparedDatabases:
    """The filled databases of a run, by a name for what is in them."""

    def __init__(self, server: Server, template: str, stack: AsyncExitStack) -> None:
        self._server = server
        self._template = template
        self._stack = stack
        self._made: dict[Hashable, tuple[str, Any]] = {}

    @asynccontextmanager
    async def copy(
        self, name: Hashable, fill: Callable[[Dsn], Awaitable[Any]]
    ) -> AsyncIterator[tuple[Dsn, Any]]:
        """A copy of the database of this name, and what `fill` returned when it filled the first one."""
        if name not in self._made:
            first = await self._stack.enter_async_context(self._server.database(template=self._template))
            self._made[name] = first.database, await fill(first)
        database, found = self._made[name]
        async with self._server.database(template=database) as address:
            yield address, found
