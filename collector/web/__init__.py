"""The eyes: a page, metrics and health over HTTP. It only reads, and is safe to leave open."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from collector.calendar import Calendar
from collector.config import Config
from collector.postgres.database import Database
from collector.web.guard import Guard, guard_for
from collector.web.http import serving
from collector.web.live import Live
from collector.web.site import Site
from collector.web.source import Source

__all__ = ["Guard", "Live", "guard_for", "served"]


@asynccontextmanager
async def served(
    open_database: Callable[[], AbstractAsyncContextManager[Database]],
    configured: Callable[[], tuple[Config, Calendar]],
    *,
    live: Live,
    guard: Guard,
    host: str,
    port: int,
    home: Path,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[str]:
    """Serve while the block runs; the address to open. ConfigError if it cannot be listened on.

    `open_database` is asked again whenever the database could not be reached; `configured` says what is in
    force, each time.
    """
    source = Source(open_database, configured, live, now)
    site = Site(source, live, home)
    async with serving(host, port, guard, site.respond) as taken, source.kept():
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{taken}/"
