"""A page's data as rows, in CSV, JSON or Parquet. Instants are in Korean time."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from collector.base.spreadsheet import CsvWriter
from collector.model import KST

KINDS = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
HAS_PARQUET = find_spec("pyarrow") is not None
"""False without the optional package pyarrow: then there is no Parquet."""


@dataclass(frozen=True)
class DataTable:
    """Named columns and their values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def table(columns: str, rows: Iterable[Sequence[object]]) -> DataTable:
    """A table; `columns` are the names, separated by blanks."""
    return DataTable(columns.split(), list(rows))


def encode(table: DataTable, form: str) -> bytes:
    """Encode as `csv`, as `json` (a list of objects), or as `parquet`."""
    if form == "parquet":
        return _encode_parquet(table)
    if form == "json":
        rows = [dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows]
        return json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n"
    text = io.StringIO()
    writer = CsvWriter(text)
    for row in (table.columns, *table.rows):
        writer.write(map(plain, row))
    return text.getvalue().encode()


def _encode_parquet(table: DataTable) -> bytes:
    """The table as a Parquet file. Decimals become floats, lists become texts, instants are in Korean time."""
    import pyarrow as pa  # noqa: PLC0415 - 40 MB, for a program that may never be asked
    import pyarrow.parquet as pq  # noqa: PLC0415

    from collector.archive import columns  # noqa: F401, PLC0415 - chooses the allocator, before pyarrow is loaded

    sink = pa.BufferOutputStream()
    values = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    arrays = [_array(pa, [_to_arrow_value(value) for value in column]) for column in values]
    pq.write_table(pa.table(arrays, names=list(table.columns)), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _array(pa: Any, values: Sequence[object]) -> Any:
    """A column; a mixed one becomes text."""
    if any(isinstance(value, datetime) for value in values):
        return pa.array(values, pa.timestamp("us", "Asia/Seoul"))
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _to_arrow_value(value: object) -> object:
    """A value with a type of its own in Parquet; everything else as in JSON."""
    return value if isinstance(value, date | datetime) else plain(value)


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
