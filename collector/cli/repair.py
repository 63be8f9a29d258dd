"""`collector repair`: reconstructs missed slots from minute bars, under a label of their own."""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import click

from collector import log
from collector.backfill import parse_period
from collector.backfill.repair import RepairPlan, RepairReport, RepairRunner
from collector.cli import bootstrap, console
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.day_param import DayParam
from collector.cli.main import complain
from collector.cli.options import config_option
from collector.cli.schedule import read_calendar
from collector.config import build_timetable
from collector.db import clocks
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.repairs import RepairStore
from collector.errors import Denied, StoreError
from collector.market import sectors
from collector.model import Sector
from collector.sweep.progress import SweepProgress

_LISTED = 20
"""Lines on stderr about unrepaired listings; the table has them all."""


@click.command(
    epilog="""\b
Examples:
  collector repair --from 2026-11-16 --to 2026-11-20 --dry-run    requests, seconds and rows
  collector repair --from 2026-11-20 --to 2026-11-20              every universe of the configuration
  collector repair --from 2026-11-20 --to 2026-11-20 --universe boards
"""
)
@click.option("--from", "first", type=DayParam(), required=True, help="The first day, KST ...")
@click.option("--to", "last", type=DayParam(), required=True, help="... to this one, both included.")
@click.option("--universe", metavar="U", help="One universe of the configuration (default: all of them).")
@click.option("--dry-run", is_flag=True, help="Show what it would take, and fetch nothing.")
@click.option("--quiet", is_flag=True, help="No plan and no progress; only what is wrong.")
@config_option
def repair(
    *,
    first: date,
    last: date,
    universe: str | None,
    dry_run: bool,
    quiet: bool,
    config_path: Path | None,
) -> None:
    """Reconstruct slots that were missed or failed, from the minute bars of ka10080.

    One call a listing, exchange and day. The rows go to the view reconstructed, never among observed ones; they
    have no bid and ask. The ledger's lines keep their status. Stored rows are not fetched again, and the next run
    continues a stopped one. Beside a daemon it takes only what the daemon leaves of the quota.

    Exit status: 0 all that can be repaired is repaired. 1 something could not be (listed on stderr), or a day is
    doubtful. 2 wrongly asked or could not start, and nothing was fetched.
    """
    log.configure(level="warning")
    context = read_context(config_path, universe)
    command = _RepairCommand(context, first, last, universe, quiet=quiet)
    if dry_run:
        run_command(command.show_plan())
    elif not run_command(command.carry_out()):
        raise SystemExit(1)


class _RepairCommand:
    """The options of the command, with its context."""

    def __init__(
        self, context: CliContext, first: date, last: date, universe: str | None, *, quiet: bool
    ) -> None:
        self._context = context
        self._calendar = read_calendar(Path(context.config.origin))
        self._period = parse_period(first, last, self._calendar, datetime.now(UTC))
        self._names = list(context.config.universes) if universe is None else [universe]
        self._quiet = quiet

    async def show_plan(self) -> None:
        """Print the plan; needs neither the key nor the API."""
        async with bootstrap.open_database(self._context.environment) as database:
            registry = Registry(database)
            await registry.open()
            table = await registry.sectors() or sectors.bundled_sectors()
            self._print_plan(await (await self._runner(database, registry, table)).plan())

    async def carry_out(self) -> bool:
        """Repairs; returns True if nothing repairable is left and no day is doubtful."""
        async with bootstrap.open_collector(self._context, patient=True) as collector:
            database = collector.store.database
            await clocks.refuse_apart(database, lambda: datetime.now(UTC))
            runner = await self._runner(database, collector.store.registry, collector.sectors)
            plan, tally = await runner.plan(), SweepProgress()
            if not self._quiet:
                self._print_plan(plan)
            try:
                async with console.progress(tally, shown=not self._quiet, title="repair"):
                    report = await runner.run(plan, collector.keys, collector.concurrency, tally)
            except (StoreError, Denied) as error:
                complain(error)
                click.echo(f"{tally.done:,} listings were done before that; run it again", err=True)
                return False
            return await self._report(runner, plan, report)

    async def _runner(
        self, database: Database, registry: Registry, table: Mapping[str, Sector]
    ) -> RepairRunner:
        timetable = build_timetable(self._context.config, self._calendar, table, self._names)
        await registry.register_targets(
            {target for targets in timetable.targets.values() for target in targets}
        )
        return RepairRunner(
            store=RepairStore(database, registry.targets),
            timetable=timetable,
            period=self._period,
            now=datetime.now(UTC),
        )

    def _print_plan(self, plan: RepairPlan) -> None:
        rate = self._context.config.api.requests_per_second * max(1, len(self._context.config.api.keys))
        seconds = f"{len(plan.listings) / rate:,.0f} seconds" if rate else "no quota"
        click.echo(
            f"{len(plan.walks):,} walks are missing: {len(plan.listings):,} requests, {seconds}, {plan.rows:,} rows"
        )
        for target in sorted(plan.unknown):
            click.echo(f"{target}: no complete walk tells its members, so it cannot be repaired", err=True)

    async def _report(self, runner: RepairRunner, plan: RepairPlan, report: RepairReport) -> bool:
        is_doubtful = False
        if not self._quiet:
            click.echo(
                f"repaired {report.repaired:,} listings with {report.rows:,} rows, {report.empty:,} without minute bars"
            )
        for day in sorted({listing.day for listing in plan.listings}):
            for line in await runner.store.summary(day):
                is_doubtful |= bool(line["doubtful"])
                if not self._quiet or line["doubtful"]:
                    click.echo(_agreement(day, line), err=bool(line["doubtful"]))
        for text in _failures(report):
            click.echo(text, err=True)
        sys.stdout.flush()
        return not (report.failed or plan.unknown or is_doubtful)


def _agreement(day: date, line: Mapping[str, object]) -> str:
    """Compares a day's reconstruction with the observed rows of that day."""
    if not line["compared"]:
        return f"{day} {line['exchange']}: nothing was observed on that day to compare with"
    shares = f"{line['equal_prices_percent']} % of prices, {line['equal_volumes_percent']} % of volumes"
    doubt = "; doubtful" if line["doubtful"] else ""
    return f"{day} {line['exchange']}: {shares} of {line['compared']:,} observed rows agree{doubt}"


def _failures(report: RepairReport) -> Iterator[str]:
    yield from report.failed[:_LISTED]
    if len(report.failed) > _LISTED:
        yield f"and {len(report.failed) - _LISTED:,} more, see the table collector.repair"
