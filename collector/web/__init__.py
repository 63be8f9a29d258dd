"""The status page, the metrics and the health checks over HTTP. This package only reads."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from collector.config import Config
from collector.db.database import Database
from collector.market.calendar import Calendar
from collector.web.access import AccessPolicy, make_access_policy
from collector.web.connection import DatabaseConnection
from collector.web.live import Live
from collector.web.routes import Routes
from collector.web.server import serving

__all__ = ["AccessPolicy", "Live", "make_access_policy", "serve_pages"]


@asynccontextmanager
async def serve_pages(
    open_database: Callable[[], AbstractAsyncContextManager[Database]],
    configured: Callable[[], tuple[Config, Calendar]],
    *,
    live: Live,
    guard: AccessPolicy,
    host: str,
    port: int,
    home: Path,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address of the page. ConfigError if the address is unavailable.

    `open_database` is called again after each loss of the database. `configured` returns the configuration
    and the calendar in force, at each call.
    """
    source = DatabaseConnection(open_database, configured, live, now)
    site = Routes(source, live, home)
    async with serving(host, port, guard, site.respond) as taken, source.keep_open():
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{taken}/"
