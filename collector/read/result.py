"""A table that was read, on its way to pandas, polars or Arrow."""

from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import ConfigError

ZONE = "Asia/Seoul"
_EXACT = 15
"""Digits of an integer that float64 holds exactly: divided by a power of ten, it gives the nearest float64."""
_NULLABLE = {
    pa.int8(): "Int8Dtype",
    pa.int16(): "Int16Dtype",
    pa.int32(): "Int32Dtype",
    pa.int64(): "Int64Dtype",
}


class Result:
    """The rows of one question: a table of Arrow inside, given as what the caller works with.

    Instants are in Korea's time (Asia/Seoul), prices and volumes integers, percentages float64.
    """

    def __init__(self, table: Any) -> None:
        self._table = normalize_table(table)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"<{len(self):,} rows of {', '.join(self.columns)}>"

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._table.column_names)

    def to_arrow(self) -> Any:
        """As a pyarrow.Table."""
        return self._table

    def to_pandas(self) -> Any:
        """As a pandas.DataFrame. Integers are pandas' nullable ones (Int32, Int64), so a missing price stays <NA>.

        ConfigError if pandas is not installed.
        """
        pandas = _import_package("pandas")
        types = {arrow: getattr(pandas, name)() for arrow, name in _NULLABLE.items()}
        return self._table.to_pandas(types_mapper=types.get, date_as_object=False)

    def to_polars(self) -> Any:
        """As a polars.DataFrame; ConfigError if polars is not installed."""
        return _import_package("polars").from_arrow(self._table)


def _import_package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(f"the package {name} is not installed", hint=f"pip install {name}") from None


def normalize_table(table: Any) -> Any:
    """The same rows with instants in Korea's time, decimals as float64 and without the driver's metadata."""
    names, columns = table.column_names, [_normalize_column(column) for column in table.columns]
    return (
        pa.table(dict(zip(names, columns, strict=True)))
        if len(set(names)) == len(names)
        else _rename(table, columns)
    )


def _rename(table: Any, columns: list[Any]) -> Any:
    """A query may give two columns one name; the second is told apart by its position."""
    names = [
        name if name not in table.column_names[:at] else f"{name}_{at + 1}"
        for at, name in enumerate(table.column_names)
    ]
    return pa.table(dict(zip(names, columns, strict=True)))


def _normalize_column(column: Any) -> Any:
    kind = column.type
    if isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric":
        return pc.cast(
            pa.chunked_array([chunk.storage for chunk in column.chunks], pa.string()), pa.float64()
        )
    if pa.types.is_decimal(kind):
        return round_decimals(column)
    if pa.types.is_timestamp(kind) and kind.tz:
        return column.cast(pa.timestamp("us", ZONE))
    return column


def round_decimals(column: Any) -> Any:
    """A column of decimals as the nearest float64; Arrow's own cast may be a step beside it."""
    kind = column.type
    if kind.precision > _EXACT or kind.scale < 0:
        return column.cast(pa.string()).cast(pa.float64())
    small = column.cast(pa.decimal64(_EXACT, kind.scale))
    units = pa.chunked_array([chunk.view(pa.int64()) for chunk in small.chunks], pa.int64())
    return pc.divide(units.cast(pa.float64()), float(10**kind.scale))
