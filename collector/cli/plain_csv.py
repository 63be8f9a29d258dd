"""CSV without pyarrow, byte for byte what `collector.archive.output` writes with it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from collector.base.days import days_through
from collector.base.replace_file import replace_file
from collector.base.spreadsheet import escape_formula
from collector.cli import bootstrap
from collector.config import Environment
from collector.db.plain_rows import iterate_day
from collector.errors import ConfigError
from collector.model import KST

COLUMNS = (
    "slot",
    "market",
    "sector",
    "exchange",
    "position",
    "symbol",
    "name",
    "price",
    "change",
    "change_percent",
    "sign",
    "volume",
    "ask",
    "bid",
    "open",
    "high",
    "low",
    "received_at",
    "status",
)


async def export_csv(environment: Environment, first: date, last: date, path: Path) -> int:
    """Write the rows of a period; how many they were."""
    count = 0
    async with bootstrap.open_database(environment) as database:
        with _open_text(path) as file:
            file.write(",".join(COLUMNS) + "\n")
            for day in days_through(first, last):
                async for row in iterate_day(database, day):
                    file.write(",".join(_cells(row)) + "\n")
                    count += 1
    return count


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    """The standard output for `-`; else a file that takes its name when the block ends."""
    if str(path) == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with replace_file(path, "w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _cells(row: Sequence[Any]) -> Iterator[str]:
    """As Arrow writes them: every text in quotes, numbers bare, NULL as nothing."""
    slot, *others, received_at, status = row
    yield f'"{slot.astimezone(KST):%Y-%m-%dT%H:%M:%S}+09:00"'
    for value in others:
        yield _cell(value)
    yield "" if received_at is None else f'"{received_at.astimezone(KST):%Y-%m-%dT%H:%M:%S.%f}+09:00"'
    yield _cell(status)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        escaped = str(escape_formula(value)).replace('"', '""')
        return f'"{escaped}"'
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    return "" if value is None else str(value)
