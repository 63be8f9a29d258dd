"""`collector gaps`: which slots and targets are missing, and why."""

import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import click
from rich.table import Table

from collector import log, sectors
from collector.cli import drawing, wiring, world
from collector.cli.expected import Expected, Gap
from collector.cli.schedule import Day, read_calendar
from collector.config import universe_targets
from collector.errors import ConfigError
from collector.model import KST
from collector.registry import Registry
from collector.spreadsheet import CsvWriter

_LONG = 300.0


@click.command(
    epilog="""\b
Examples:
  collector gaps --from 2026-11-16 --to 2026-11-20
  collector gaps --from 2026-11-01 --to 2026-11-30 --format csv > gaps.csv
"""
)
@click.option("--from", "first", type=Day(), required=True, help="From this day, KST ...")
@click.option("--to", "last", type=Day(), required=True, help="... to this one, both included.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@world.config_option
def gaps(first: date, last: date, form: str, config_path: Path | None) -> None:
    """List what the schedules asked for and is not stored complete, by slot and target, with the reason.

    Slots are those of the schedules as they are now, up to those that should have ended. The status is the
    ledger's (suspect, failed, missed), or `absent` where it has no line.
    Exit status 1: something is missing or suspect.
    """
    log.configure(level="warning")
    if last < first:
        raise click.UsageError("--to lies before --from; allowed is the same day or a later one")
    found = world.read(config_path)
    if not found.config.schedules:
        raise ConfigError(found.config.complaint((), "there are no schedules, so nothing can be missing"))
    if world.run(_gaps(found, first, last, _WRITERS[form]())):
        raise SystemExit(1)


async def _gaps(found: world.World, first: date, last: date, writer: "_Writer") -> int:
    count = 0
    async for gap in _listed(found, first, last):
        writer.write(gap)
        count += 1
    writer.end()
    return count


async def _listed(found: world.World, first: date, last: date) -> AsyncIterator[Gap]:
    calendar = read_calendar(Path(found.config.origin))
    async with wiring.database(found.environment) as held:
        table = await Registry(held).sectors() or sectors.shipped()
        targets = {name: universe_targets(found.config, name, table) for name in found.config.universes}
        expected = Expected(found.config.schedules, calendar, targets)
        async with held.session("looking for gaps", timeout=_LONG) as connection:
            async for gap in expected.gaps(connection, first, last, datetime.now(UTC)):
                yield gap


class _Writer(Protocol):
    def write(self, gap: Gap) -> None: ...

    def end(self) -> None: ...


def _plain(gap: Gap) -> Gap:
    return gap._replace(slot=gap.slot.astimezone(KST).isoformat())  # type: ignore[arg-type]


class _Csv:
    def __init__(self) -> None:
        self._writer = CsvWriter(sys.stdout)
        self._writer.write(Gap._fields)

    def write(self, gap: Gap) -> None:
        self._writer.write(_plain(gap))

    def end(self) -> None:
        """All is written."""


class _Json:
    def __init__(self) -> None:
        self._before = "["

    def write(self, gap: Gap) -> None:
        click.echo(self._before + json.dumps(_plain(gap)._asdict(), ensure_ascii=False), nl=False)
        self._before = ",\n "

    def end(self) -> None:
        click.echo("[]" if self._before == "[" else "]")


class _Table:
    def __init__(self) -> None:
        self._table = Table("slot (KST)", "schedule", "target", "status", "reason")

    def write(self, gap: Gap) -> None:
        slot = f"{gap.slot.astimezone(KST):%Y-%m-%d %H:%M:%S}"
        self._table.add_row(
            slot, gap.schedule, f"{gap.market}/{gap.sector}/{gap.exchange}", gap.status, gap.reason
        )

    def end(self) -> None:
        if self._table.row_count:
            drawing.console().print(self._table)
        else:
            click.echo("nothing is missing")


_WRITERS: dict[str, type[_Writer]] = {"csv": _Csv, "json": _Json, "table": _Table}
