"""`collector simulate`: Kiwoom's REST API on a loopback port, for trying things out without a key."""

import asyncio
import signal
import sys
from datetime import datetime, timedelta

import click

from collector import duration
from collector.model import KST
from collector.simulator import Options, Simulator, serve_forever


class Span(click.ParamType[timedelta]):
    """A length of time such as 20ms or 24h."""

    name = "time"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return duration.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Instant(click.ParamType[datetime]):
    """A point in time, ISO 8601; without an offset it is Korea's time."""

    name = "instant"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant; allowed is for example 2026-11-20T10:00", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=KST)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8021, show_default=True, help="0: any free port.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another market.")
@click.option("--quota", type=int, help="Requests a second per key and api-id; 0: off.")
@click.option("--latency", type=Span(), default="0ms", help="Time a request is under way.")
@click.option("--jitter", type=Span(), default="0ms", help="Added to it at random, up to this much.")
@click.option("--freeze", type=Instant(), help="Prices stand still at this instant.")
@click.option("--now", type=Instant(), help="The market's clock starts here.")
def simulate(**chosen: object) -> None:
    """Serve a simulated Kiwoom REST API until stopped."""
    options = Options(**chosen)  # type: ignore[arg-type]
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        click.echo(f"collector: cannot listen on {options.host}:{options.port}: {error.strerror}", err=True)
        sys.exit(2)


async def _serve(options: Options) -> None:
    task = asyncio.ensure_future(serve_forever(options, _announce))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


def _announce(simulator: Simulator) -> None:
    click.echo(f"simulator listening on {simulator.url}")
    sys.stdout.flush()
