"""`collector demo`: the whole main job on simulated input, for whoever wants to see it before reading on."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from collector import config as configuration
from collector import log
from collector.base import resources
from collector.cli import bootstrap
from collector.cli import console as drawing
from collector.cli.context import CliContext, config_option, run_command
from collector.cli.once import report, sweep_now
from collector.cli.schedule import read_calendar
from collector.config import Environment
from collector.errors import CollectorError
from collector.model import Sweep
from collector.secret import Secret
from collector.sweep.sweeper import Collector

_QUOTA = 20
_OURS = ("COLLECTOR_HOME", "COLLECTOR_WEB_LISTEN")
_NOWHERE = "http://127.0.0.1:9"
"""Where no API is: the page asks none."""
_BREADTH = """
SELECT s.market, s.sector, t.name_ko, round(avg(s.change_percent), 2) AS mean,
       count(*) FILTER (WHERE s.change > 0) AS up, count(*) FILTER (WHERE s.change < 0) AS down, count(*) AS all
FROM snapshot AS s
JOIN walk AS w USING (slot, market, sector, exchange)
JOIN unnest($2::text[], $3::text[]) AS t (code, name_ko) ON t.code = s.sector
WHERE s.slot = $1 AND s.exchange = 'KRX' AND w.status = 'complete' AND s.volume > 0
GROUP BY s.market, s.sector, t.name_ko
HAVING count(*) >= 5
ORDER BY mean DESC, s.sector
"""
_NEXT = """
Next:
  {command} web                 the status page, at http://127.0.0.1:8020
  {command} status
  {command} sql "SELECT market, sector, exchange, status, rows FROM walk ORDER BY slot DESC LIMIT 20"
  {command} sql "SELECT * FROM latest WHERE symbol = '005930'"
  {command} check --example > config/my.yaml      then, with a key: {command} once --config config/my.yaml
"""


@click.command(
    epilog="""\b
Examples:
  collector demo
  collector demo --seed 7                         another market
  collector demo --web                            and a page to look at
"""
)
@click.option("--seed", default=1, show_default=True, help="Another seed is another market.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--web", "with_page", is_flag=True, help="Then keep the status page open, until Ctrl+C.")
@config_option
def demo(seed: int, quiet: bool, with_page: bool, config_path: object) -> None:
    """See it work: a simulated API, a private PostgreSQL under COLLECTOR_HOME, one whole sweep.

    Needs no key, no database and no network, and takes a configuration of its own. Nothing is left running; the
    data stays for the next run.
    """
    log.configure(level="warning")
    sweep, breadth = run_command(_demo(seed, quiet=quiet))
    console = drawing.console()
    console.print(drawing.sweep_table(sweep))
    for table in breadth:
        console.print(table)
    click.echo(_NEXT.format(command=_command()))
    if with_page:
        with suppress(SystemExit):  # being told to stop is how this ends
            run_command(_page())
    report(sweep, quiet=True)


async def _demo(seed: int, *, quiet: bool) -> tuple[Sweep, list[Table]]:
    click.echo("starting the simulated API and a private PostgreSQL ...", err=True)
    async with _simulator(seed) as url:
        context = CliContext(_environment(url), _config(url))
        async with bootstrap.open_collector(context) as collector:
            sweep = await sweep_now(context, collector, "demo", None, quiet=quiet)
            return sweep, await _best_and_worst(collector, sweep.slot)


async def _page() -> None:
    """The page over what is stored, until told to stop."""
    from collector.cli import web  # noqa: PLC0415 - most demonstrations show none
    from collector.web import Live  # noqa: PLC0415

    context = CliContext(_environment(_NOWHERE), _config(_NOWHERE))
    calendar = read_calendar(Path(context.config.origin))
    async with web.serving(context, lambda: (context.config, calendar), Live()) as address:
        click.echo(f"open {address} in a browser; Ctrl+C ends it")
        await asyncio.Event().wait()


def _environment(url: str) -> Environment:
    """The operator's home, and keys that open nothing: the real ones stay out of a demonstration."""
    home = {name: os.environ[name] for name in _OURS if name in os.environ}
    keys = Secret("demo-app-key"), Secret("demo-secret-key")
    return replace(configuration.settings(home), base_url=url, app_key=keys[0], secret_key=keys[1])


def _config(url: str) -> configuration.Config:
    return configuration.load(resources.path("config", "demo.yaml"), base_url=url)


@asynccontextmanager
async def _simulator(seed: int) -> AsyncIterator[str]:
    """The simulator in a process of its own, which ends with its standard input, that is: with us."""
    command = (sys.executable, "-m", "collector", "simulate", "--port", "0", "--until-eof")
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--seed", str(seed), "--quota", str(_QUOTA), "--latency", "20ms"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        line = (await process.stdout.readline()).decode().split()
        if not line:
            raise CollectorError("the simulator did not start", hint="see the lines above")
        yield line[-1]
    finally:
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()


async def _best_and_worst(collector: Collector, slot: datetime) -> list[Table]:
    codes, names = zip(*((sector.code, sector.name_ko) for sector in collector.sectors.values()), strict=True)
    async with collector.store.database.connection("ranking the sectors") as connection:
        rows = await connection.fetch(_BREADTH, slot, list(codes), list(names))
    return [_ranking("best sectors of the day", rows[:10]), _ranking("worst", rows[:-11:-1])]


def _ranking(title: str, rows: Sequence[Any]) -> Table:
    table = Table(title=f"{title} (KRX, by mean change)", title_justify="left")
    for name in ("market", "sector", "name"):
        table.add_column(name)
    for name in ("mean", "up", "down", "of"):
        table.add_column(name, justify="right")
    for market, code, name, mean, up, down, of in rows:
        style = "red" if mean > 0 else "blue"  # as in Korea: red is up
        table.add_row(market, code, name, Text(f"{mean:+.2f} %", style), str(up), str(down), str(of))
    return table


def _command() -> str:
    return "./dev run" if resources.is_checkout() else "collector"
