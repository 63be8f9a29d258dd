"""Runs `collector once`: the sweep of one slot, its table and its exit status."""

import asyncio
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.accept_job import read_target
from collector.cli.console import console, not_whole, print_table, progress, sweep_table
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.early_signals import discard_output
from collector.cli.main import complain
from collector.cli.schedule import read_calendar
from collector.db import clocks
from collector.errors import ConfigError, Denied, StoreError
from collector.log import logger
from collector.market.sectors import first_digits, market_of
from collector.model import KST, Status, Sweep, Target
from collector.sweep.progress import SweepProgress
from collector.sweep.sweeper import Collector

RESUMED = timedelta(minutes=10)
"""The maximum age of a slot to complete: the API still shows its state."""
_TENDED = 20
"""Kept answers that are packed beyond twice the stored ones, so that a small universe catches up, too."""


def run(
    universe: str | None, target: str | None, slot: str | None, config_path: Path | None, *, quiet: bool
) -> None:
    """Sweep and report; SystemExit 1 if something is missing or suspect."""
    log.configure(level="warning" if quiet or sys.stderr.isatty() else "info")
    at = None if slot is None else parse_slot(slot, datetime.now(UTC))
    chosen = _read_walkable_target(target, universe)
    sweep = run_command(_once(read_context(config_path, universe), universe, at, chosen, quiet=quiet))
    report(sweep, quiet=quiet)


def report(sweep: Sweep, *, quiet: bool) -> None:
    """Print the table on stdout and incomplete targets on stderr, and exit with the sweep's status."""
    if not quiet:
        _show(sweep)
    for line in not_whole(sweep):
        click.echo(line, err=True)
    if not sweep.is_whole:
        raise SystemExit(1)


def _show(sweep: Sweep) -> None:
    """Print the table. A write error does not change the exit status of the sweep."""
    output = console()
    with output.capture() as drawn:
        print_table(output, sweep_table(sweep))
    try:
        sys.stdout.write(drawn.get())
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        click.echo(f"collector: the table cannot be written: {error.strerror}", err=True)


def parse_slot(text: str, now: datetime) -> datetime:
    """The requested instant, in UTC. Without an offset it is Korean time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--slot: {text!r} is not an instant; use 2026-11-20T15:30+09:00") from None
    at = at if at.tzinfo else at.replace(tzinfo=KST)
    if at.microsecond:
        raise ConfigError(
            f"--slot: {text} is not a whole second; use {at.replace(microsecond=0).isoformat()}"
        )
    if at > now:
        raise ConfigError(
            f"--slot: {text} is in the future", hint="the API has the current state only; leave --slot out"
        )
    if now - at > RESUMED:
        raise ConfigError(
            f"--slot: {text} is more than {RESUMED // timedelta(minutes=1)} minutes ago",
            hint="the API has the current state only, which was not the state of that time",
        )
    return at.astimezone(UTC)


def _read_walkable_target(text: str | None, universe: str | None) -> Target | None:
    """The target of --target. The server answers a sector with another market's listings, so the pair is checked."""
    target = read_target(text)
    if target is None:
        return None
    if universe is not None:
        raise ConfigError("--target and --universe select both; use one of them")
    if not re.fullmatch(r"[0-9]{3}", target.sector) or market_of(target.sector) is not target.market:
        digits = " or ".join(f"{digit}xx" for digit in first_digits(target.market))
        raise ConfigError(f"--target: {target.sector!r} is no sector of {target.market}; use {digits}")
    return target


async def _once(
    context: CliContext, universe: str | None, at: datetime | None, target: Target | None, *, quiet: bool
) -> Sweep:
    async with bootstrap.open_collector(context) as plain:
        calendar = read_calendar(Path(context.config.origin))
        collector = replace(plain, witness=bootstrap.make_witness(plain, context.config, calendar))
        await clocks.refuse_apart(collector.store.database, lambda: datetime.now(UTC))
        sweep = await sweep_now(context, collector, universe, at, target=target, quiet=quiet)
        await _tend_answers(context, collector, len(sweep.outcomes))
        return sweep


async def _tend_answers(context: CliContext, collector: Collector, stored: int) -> None:
    """Pack kept answers of earlier days and drop the oldest, for a host without a daemon.

    It packs twice as many as were stored now, so that nothing piles up and no call takes long.
    """
    try:
        await collector.store.tend_answers(
            datetime.now(UTC), context.config.database.raw_days, most=2 * stored + _TENDED
        )
    except StoreError as error:
        logger.warning("maintenance.failed", reason=str(error))


async def sweep_now(
    context: CliContext,
    collector: Collector,
    universe: str | None,
    at: datetime | None,
    *,
    target: Target | None = None,
    quiet: bool,
) -> Sweep:
    """Sweep a universe or a target at the given slot, at the newest unfinished one, or now."""
    name, targets = (str(target), (target,)) if target else context.targets(universe, collector.sectors)
    now = datetime.now(UTC).replace(microsecond=0)
    slot = at or await collector.store.find_unfinished_sweep(name, now - RESUMED) or now
    slot = slot.astimezone(KST)  # the log shows the slot, and people read Korean time
    if at is None and slot != now:
        click.echo(f"resuming the sweep of {slot:%H:%M:%S} KST", err=True)
    tally = SweepProgress()
    try:
        async with progress(tally, shown=not quiet, title=name):
            await collector.warm(len(targets))
            return await collector.sweep(slot, name, targets, tally)
    except asyncio.CancelledError:
        minutes = RESUMED // timedelta(minutes=1)
        click.echo(
            f"stopped: {_count_stored(tally)}; the same command continues the sweep within {minutes} minutes",
            err=True,
        )
        raise
    except (StoreError, Denied) as error:
        if not tally.pages:
            if isinstance(error, Denied):
                await collector.store.forget_sweep(slot, name)
            raise
        complain(error)
        click.echo(
            f"{_count_stored(tally)}; `collector once --slot {slot:%Y-%m-%dT%H:%M:%S}` continues it", err=True
        )
        raise SystemExit(1) from None


def _count_stored(tally: SweepProgress) -> str:
    failed = sum(outcome.status is Status.FAILED for outcome in tally.outcomes)
    return f"{tally.done - failed} of {tally.targets} targets are stored"
