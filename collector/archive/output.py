"""Writes an export: to one file of Parquet or CSV, complete or not at all, or to a stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from collector.archive import columns
from collector.archive.columns import Table
from collector.archive.file import GROUP, options
from collector.archive.store import Location, store_of
from collector.base import spreadsheet

FORMATS = ("parquet", "csv")


class Output(Protocol):
    """A destination for rows with a file's columns."""

    def write(self, shown: Table) -> None: ...

    def close(self) -> None: ...


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        self._writer = pq.ParquetWriter(file, columns.schema(), **options())

    def write(self, shown: Table) -> None:
        self._writer.write_table(shown, row_group_size=GROUP)

    def close(self) -> None:
        self._writer.close()


class _CsvFile:
    """Writes CSV. Times have Korea's offset, as in `collector sql`."""

    def __init__(self, file: IO[bytes]) -> None:
        names = [column.name for column in columns.COLUMNS]
        self._types = pa.schema(
            [(c.name, pa.string() if c.name in columns.TIMES else c.type) for c in columns.COLUMNS]
        )
        file.write((",".join(names) + "\n").encode())
        self._writer = pacsv.CSVWriter(
            file, self._types, write_options=pacsv.WriteOptions(include_header=False, quoting_style="needed")
        )

    def write(self, shown: Table) -> None:
        values = {name: shown[name] for name in shown.schema.names}
        values["slot"] = shown["slot"].cast(pa.timestamp("s", columns.ZONE))
        for name in columns.TIMES:
            values[name] = pc.strftime(values[name], format="%Y-%m-%dT%H:%M:%S+09:00")
        for name in columns.TEXTS:
            values[name] = _escape_formulas(values[name])
        self._writer.write_table(pa.table(values, schema=self._types))

    def close(self) -> None:
        self._writer.close()


def _escape_formulas(texts: Any) -> Any:
    """Escapes formulas in a column of texts, like `escape_formula`."""
    texts = texts.cast(pa.string())
    is_formula = pc.and_not(
        pc.match_substring_regex(texts, spreadsheet.FORMULA),
        pc.match_substring_regex(texts, spreadsheet.NUMBER),
    )
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", texts, ""), texts)


_FORMATS: dict[str, Any] = {"parquet": _Parquet, "csv": _CsvFile}


@contextmanager
def to_stream(form: str, stream: IO[bytes]) -> Iterator[Output]:
    """Writes to a stream and leaves it open."""
    output: Output = _FORMATS[form](stream)
    yield output
    output.close()
    stream.flush()


@contextmanager
def to_file(form: str, path: Location) -> Iterator[Output]:
    """Writes a file, renamed to its name when the block ends; after an error nothing has changed.

    Its mode follows the umask: an export is for other users too, an archive is not.
    """
    with store_of(path).replace(path) as file, to_stream(form, file) as output:
        yield output
