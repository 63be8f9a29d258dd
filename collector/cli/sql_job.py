"""`collector sql`: query the database, read-only, without psql."""

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
from collector.cli.console import console, print_table
from collector.cli.context import run_command, take_environment
from collector.config import Environment
from collector.db import free_query
from collector.errors import ConfigError, StoreError, StoreFailure
from collector.model import KST

# By the word in the server's message for a missing object.
_KINDS = {
    "function": (free_query.list_functions, "the functions of collector are"),
    "column": (free_query.list_columns, "the columns are"),
    "relation": (free_query.list_relations, "the tables and views are"),
}
_NAMES = re.compile(r'"([^"]+)"|(?:column|function) ([\w.]+)')


def run(query: str, form: str, config_path: Path | None) -> None:
    """Do the work of `collector sql`."""
    log.configure(level="warning")
    run_command(_ask(take_environment(), query, form))


async def _ask(environment: Environment, query: str, form: str) -> None:
    try:
        await _show_answer(environment, query, form)
    except StoreError as error:
        if error.kind not in (StoreFailure.MISSING_TABLE, StoreFailure.MISSING_NAME):
            raise
        raise ConfigError(str(error), hint=await _list_names(environment, str(error), query)) from error


async def _list_names(environment: Environment, message: str, query: str) -> str:
    """The nearest existing name, and all names of its kind."""
    async with (
        bootstrap.open_database(environment) as database,
        database.connection("looking what there is", timeout=30) as connection,
    ):
        kind = next((kind for kind in _KINDS if f"{kind} " in message), "relation")
        list_names, noun = _KINDS[kind]
        names = await list_names(connection, re.findall(r"\w+", query.lower()))
    wrong = [(match[1] or match[2]).rpartition(".")[2] for match in _NAMES.finditer(message)]
    return f"{_nearest(wrong, names, query)}{noun} {', '.join(names)}"


def _nearest(wrong: Sequence[str], names: Sequence[str], query: str) -> str:
    for name in wrong:
        if near := difflib.get_close_matches(name.lower(), names, n=1):
            return f"did you mean {near[0]}? "
        if f'"{name}"' in query:
            return f"use single quotes for a text: '{name}'; "
    return ""


async def _show_answer(environment: Environment, query: str, form: str) -> None:
    async with aclosing(_rows(environment, query)) as rows:
        with _guard_output():
            write = _writer(form, await anext(rows))
            async for row in rows:
                write(row)
            write(None)


async def _rows(environment: Environment, query: str) -> AsyncGenerator[tuple[Any, ...], None]:
    """The names of the columns, then the rows.

    The caller writes them outside of the database session, because every OSError inside counts as a connection error.
    """
    async with (
        bootstrap.open_database(environment) as database,
        aclosing(free_query.run(database, query)) as rows,
    ):
        async for row in rows:
            yield row


@contextmanager
def _guard_output() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"the output cannot be written: {error.strerror}") from error


def _writer(form: str, columns: Sequence[str]) -> Any:
    """A function that takes each row, then None at the end."""
    return {"csv": _RowCsv, "json": _RowJson, "table": _RowTable}[form](columns)


class _RowCsv:
    def __init__(self, columns: Sequence[str]) -> None:
        self._writer = CsvWriter(sys.stdout)
        self._writer.write(columns)

    def __call__(self, row: tuple[Any, ...] | None) -> None:
        if row is not None:
            self._writer.write(_cell(value) for value in row)


def _cell(value: Any) -> object:
    """A value for CSV. NULL is empty."""
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
        self._columns = columns
        self._rows: list[tuple[Any, ...]] = []

    def __call__(self, row: tuple[Any, ...] | None) -> None:
        if row is not None:
            self._rows.append(row)
        else:
            print_table(console(), self._table())
            if not self._rows:
                click.echo("0 rows", err=True)

    def _table(self) -> Table:
        table = Table()
        for index, name in enumerate(self._columns):
            numeric = all(_is_number(row[index]) for row in self._rows)
            table.add_column(name, justify="right" if numeric else "left")
        for row in self._rows:
            table.add_row(*("" if value is None else format_value(value) for value in row))
        return table


def _is_number(value: Any) -> bool:
    """True for numbers and NULL, which does not decide on the alignment of a column."""
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def format_value(value: Any) -> str:
    """A value as text, with instants in Korean time."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date):  # includes datetime
        return _moment(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return _plain(Decimal(value))
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _number(value: Decimal) -> int | float | str:
    """A number for JSON. Infinity and NaN become text, as in PostgreSQL."""
    if not value.is_finite():
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _moment(value: date) -> str:
    """A date or instant, in Korean time if it has a zone. The driver returns `infinity` as Python's extreme
    values.
    """
    plain = value.replace(tzinfo=None) if isinstance(value, datetime) else value
    if plain in (type(plain).min, type(plain).max):
        return "infinity" if plain == type(plain).max else "-infinity"
    if isinstance(value, datetime) and value.tzinfo:
        with suppress(OverflowError):  # in Korean time the year would be 10000
            value = value.astimezone(KST)
    return value.isoformat()
