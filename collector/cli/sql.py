"""`collector sql`: ask the database, read-only, so that nobody needs psql."""

import difflib
import json
import re
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from collector import log
from collector.base.spreadsheet import CsvWriter
from collector.cli import bootstrap
from collector.cli.console import console
from collector.cli.context import config_option, read_environment, run_command
from collector.errors import ConfigError, StoreError, StoreFailure
from collector.model import KST

_BATCH = 1000
_RELATIONS = """
SELECT c.relname AS name
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND $1::text[] IS NOT NULL
ORDER BY 1
"""
_COLUMNS = """
SELECT DISTINCT a.attname AS name
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relname = ANY ($1::text[])
ORDER BY 1
"""
_FUNCTIONS = """
SELECT DISTINCT p.proname AS name
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND $1::text[] IS NOT NULL
ORDER BY 1
"""
# By the first word of the server's message that names what it lacks.
_KINDS = {
    "function": (_FUNCTIONS, "the functions of collector are"),
    "column": (_COLUMNS, "the columns are"),
    "relation": (_RELATIONS, "the tables and views are"),
}
_NAMES = re.compile(r'"([^"]+)"|(?:column|function) ([\w.]+)')
_LIMIT = "SET LOCAL statement_timeout = '300s'"


@click.command(
    epilog="""\b
Examples:
  collector sql "SELECT * FROM walk ORDER BY slot DESC LIMIT 10"
  collector sql "SELECT symbol, name, price FROM latest WHERE sector = '001'" --format csv > kospi.csv
"""
)
@click.argument("query")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@config_option
def sql(query: str, form: str, config_path: Path | None) -> None:
    """Ask the database in SQL, in a read-only transaction.

    The tables are snapshot, walk, latest, quarantine, sector, listing and bar. JSON is one object a line.
    In CSV a text that a spreadsheet would run as a formula has an apostrophe in front.
    """
    log.configure(level="warning")
    run_command(_ask(query, form))


async def _ask(query: str, form: str) -> None:
    try:
        await _show_answer(query, form)
    except StoreError as error:
        if error.kind not in (StoreFailure.MISSING_TABLE, StoreFailure.MISSING_NAME):
            raise
        raise ConfigError(str(error), hint=await _what_there_is(str(error), query)) from error


async def _what_there_is(message: str, query: str) -> str:
    """The nearest name to the one that is not there, and all names of its kind that are."""
    async with (
        bootstrap.open_database(read_environment()) as database,
        database.connection("looking what there is", timeout=30) as connection,
    ):
        kind = next((kind for kind in _KINDS if f"{kind} " in message), "relation")
        names_of, noun = _KINDS[kind]
        rows = await connection.fetch(names_of, re.findall(r"\w+", query.lower()))
    names = [row["name"] for row in rows]
    wrong = [(match[1] or match[2]).rpartition(".")[2] for match in _NAMES.finditer(message)]
    return f"{_nearest(wrong, names, query)}{noun} {', '.join(names)}"


def _nearest(wrong: Sequence[str], names: Sequence[str], query: str) -> str:
    for name in wrong:
        if near := difflib.get_close_matches(name.lower(), names, n=1):
            return f"did you mean {near[0]}? "
        if f'"{name}"' in query:
            return f"a text stands in single quotes: '{name}'; "
    return ""


async def _show_answer(query: str, form: str) -> None:
    async with aclosing(_rows(query)) as rows:
        with _guard_output():
            write = _writer(form, await anext(rows))
            async for row in rows:
                write(row)
            write(None)


async def _rows(query: str) -> AsyncGenerator[tuple[Any, ...], None]:
    """The names of the columns, then row after row.

    What becomes of them is done outside of the session, for which every error of the system is the connection's.
    """
    async with (
        bootstrap.open_database(read_environment()) as database,
        database.connection("asking, read-only", timeout=330) as connection,
        connection.transaction(readonly=True),
    ):
        await connection.execute(_LIMIT)
        statement = await connection.prepare(query)
        columns = tuple(attribute.name for attribute in statement.get_attributes())
        if not columns:
            raise ConfigError("the query returns no rows", hint="this command only reads: SELECT …")
        yield columns
        try:
            async for row in statement.cursor(prefetch=_BATCH):
                yield tuple(row)
        except (OverflowError, ValueError) as error:  # the driver's
            raise ConfigError(
                "the query returns a date beyond the years 1 to 9999", hint="cast it to text: COLUMN::text"
            ) from error


@contextmanager
def _guard_output() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"the answer cannot be written: {error.strerror}") from error


def _writer(form: str, columns: Sequence[str]) -> Any:
    """Takes row after row, then None for the end."""
    return {"csv": _RowCsv, "json": _RowJson, "table": _RowTable}[form](columns)


class _RowCsv:
    def __init__(self, columns: Sequence[str]) -> None:
        self._writer = CsvWriter(sys.stdout)
        self._writer.write(columns)

    def __call__(self, row: tuple[Any, ...] | None) -> None:
        if row is not None:
            self._writer.write(_cell(value) for value in row)


def _cell(value: Any) -> object:
    """A value as CSV has it; NULL is empty."""
    return "" if value is None else format_value(value)


class _RowJson:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def __call__(self, row: tuple[Any, ...] | None) -> None:
        if row is not None:
            pairs = dict(zip(self._columns, map(_plain, row), strict=True))
            click.echo(json.dumps(pairs, ensure_ascii=False))


class _RowTable:
    def __init__(self, columns: Sequence[str]) -> None:
        self._table = Table(*columns)

    def __call__(self, row: tuple[Any, ...] | None) -> None:
        if row is not None:
            self._table.add_row(*("" if value is None else format_value(value) for value in row))
            return
        console().print(self._table)


def format_value(value: Any) -> str:
    """A value as text, instants in Korea's time."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date):  # an instant is one, too
        return _moment(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return _plain(Decimal(value))
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _number(value: Decimal) -> int | float | str:
    """JSON has no number without an end, so that is a text, as PostgreSQL writes it."""
    if not value.is_finite():
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _moment(value: date) -> str:
    """In Korea's time where there is one; `infinity` comes from the driver as the last moment that Python has."""
    plain = value.replace(tzinfo=None) if isinstance(value, datetime) else value
    if plain in (type(plain).min, type(plain).max):
        return "infinity" if plain == type(plain).max else "-infinity"
    if isinstance(value, datetime) and value.tzinfo:
        with suppress(OverflowError):  # so near the end Korea's year has five digits already
            value = value.astimezone(KST)
    return value.isoformat()
