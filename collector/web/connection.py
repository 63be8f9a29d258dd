"""The page's own database connection. It is opened beside the connections of sweeps, and again after a
failure.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime

from collector.config import Config
from collector.db.database import Database
from collector.errors import CollectorError
from collector.log import logger
from collector.market.calendar import Calendar
from collector.web.context import ViewContext
from collector.web.live import Live

_AGAIN = 3.0
_FIRST = 2.0


class DatabaseConnection:
    """A view context while the database is available, else the reason in `trouble`."""

    def __init__(
        self,
        open_database: Callable[[], AbstractAsyncContextManager[Database]],
        configured: Callable[[], tuple[Config, Calendar]],
        live: Live,
        now: Callable[[], datetime],
    ) -> None:
        self.desk: ViewContext | None = None
        self.trouble: str | None = "it has not answered yet"
        self.now = now
        self._open = open_database
        self._configured = configured
        self._live = live
        self._tried = asyncio.Event()

    async def context(self) -> ViewContext | None:
        """The view context, or None. A caller right after the start waits for the first attempt to connect."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST):
                await self._tried.wait()
        return self.desk

    @asynccontextmanager
    async def keep_open(self) -> AsyncIterator[None]:
        """Keep the database open while the block runs."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep(self) -> None:
        while True:
            try:
                async with self._open() as database:
                    self.desk = ViewContext(database, self._configured, self._live, self.now)
                    self.trouble = None
                    self._tried.set()
                    await asyncio.Event().wait()
            except CollectorError as error:
                if self.trouble != str(error):
                    logger.warning("web.database_away", reason=str(error))
                self.trouble = str(error)
                self._tried.set()
            finally:
                self.desk = None
            await asyncio.sleep(_AGAIN)
