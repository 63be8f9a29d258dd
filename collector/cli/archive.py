"""`collector archive` and `collector restore`: move days to Parquet files, and back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector import config as configuration
from collector import log
from collector.base.arenas import limit_arenas
from collector.base.prefetch import to_thread_uninterrupted
from collector.base.skip_pandas import skip_pandas
from collector.cli import bootstrap
from collector.cli.archive_place import FOLDER, ArchivePlace, find_archive, read_archive_config
from collector.cli.context import find_configuration, run_command, take_environment
from collector.cli.day_param import DayParam
from collector.cli.main import complain
from collector.cli.options import config_option
from collector.cli.schedule import read_calendar
from collector.config import ArchiveConfig, Environment
from collector.db import clocks
from collector.db.database import Database
from collector.errors import ArchiveError, ConfigError
from collector.market.calendar import Calendar
from collector.market.schedule import Schedule
from collector.model import KST, Exchange

if TYPE_CHECKING:
    from collector.archive.store import Location


@click.command(
    epilog="""\b
Examples:
  collector archive --before 2026-10-01
  collector archive --before 2026-10-01 --to /mnt/cold
  collector archive --before 2026-10-01 --to s3://bucket/cold
"""
)
@click.option(
    "--before", type=DayParam(), required=True, help="Days before this one, KST; today at the latest."
)
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    help=f"Folder of the files, or s3://BUCKET/FOLDER (default: archive.to, else {FOLDER} under COLLECTOR_HOME).",
)
@click.option(
    "--force",
    is_flag=True,
    help="Include days with slots that are unaccounted for or were abandoned long ago.",
)
@click.option("--keep-restored", is_flag=True, help="Skip restored days.")
@config_option
def archive(
    before: date, folder: str | None, force: bool, keep_restored: bool, config_path: Path | None
) -> None:
    """Move whole days from the database into Parquet files, one file per day and exchange.

    Each file is read back and compared with the table before the day leaves the database. The ledger stays,
    so `status`, `gaps` and the page still cover these days. `collector restore` brings a day back.

    Exit status 1: a day stays in the database; stderr has the reason. Stopping or killing the command loses
    nothing.
    """
    log.configure(level="warning")
    limit_arenas()
    skip_pandas()
    now = datetime.now(UTC)
    if before > now.astimezone(KST).date():
        raise click.UsageError(f"--before {before} is in the future; use today or an earlier day")
    environment = take_environment()
    schedules, calendar, config = _read_settings(environment, config_path)
    place = find_archive(environment, config, folder)
    wish = ArchiveOptions(before, place.folder, now, force, keep_restored)
    if run_command(_archive(environment, wish, schedules, calendar)):
        raise SystemExit(1)


@dataclass(frozen=True)
class ArchiveOptions:
    """The request: days, folder and options."""

    before: date
    folder: "Location"
    now: datetime
    force: bool
    keep_restored: bool


async def _archive(
    environment: Environment, options: ArchiveOptions, schedules: Sequence[Schedule], calendar: Calendar
) -> int:
    """Archive the days; returns the number of days that stay."""
    from collector.archive import write  # noqa: PLC0415 - pyarrow may not be there
    from collector.archive.store import store_of  # noqa: PLC0415

    await to_thread_uninterrupted(_try_writing, options.folder)
    left = 0
    async with bootstrap.open_database(environment) as database:
        await _refuse_wrong_clock(database, options.now)
        for day in await _select_days(database, options):
            try:
                await _refuse_open(database, day, options, schedules, calendar)
                for file in await write.archive(database, day, options.folder):
                    _say(file.day, file.exchange, file.rows, file.size, file.path)
            except ArchiveError as error:
                left += 1
                complain(error)
                if store_of(options.folder).explain(error.__cause__):
                    break  # a full disk is full for the next day, too
    return left


async def _refuse_wrong_clock(database: Database, now: datetime) -> None:
    """Raise ConfigError if the current date is uncertain. The choice of days depends on it."""
    async with database.connection("comparing the clocks", timeout=60) as connection:
        reason = clocks.why_unsure(await clocks.read_clocks(connection, now))
    if reason:
        raise ConfigError(f"nothing is archived: {reason}", hint="correct the wrong clock, then try again")


async def _select_days(database: Database, options: ArchiveOptions) -> list[date]:
    from collector.archive.day_state import list_before, list_restored  # noqa: PLC0415

    async with database.connection("looking for days to archive", timeout=60) as connection:
        kept = await list_restored(connection) if options.keep_restored else set()
        selected_days = [day for day in await list_before(connection, options.before) if day not in kept]
    if not selected_days:
        click.echo(f"no day before {options.before} has rows to archive")
    return selected_days


async def _refuse_open(
    database: Database, day: date, options: ArchiveOptions, schedules: Sequence[Schedule], calendar: Calendar
) -> None:
    from collector.archive.day_state import why_open  # noqa: PLC0415

    async with database.connection("looking for open slots", timeout=60) as connection:
        why = await why_open(connection, day, schedules, calendar, options.now, forgive=options.force)
    if why:
        raise ArchiveError(
            f"{day} stays in the database: {why}",
            hint="" if options.force else "`--force` includes slots abandoned more than a day ago",
        )


def _read_settings(
    environment: Environment, config_path: Path | None
) -> tuple[Sequence[Schedule], Calendar, ArchiveConfig]:
    """The schedules, or none without a configuration: then nothing can be due."""
    path = find_configuration(environment, config_path)
    if path is None:
        return (), read_calendar(environment.config), ArchiveConfig()
    config = configuration.load(path, base_url=environment.base_url)
    return config.schedules, read_calendar(path), config.archive


def _try_writing(folder: "Location") -> None:
    """Write a test file, to fail before a day is read."""
    from collector.archive.store import store_of  # noqa: PLC0415

    store = store_of(folder)
    try:
        store.try_writing(folder)
    except OSError as error:
        what, hint = store.explain(error) or (str(error).partition("\n")[0], "")
        raise ConfigError(
            f"{folder} cannot be written: {what}", hint=hint or "name another folder with --to"
        ) from error


def _say(day: date, exchange: str, rows: int, size: int, path: "Location") -> None:
    bytes_per_row = f", {size / rows:.1f} bytes a row" if rows else ""
    click.echo(f"{day} {exchange:12} {rows:>9,} rows, {size / 1e6:.1f} MB{bytes_per_row}: {path}")


@click.command(
    epilog="""\b
Examples:
  collector restore 2026-09-30
  collector restore 2026-09-29 2026-09-30 --from /mnt/cold
  collector restore /mnt/cold/snapshot/date=2026-09-30/KRX.parquet
  collector restore 2026-09-30 --from s3://bucket/cold
"""
)
@click.argument("what", nargs=-1, required=True, metavar="DATE|FILE...")
@click.option(
    "--from",
    "folder",
    metavar="FOLDER",
    help="Folder of the files, or s3://BUCKET/FOLDER (default: their recorded place, else that of `archive`).",
)
@config_option
def restore(what: tuple[str, ...], folder: str | None, config_path: Path | None) -> None:
    """Bring days back into the database from their files, equal row by row. The files stay.

    A FILE stands for its day: the files of the other exchanges are taken from the same folder. A day in the
    database is left unchanged.

    Exit status 1: a day was not restored, because a file is damaged, missing or of another database.
    """
    log.configure(level="warning")
    limit_arenas()
    skip_pandas()
    environment = take_environment()
    place = find_archive(environment, read_archive_config(environment, config_path), folder)
    if run_command(_restore(environment, what, place, is_named=folder is not None)):
        raise SystemExit(1)


async def _restore(
    environment: Environment, what: Sequence[str], place: ArchivePlace, *, is_named: bool
) -> int:
    """Restore the requested days; returns the number of failures."""
    from collector.archive import restore  # noqa: PLC0415 - pyarrow may not be there

    failed = 0
    async with bootstrap.open_database(environment) as database:
        for text in what:
            try:
                day, paths = await _files(database, text, place, is_named=is_named)
                for file in await restore.restore(database, day, paths, locate=place.locate):
                    was = "unchanged, in the database already" if file.was_there else "restored"
                    click.echo(f"{day} {file.exchange:12} {file.rows:>9,} rows {was}: {file.path}")
            except ArchiveError as error:
                failed += 1
                complain(error)
    return failed


async def _files(
    database: Database, text: str, place: ArchivePlace, *, is_named: bool
) -> "tuple[date, list[Location]]":
    """The day of an argument, and its files; the recorded ones come first, unless a folder is named."""
    from collector.archive.day_state import list_files  # noqa: PLC0415

    day = await asyncio.to_thread(_day, text, place)
    if day is None:
        return await asyncio.to_thread(_day_of_file, place.locate(text))
    async with database.connection("looking for files", timeout=60) as connection:
        noted = [] if is_named else await list_files(connection, day, place.locate)
    paths = noted or await asyncio.to_thread(_list_beside, place.folder / "snapshot" / f"date={day}")
    if not paths:
        raise ArchiveError(
            f"there is no file of {day} under {place.folder}", hint="name their folder with --from"
        )
    return day, paths


def _day(text: str, place: ArchivePlace) -> date | None:
    """The date that a text names; None if it names a file."""
    from collector.archive.day_state import is_there  # noqa: PLC0415

    try:
        return DayParam().convert(text, None, None)
    except click.UsageError:
        if not is_there(place.locate(text)):
            raise ConfigError(
                f"{text} is neither a date nor a file; use YYYY-MM-DD, or the path of a file"
            ) from None
        return None


def _day_of_file(path: "Location") -> "tuple[date, list[Location]]":
    """The day of a file, and all files of that day: this file and those of the other exchanges beside it."""
    from collector.archive.file import read_facts  # noqa: PLC0415

    facts = read_facts(path)
    return facts.day, list((_find_beside(path.parent) | {facts.exchange: path}).values())


def _list_beside(folder: "Location") -> "list[Location]":
    return list(_find_beside(folder).values())


def _find_beside(folder: "Location") -> "dict[str, Location]":
    """The files of a day's folder by exchange."""
    from collector.archive.day_state import is_there  # noqa: PLC0415

    paths = {str(exchange): folder / f"{exchange}.parquet" for exchange in Exchange}
    return {exchange: path for exchange, path in paths.items() if is_there(path)}
