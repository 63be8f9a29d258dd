"""A page's data as rows, in CSV or JSON. Instants are in Korean time."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from collector.base.spreadsheet import CsvWriter
from collector.model import KST

KINDS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@dataclass(frozen=True)
class DataTable:
    """Named columns and their values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def table(columns: str, rows: Iterable[Sequence[object]]) -> DataTable:
    """A table; `columns` are the names, separated by blanks."""
    return DataTable(columns.split(), list(rows))


def encode(table: DataTable, form: str) -> bytes:
    """Encode as `csv`, or as `json`: a list of objects."""
    if form == "json":
        rows = [dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows]
        return json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n"
    text = io.StringIO()
    writer = CsvWriter(text)
    for row in (table.columns, *table.rows):
        writer.write(map(plain, row))
    return text.getvalue().encode()


def plain(value: object) -> Any:
    """A value in a form for JSON."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(KST).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return value
