"""`collector gaps`: list missing slots and targets, with reasons."""

import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import click
from rich.table import Table

from collector import log
from collector.base.spreadsheet import CsvWriter
from collector.cli import bootstrap
from collector.cli.console import console, print_table
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.schedule import read_calendar
from collector.config import build_timetable
from collector.db.catalog import Registry
from collector.db.gaps import Gap, find_gaps
from collector.errors import ConfigError
from collector.market import sectors
from collector.model import KST

_LONG = 300.0


def run(first: date | None, last: date | None, form: str, config_path: Path | None) -> None:
    """Do the work of `collector gaps`."""
    log.configure(level="warning")
    first, last = _period(first, last, datetime.now(KST).date())
    context = read_context(config_path)
    if not context.config.schedules:
        raise ConfigError(
            context.config.format_error((), "there are no schedules, so nothing can be missing")
        )
    if run_command(_gaps(context, first, last, _WRITERS[form]())):
        raise SystemExit(1)


def _period(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """The first and the last day to list; UsageError for days in the future or in the wrong order."""
    first, last = first or last or today, last or first or today
    if last < first:
        raise click.UsageError("--to lies before --from; use the same day or a later one")
    if first > today:
        raise click.UsageError(
            f"{first} is in the future: it is {today} in Korea, and nothing can be missing yet"
        )
    return first, last


async def _gaps(context: CliContext, first: date, last: date, writer: "_Writer") -> int:
    count = 0
    async for gap in list_gaps(context, first, last):
        writer.write(gap)
        count += 1
    writer.end()
    return count


async def list_gaps(context: CliContext, first: date, last: date) -> AsyncIterator[Gap]:
    """Yields the gaps of a period from the database of the context, by its configuration and calendar."""
    calendar = read_calendar(Path(context.config.origin))
    async with bootstrap.open_database(context.environment) as database:
        table = await Registry(database).sectors() or sectors.bundled_sectors()
        timetable = build_timetable(context.config, calendar, table)
        async with database.connection("looking for gaps", timeout=_LONG) as connection:
            async for gap in find_gaps(connection, timetable, first, last, datetime.now(UTC)):
                yield gap


class _Writer(Protocol):
    def write(self, gap: Gap) -> None: ...

    def end(self) -> None: ...


def _plain(gap: Gap) -> Gap:
    return gap._replace(slot=gap.slot.astimezone(KST).isoformat())  # type: ignore[arg-type]


class _GapCsv:
    def __init__(self) -> None:
        self._writer = CsvWriter(sys.stdout)
        self._writer.write(Gap._fields)

    def write(self, gap: Gap) -> None:
        self._writer.write(_plain(gap))

    def end(self) -> None:
        """Nothing is left to write."""


class _GapJson:
    def __init__(self) -> None:
        self._before = "["

    def write(self, gap: Gap) -> None:
        click.echo(self._before + json.dumps(_plain(gap)._asdict(), ensure_ascii=False), nl=False)
        self._before = ",\n "

    def end(self) -> None:
        click.echo("[]" if self._before == "[" else "]")


class _GapTable:
    def __init__(self) -> None:
        self._table = Table("slot (KST)", "schedule", "target", "status", "reason")

    def write(self, gap: Gap) -> None:
        slot = f"{gap.slot.astimezone(KST):%Y-%m-%d %H:%M:%S}"
        reason = f"{gap.reason} ({gap.history})" if gap.history else gap.reason
        self._table.add_row(
            slot, gap.schedule, f"{gap.market}/{gap.sector}/{gap.exchange}", gap.status, reason
        )

    def end(self) -> None:
        if self._table.row_count:
            print_table(console(), self._table, wrapped="reason")
        else:
            click.echo("nothing is missing")


_WRITERS: dict[str, type[_Writer]] = {"csv": _GapCsv, "json": _GapJson, "table": _GapTable}
