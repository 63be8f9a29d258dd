"""`collector plan`: the cost of a sweep, and a check of the schedules against the quota."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from collector import log
from collector.cli import bootstrap, feasibility
from collector.cli.console import console, print_table
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.schedule import read_calendar
from collector.config import ScheduleSpec
from collector.db import outlook
from collector.model import KST
from collector.sweep.estimate import Estimate, megabytes


def run(universe: str | None, config_path: Path | None) -> None:
    """Do the work of `collector plan`."""
    log.configure(level="warning")
    context = read_context(config_path, universe)
    tables, complaint = run_command(_plan(context, universe))
    for table in tables:
        print_table(console(), table)
    click.echo(outlook.in_words(datetime.now(KST).date(), context.config.database.keep_days))
    if complaint:
        click.echo(complaint, err=True)
        raise SystemExit(1)


async def _plan(context: CliContext, universe: str | None) -> tuple[Sequence[Table], str | None]:
    calendar = read_calendar(Path(context.config.origin))
    async with bootstrap.open_database(context.environment) as database:
        forecast = await feasibility.forecast(context.config, calendar, database, datetime.now(UTC))
    tables = [_universes(list(context.config.universes) if universe is None else [universe], forecast)]
    if context.config.schedules and universe is None:
        tables.append(_schedules(context, forecast))
    return tables, forecast.complaint if universe is None else None


def _universes(names: Sequence[str], forecast: feasibility.Forecast) -> Table:
    quota = f"{forecast.per_second} requests/s" if forecast.per_second else "no quota"
    table = Table("universe", title=f"one sweep at {quota}", title_justify="left")
    for name in ("targets", "rows", "requests", "seconds"):
        table.add_column(name, justify="right")
    for name in names:
        table.add_row(name, *_figures(forecast.costs[name], forecast.per_second))
    return table


def _figures(cost: Estimate, per_second: int) -> tuple[str, ...]:
    return f"{cost.targets}", f"{cost.rows:,}", f"{cost.requests:,}", f"{cost.seconds(per_second):.0f}"


def _schedules(context: CliContext, forecast: feasibility.Forecast) -> Table:
    table = Table("schedule", "when", title="schedules", title_justify="left")
    for name in ("targets", "rows", "requests", "seconds", "ends after", "a day", "MB a day", "MB a year"):
        table.add_column(name, justify="right")
    for schedule in context.config.schedules:
        name = schedule.name
        cost, sweeps = forecast.costs[schedule.universe], forecast.sweeps_a_day[name]
        ends = forecast.ends.get(name)
        table.add_row(
            name,
            _when(context.config.schedule_specs[name]),
            *_figures(cost, forecast.per_second),
            f"{ends.total_seconds():.0f} s" if ends is not None else "too late",
            f"{sweeps}",
            f"{megabytes(cost.rows, sweeps):,.1f}",
            f"{megabytes(cost.rows, forecast.sweeps_a_year[name]):,.0f}",
        )
    return table


def _when(spec: ScheduleSpec) -> str:
    return spec.at if spec.at is not None else f"every {spec.every} during {spec.during}"
