"""`collector once`: one snapshot of the configured targets, now."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli import console as drawing
from collector.cli.context import CliContext, config_option, read_context, run_command
from collector.cli.early_signals import discard_output
from collector.cli.main import complain
from collector.cli.schedule import read_calendar
from collector.db import clocks
from collector.errors import ConfigError, Denied, StoreError
from collector.model import KST, Status, Sweep
from collector.sweep.progress import SweepProgress
from collector.sweep.sweeper import Collector

RESUMED = timedelta(minutes=10)
"""How old a slot may be and still be completed: what the API shows now is still what it stood for."""


@click.command(
    epilog="""\b
Examples:
  collector once                                  every universe of the configuration
  collector once --universe boards                one of them
  collector once --slot 2026-11-20T15:30          complete this slot (at most 10 minutes ago, KST)
"""
)
@click.option("--universe", metavar="U", help="One universe of the configuration (default: all of them).")
@click.option("--slot", metavar="INSTANT", help="The instant that the snapshot stands for (default: now).")
@click.option("--quiet", is_flag=True, help="No progress and no table; only what is wrong.")
@config_option
def once(universe: str | None, slot: str | None, quiet: bool, config_path: Path | None) -> None:
    """Take one snapshot of the configured targets, now.

    A sweep that was stopped in the last 10 minutes is taken up again: only what the ledger lacks is fetched.
    Exit status 0: all complete. 1: something is missing or suspect (listed on stderr). 2: could not start.
    """
    log.configure(level="warning" if quiet else "info")
    at = None if slot is None else parse_slot(slot, datetime.now(UTC))
    sweep = run_command(_once(read_context(config_path, universe), universe, at, quiet=quiet))
    report(sweep, quiet=quiet)


def report(sweep: Sweep, *, quiet: bool) -> None:
    """The table on stdout, what is not whole on stderr, and the exit status."""
    if not quiet:
        _show(sweep)
    for line in drawing.not_whole(sweep):
        click.echo(line, err=True)
    if not sweep.is_whole:
        raise SystemExit(1)


def _show(sweep: Sweep) -> None:
    """The table, as far as it can be written: the exit status tells of the sweep."""
    console = drawing.console()
    with console.capture() as drawn:
        console.print(drawing.sweep_table(sweep))
    try:
        sys.stdout.write(drawn.get())
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        click.echo(f"collector: the table cannot be written: {error.strerror}", err=True)


def parse_slot(text: str, now: datetime) -> datetime:
    """The instant that was asked for, in UTC; without an offset it is Korea's time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--slot: {text!r} is no instant", hint="such as 2026-11-20T15:30+09:00") from None
    at = at if at.tzinfo else at.replace(tzinfo=KST)
    if at.microsecond:
        raise ConfigError("--slot: a slot is a whole second", hint=f"such as {at.replace(microsecond=0)}")
    if at > now:
        raise ConfigError(f"--slot: {text} is in the future", hint="the API knows only now; leave --slot out")
    if now - at > RESUMED:
        raise ConfigError(
            f"--slot: {text} is more than {RESUMED // timedelta(minutes=1)} minutes ago",
            hint="the API knows only now, and it would be stored under a time when it was not so",
        )
    return at.astimezone(UTC)


async def _once(context: CliContext, universe: str | None, at: datetime | None, *, quiet: bool) -> Sweep:
    async with bootstrap.open_collector(context) as plain:
        calendar = read_calendar(Path(context.config.origin))
        collector = replace(plain, witness=bootstrap.make_witness(plain, context.config, calendar))
        await clocks.refuse_apart(collector.store.database, lambda: datetime.now(UTC))
        return await sweep_now(context, collector, universe, at, quiet=quiet)


async def sweep_now(
    context: CliContext, collector: Collector, universe: str | None, at: datetime | None, *, quiet: bool
) -> Sweep:
    """Sweep a universe at a slot: the one given, the newest one that was stopped, or now."""
    name, targets = context.targets(universe, collector.sectors)
    now = datetime.now(UTC).replace(microsecond=0)
    slot = at or await collector.store.find_unfinished_sweep(name, now - RESUMED) or now
    if at is None and slot != now:
        click.echo(f"resuming the sweep of {slot.astimezone(KST):%H:%M:%S} KST", err=True)
    tally = SweepProgress()
    try:
        async with drawing.progress(tally, shown=not quiet, title=name):
            return await collector.sweep(slot, name, targets, tally)
    except (StoreError, Denied) as error:
        if not tally.pages:
            raise
        complain(error)
        failed = sum(outcome.status is Status.FAILED for outcome in tally.outcomes)
        click.echo(
            f"{tally.done - failed} of {tally.targets} targets are stored;"
            f" `collector once --slot {slot:%Y-%m-%dT%H:%M:%SZ}` takes up the rest",
            err=True,
        )
        raise SystemExit(1) from None
