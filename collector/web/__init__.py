"""The eyes: a page, metrics and health over HTTP. It only reads, and is safe to leave open."""

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
    """Serve while the block runs; the address to open. ConfigError if it cannot be listened on.

    `open_database` is asked again whenever the database could not be reached; `configured` says what is in
    force, each time.
    """
    source = DatabaseConnection(open_database, configured, live, now)
    site = Routes(source, live, home)
    async with serving(host, port, guard, site.respond) as taken, source.keep_open():
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{taken}/"
