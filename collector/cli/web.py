"""`collector web`: the page, the metrics and the health checks, in a process of their own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.options import config_option
from collector.cli.schedule import read_calendar
from collector.config import Config, listen_place
from collector.market.calendar import Calendar
from collector.web import Live, make_access_policy, serve_pages

SESSIONS = 3
"""Database connections of the page, apart from those of sweeps."""


@click.command(
    "web",
    epilog="""\b
Examples:
  collector web                                   prints the address on stdout
  collector web --listen 127.0.0.1:0              on any free port
""",
)
@click.option("--listen", metavar="HOST:PORT", help="Instead of the configuration's web.listen.")
@config_option
def serve(listen: str | None, config_path: Path | None) -> None:
    """Serve the status page, /metrics, /healthz and /readyz, until a signal.

    It only reads. `collector daemon --web` serves the same, with the facts of its own process. A listening
    address other than loopback needs a token: COLLECTOR_WEB_TOKEN_FILE.
    """
    log.configure()
    if listen is not None:
        listen = listen_place(listen, "--listen")
    context = read_context(config_path)
    calendar = read_calendar(Path(context.config.origin))
    run_command(_serve(context, calendar, listen))


async def _serve(context: CliContext, calendar: Calendar, listen: str | None) -> None:
    async with serving(context, lambda: (context.config, calendar), Live(), listen=listen) as address:
        click.echo(address)
        with suppress(asyncio.CancelledError):  # a signal is the normal end
            await asyncio.Event().wait()


@asynccontextmanager
async def serving(
    context: CliContext,
    configured: Callable[[], tuple[Config, Calendar]],
    live: Live,
    *,
    listen: str | None = None,
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address to open. ConfigError if the address is refused or
    unavailable.
    """
    asked = listen or context.environment.web_listen
    web_config = replace(context.config.web, listen=asked) if asked else context.config.web
    guard = make_access_policy(web_config.host, context.environment.web_token, (os.uname().nodename,))
    async with serve_pages(
        partial(bootstrap.open_database, context.environment, size=SESSIONS),
        configured,
        live=live,
        guard=guard,
        host=web_config.host,
        port=web_config.port,
        home=context.environment.home,
    ) as address:
        yield address
