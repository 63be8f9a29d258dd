"""`collector backfill`: find the gaps of a past period and fill the fillable ones."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from pathlib import Path

import click
from rich.table import Table

from collector import log
from collector.backfill import BackfillRunner, Cost, Judge, Plan, Report, parse_period
from collector.cli import bootstrap
from collector.cli.console import console, print_table, progress
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.main import complain
from collector.cli.schedule import read_calendar
from collector.config import build_timetable
from collector.daemon import SlotAccounting
from collector.db import clocks
from collector.db.catalog import Registry
from collector.db.snapshots import SnapshotStore
from collector.errors import CollectorError, Denied, StoreError
from collector.log import logger
from collector.market import sectors
from collector.market.calendar import Calendar, kst
from collector.market.stale import open_exchanges
from collector.model import KST, Sector, Target
from collector.sweep.progress import SweepProgress

_LISTED = 20
"""Lines on stderr for unfilled targets. The ledger has all of them."""
_NOT_TO_BE_HAD = "ka20002 has no date: past states are not available"


def run(
    *,
    first: date,
    last: date,
    universe: str | None,
    adjusted: bool,
    indices: bool,
    flows: bool,
    dry_run: bool,
    quiet: bool,
    config_path: Path | None,
) -> None:
    """Do the work of `collector backfill`."""
    log.configure(level="warning" if quiet or sys.stderr.isatty() else "info")
    context = read_context(config_path, universe)
    asked = _BackfillCommand(
        context, first, last, universe, adjusted=adjusted, indices=indices, flows=flows, quiet=quiet
    )
    if dry_run:
        run_command(asked.show_plan())
    else:
        _report(run_command(asked.fill()), quiet=quiet)


class _BackfillCommand:
    """One backfill with its options and its configuration."""

    def __init__(
        self,
        context: CliContext,
        first: date,
        last: date,
        universe: str | None,
        *,
        adjusted: bool,
        indices: bool,
        flows: bool,
        quiet: bool,
    ) -> None:
        self._indices, self._flows = indices, flows
        self._context = context
        self._calendar = read_calendar(Path(context.config.origin))
        self._period = parse_period(first, last, self._calendar, datetime.now(UTC))
        self._names = list(context.config.universes) if universe is None else [universe]
        self._adjusted = adjusted
        self._quiet = quiet

    async def show_plan(self) -> None:
        """Print the plan. Needs the database, but neither the key nor the API."""
        async with bootstrap.open_database(self._context.environment) as database:
            registry = Registry(database)
            await registry.open()
            table = await registry.sectors() or sectors.bundled_sectors()
            work = self._work(SnapshotStore(database, registry), table)
            _print(await work.plan(), self._context.config.api.requests_per_second)

    async def fill(self) -> Report:
        """Run the plan. An error that ends it early is reported with the stored part."""
        report = Report()
        async with bootstrap.open_collector(self._context, patient=True) as collector:
            await clocks.refuse_apart(collector.store.database, lambda: datetime.now(UTC))
            work = self._work(collector.store, collector.sectors)
            planned = await work.plan()
            if not self._quiet:
                _print(planned, self._context.config.api.requests_per_second)
            try:
                await work.run(planned, collector, report, self._progress)
            except (StoreError, Denied) as error:
                _give_up(error, report)
        return report

    def _work(self, store: SnapshotStore, table: Mapping[str, Sector]) -> BackfillRunner:
        return BackfillRunner(
            store=store,
            sectors=table,
            timetable=build_timetable(self._context.config, self._calendar, table, self._names),
            period=self._period,
            adjusted=self._adjusted,
            judge=stale_check(store, self._calendar),
            with_indices=self._indices,
            with_flows=self._flows,
        )

    def _progress(self, title: str, tally: SweepProgress) -> AbstractAsyncContextManager[None]:
        return progress(tally, shown=not self._quiet, title=title)


def stale_check(store: SnapshotStore, calendar: Calendar) -> Judge:
    """Detects a market closure missing from the calendar the way the daemon would have."""
    accounts = SlotAccounting(store.database, store.registry)

    async def judge(slot: datetime, targets: Sequence[Target]) -> None:
        if await accounts.flag_stale(slot, targets, open_exchanges(calendar, slot)):
            logger.error("calendar.closed_day", slot=kst(slot).isoformat(), day=kst(slot).date().isoformat())

    return judge


def _give_up(error: CollectorError, report: Report) -> None:
    """Raise the error if nothing was fetched. Otherwise report it with the stored part, and exit with 1."""
    if not report.has_fetched:
        raise error
    complain(error)
    click.echo(f"{_summarize_stored(report)} before that; the same command continues", err=True)
    raise SystemExit(1)


def _report(report: Report, *, quiet: bool) -> None:
    if not quiet:
        click.echo(f"{_summarize_stored(report)}, {report.requests:,} requests")
    for unfilled in report.unfilled[:_LISTED]:
        click.echo(str(unfilled), err=True)
    if len(report.unfilled) > _LISTED:
        more = len(report.unfilled) - _LISTED
        click.echo(f"and {more:,} more; see the incomplete ones with `collector sql` in bar_walk", err=True)
    if not report.is_whole:
        raise SystemExit(1)


def _summarize_stored(report: Report) -> str:
    parts = [f"{report.listings:,} listings with {report.bars:,} bars"]
    if report.index_days:
        parts.append(f"{report.index_days:,} index levels")
    if report.flow_days:
        parts.append(f"{report.flow_days:,} days of flows")
    if report.late_walks:
        parts.append(f"{report.late_walks:,} late walks")
    if report.member_walks:
        parts.append(f"{report.member_walks:,} walks for their members")
    if report.by_others:
        parts.append(f"{report.by_others:,} listings by another backfill")
    return f"stored {', '.join(parts)}"


def _print(plan: Plan, per_second: int) -> None:
    """Print the plan: the source of each part, and the parts that stay missing."""
    output = console()
    if plan.total.requests:
        print_table(output, _table(plan, per_second))
    else:
        output.print("nothing fillable is missing")
    for line in _staying(plan):
        output.print(f"stays missing: {line}")


def _table(plan: Plan, per_second: int) -> Table:
    title = f"{plan.period.first} to {plan.period.last}" + (", adjusted prices" if plan.adjusted else "")
    table = Table("what", "missing", "from", title=title, title_justify="left")
    for name in ("requests", "seconds", "rows", "MB"):
        table.add_column(name, justify="right")
    for what, lacking, source, cost in _lines(plan):
        table.add_row(what, lacking, source, *_figures(cost, per_second))
    table.add_section()
    table.add_row("all", "", "", *_figures(plan.total, per_second), style="bold")
    return table


def _lines(plan: Plan) -> Iterator[tuple[str, str, str, Cost]]:
    for late, cost in plan.late:
        until = f"{late.until.astimezone(KST):%m-%d %H:%M}"
        what = f"slot {late.slot.astimezone(KST):%Y-%m-%d %H:%M}"
        yield what, f"{len(late.targets):,} targets", f"ka20002, late (shown until {until})", cost
    if plan.unknown:
        yield "members", f"{len(plan.unknown):,} targets never walked", "ka20002, now", plan.sweep
    if plan.bars.requests:
        listings = f"{len(plan.missing_ranges) + plan.guessed:,} listings"
        guessed = f", about {plan.guessed:,} of them unknown yet" if plan.guessed else ""
        yield "daily bars", f"{listings}{guessed}", "ka10081", plan.bars
    if plan.indices.requests:
        yield "index levels", f"{plan.indices.rows:,} closing levels", "ka20006", plan.indices
    if plan.flows.requests:
        yield "flows", f"{plan.flows.requests:,} days of a board on an exchange", "ka10051", plan.flows


def _figures(cost: Cost, per_second: int) -> tuple[str, ...]:
    seconds = f"{cost.requests / per_second:,.0f}" if per_second else "-"
    return f"{cost.requests:,}", seconds, f"{cost.rows:,}", f"{cost.bytes / 1e6:,.1f}"


def _staying(plan: Plan) -> Iterator[str]:
    for day, over in plan.period.pending:
        yield f"the bar of {day}: it is final at {over.astimezone(KST):%H:%M}, ask again then"
    for lost in plan.lost:
        first, last = (f"{at.astimezone(KST):%Y-%m-%d %H:%M}" for at in (lost.first, lost.last))
        yield (
            f"{lost.pairs:,} walks of {lost.slots:,} slots of {lost.schedule} ({lost.status}, {first} to {last}):"
            f" {_NOT_TO_BE_HAD}"
        )
    if plan.period.days:
        yield "the members of a sector on a past day; the view daily names the day of its members (members_as_of)"
