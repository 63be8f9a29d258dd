"""`collector export`: a period in one file, for notebooks."""

import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector import log
from collector.base.prefetch import to_thread_uninterrupted
from collector.base.skip_pandas import skip_pandas
from collector.cli import bootstrap
from collector.cli.archive_place import find_archive, read_archive_config
from collector.cli.context import run_command, take_environment
from collector.config import ArchiveConfig, Environment
from collector.errors import ConfigError

if TYPE_CHECKING:
    from collector.archive.store import Location


def run(first: date, last: date, form: str, output: str | None, config_path: Path | None) -> None:
    """Do the work of `collector export`."""
    log.configure(level="warning")
    skip_pandas()
    if last < first:
        raise click.UsageError("--to lies before --from; use the same day or a later one")
    path = output or f"snapshot-{first}-{last}.{form}"
    environment = take_environment()
    archive = read_archive_config(environment, config_path)
    wish = ExportOptions(first, last, form, path)
    rows = run_command(_choose_export(form)(environment, archive, wish))
    click.echo(f"{rows:,} rows" + ("" if path == "-" else f": {path}"), err=True)
    if not rows:
        click.echo(
            f"nothing is stored of {first} to {last}; `collector status` shows the newest sweeps", err=True
        )


@dataclass(frozen=True)
class ExportOptions:
    """The request: a period, a format and a path."""

    first: date
    last: date
    form: str
    path: str


def _choose_export(form: str) -> Callable[..., Coroutine[Any, Any, int]]:
    """The exporter with pyarrow: quick, with archived files. CSV also works without pyarrow."""
    if form == "csv" and find_spec("pyarrow") is None:
        return _export_plain
    return _export


async def _export_plain(environment: Environment, _archive: ArchiveConfig, options: "ExportOptions") -> int:
    from collector.cli.plain_csv import export_csv  # noqa: PLC0415

    if "://" in options.path:
        raise ConfigError(
            "an object store needs the package pyarrow; it is not installed", hint="pip install pyarrow"
        )
    return await export_csv(environment, options.first, options.last, Path(options.path))


async def _export(environment: Environment, archive: ArchiveConfig, options: "ExportOptions") -> int:
    from collector.archive.export import export_rows  # noqa: PLC0415 - pyarrow is optional
    from collector.archive.file import writing  # noqa: PLC0415

    locate = find_archive(environment, archive, None).locate
    path, rows = locate(options.path), 0
    async with bootstrap.open_database(environment) as database:
        with writing(path), _open_output(options.form, path) as output:
            async for shown in export_rows(database, options.first, options.last, locate):
                await to_thread_uninterrupted(output.write, shown)
                rows += len(shown)
    return rows


def _open_output(form: str, path: "Location") -> AbstractContextManager[Any]:
    from collector.archive import output  # noqa: PLC0415

    if str(path) == "-":
        return output.to_stream(form, sys.stdout.buffer)
    return output.to_file(form, path)
