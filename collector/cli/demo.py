"""`collector demo`: one whole sweep on simulated input."""

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
from collector.cli.console import console, print_table, sweep_table
from collector.cli.context import CliContext, run_command
from collector.cli.once_job import report, sweep_now
from collector.cli.options import unused_config_option
from collector.cli.schedule import read_calendar
from collector.config import Environment
from collector.db.sector_ranking import rank_sectors
from collector.errors import CollectorError
from collector.model import Sweep
from collector.secret import Secret
from collector.sweep.sweeper import Collector

_QUOTA = 20
_SEED = 1
"""The default market."""
_OURS = ("COLLECTOR_HOME", "COLLECTOR_WEB_LISTEN")
_NOWHERE = "http://127.0.0.1:9"
"""An address without an API. The page sends no requests."""
_NEXT_PAGE = """\
  {command} web                 the status page, at http://127.0.0.1:8020
"""
_NEXT = """
Next:
{page}  {command} status
  {command} sql "SELECT market, sector, exchange, status, rows FROM walk ORDER BY slot DESC LIMIT 20"
  {command} sql "SELECT name, volume FROM latest WHERE sector = '013' AND exchange = 'KRX' ORDER BY 2 DESC LIMIT 5"
  {command} check --example > config/my.yaml      then, with a key: {command} once --config config/my.yaml
"""


@click.command(
    epilog="""\b
Examples:
  collector demo
  collector demo --seed 7                         another market
  collector demo --web                            with the status page
"""
)
@click.option(
    "--seed", default=_SEED, show_default=True, help="Seed of the simulated market; each has its own home."
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--web", "with_page", is_flag=True, help="Then serve the status page, until Ctrl+C.")
@unused_config_option
def demo(seed: int, quiet: bool, with_page: bool, config_path: object) -> None:
    """Try the program: a simulated API, a private PostgreSQL under COLLECTOR_HOME, one whole sweep.

    Needs no key, no database, no network and no configuration. Nothing is left running. The data stays for
    the next run.
    """
    log.configure(level="warning")
    sweep, breadth = run_command(_demo(seed, quiet=quiet))
    output = console()
    print_table(output, sweep_table(sweep))
    for table in breadth:
        print_table(output, table)
    click.echo(next_steps(_command(seed), with_page=with_page))
    if with_page:
        with suppress(SystemExit):  # a signal is the normal end
            run_command(_page(seed))
    report(sweep, quiet=True)


async def _demo(seed: int, *, quiet: bool) -> tuple[Sweep, list[Table]]:
    click.echo("starting the simulated API and a private PostgreSQL ...", err=True)
    async with _simulator(seed) as url:
        context = CliContext(_environment(url, seed), _config(url))
        async with bootstrap.open_collector(context) as plain:
            calendar = read_calendar(Path(context.config.origin))
            witness = bootstrap.make_witness(plain, context.config, calendar)
            collector = replace(plain, witness=witness)
            sweep = await sweep_now(context, collector, "demo", None, quiet=quiet)
            return sweep, await _best_and_worst(collector, sweep.slot)


async def _page(seed: int) -> None:
    """Serve the page over the stored data until a signal."""
    from collector.cli import web  # noqa: PLC0415 - most demos serve no page
    from collector.web import Live  # noqa: PLC0415

    context = CliContext(_environment(_NOWHERE, seed), _config(_NOWHERE))
    calendar = read_calendar(Path(context.config.origin))
    async with web.serving(context, lambda: (context.config, calendar), Live()) as address:
        click.echo(f"open {address} in a browser; Ctrl+C ends it")
        await asyncio.Event().wait()


def _environment(url: str, seed: int) -> Environment:
    """The operator's home with invalid keys. The real keys stay out of a demo."""
    home = {name: os.environ[name] for name in _OURS if name in os.environ}
    keys = Secret("demo-app-key"), Secret("demo-secret-key")
    settings = configuration.settings(home)
    return replace(
        settings, home=_home(settings.home, seed), base_url=url, app_key=keys[0], secret_key=keys[1]
    )


def _home(home: Path, seed: int) -> Path:
    """One folder for each seed. Two markets in one database would contradict each other."""
    return home if seed == _SEED else home / f"demo-{seed}"


def _config(url: str) -> configuration.Config:
    return configuration.load(resources.path("config", "demo.yaml"), base_url=url)


@asynccontextmanager
async def _simulator(seed: int) -> AsyncIterator[str]:
    """The simulator in a child process. It ends with its standard input, and so with this process."""
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
        rows = await rank_sectors(connection, slot, codes, names)
    return [_ranking("best sectors of the day", rows[:10]), _ranking("worst", rows[:-11:-1])]


def _ranking(title: str, rows: Sequence[Any]) -> Table:
    table = Table(title=f"{title} (KRX, by mean change)", title_justify="left")
    for name in ("market", "sector", "name"):
        table.add_column(name)
    for name in ("mean", "up", "down", "of"):
        table.add_column(name, justify="right")
    for market, code, name, mean, up, down, of in rows:
        style = "red" if mean > 0 else "blue"  # Korean convention: red is up
        table.add_row(market, code, name, Text(f"{mean:+.2f} %", style), str(up), str(down), str(of))
    return table


def next_steps(command: str, *, with_page: bool) -> str:
    """Commands to try next. The page is left out if this command serves it."""
    page = "" if with_page else _NEXT_PAGE.format(command=command)
    return _NEXT.format(command=command, page=page)


def _command(seed: int) -> str:
    command = "./dev run" if resources.is_checkout() else "collector"
    home = configuration.settings({name: os.environ[name] for name in _OURS if name in os.environ}).home
    return command if seed == _SEED else f"COLLECTOR_HOME={_home(home, seed)} {command}"
