"""Archive files: each is complete or absent, and is read only if it matches its own metadata.

    FOLDER/snapshot/date=2026-11-20/KRX.parquet

A file is written under a temporary name and gets its own name once it is whole; `collector.archive.store` does both.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from collector.archive import columns
from collector.archive.columns import ArchiveReader, Names, Table
from collector.archive.digest import Digest
from collector.archive.store import Location, store_of
from collector.errors import ArchiveError

FORMAT = 2
GROUP = 131_072
"""Rows of a row group: the smallest unit to read, and the unit held in memory."""
_KEY = b"collector"
_BATCH = 65_536
_DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError, MemoryError)
"""Every error a damaged file may cause. MemoryError: a damaged length asks for too much memory."""
_DELTA = [c.name for c in columns.COLUMNS if c.name not in (*columns.TEXTS, "sign")]


@dataclass(frozen=True)
class FileMetadata:
    """The facts a file states in its own metadata. `source` is the source of its data: real, mock or ours."""

    day: date
    exchange: str
    source: str
    rows: int
    digest: str
    targets: list[tuple[str, str]]

    def text(self) -> str:
        known = {c.name: {"unit": c.unit, "meaning": c.meaning} for c in columns.COLUMNS}
        described = {"columns": known, "sorted_by": columns.SORTED_BY, "null": "no quote, or no trade"}
        facts = {"format": FORMAT, **self._values(), "check": self.check()}
        return json.dumps({**facts, **described}, ensure_ascii=False)

    def check(self) -> str:
        """Returns a checksum of these facts: Parquet has checksums for its pages only."""
        return hashlib.sha256(json.dumps(self._values()).encode()).hexdigest()

    def _values(self) -> dict[str, Any]:
        return asdict(self) | {"day": self.day.isoformat()}

    @classmethod
    def parse(cls, text: bytes) -> "FileMetadata":
        """Parses the metadata of a file. ValueError or KeyError if this program did not write it."""
        try:
            return cls._parse(json.loads(text))
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError("its metadata has an unknown form") from error

    @classmethod
    def _parse(cls, values: Mapping[str, Any]) -> "FileMetadata":
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']}, this program reads {FORMAT}")
        facts = cls(
            day=date.fromisoformat(values["day"]),
            exchange=values["exchange"],
            source=values["source"],
            rows=values["rows"],
            digest=values["digest"],
            targets=[(market, sector) for market, sector in values["targets"]],
        )
        if values["check"] != facts.check():
            raise ValueError("its metadata was changed")
        return facts


def place(folder: Location, day: date, exchange: str) -> Location:
    """Returns the path for the rows of a day and exchange."""
    return folder / "snapshot" / f"date={day.isoformat()}" / f"{exchange}.parquet"


@contextmanager
def writing(path: Location) -> Iterator[None]:
    """Turns an error of writing into one line with the file's name."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        what, hint = store_of(path).explain(error) or (_first_line(error), "")
        raise ArchiveError(
            f"{path} cannot be written: {what}",
            hint=hint or "nothing is lost: rows not in a file are still in the database",
        ) from error


@contextmanager
def reading(path: Location) -> Iterator[None]:
    """Turns an error of reading into one line.

    An error of pyarrow, or of decoding a batch, means damage, unless the store says that it did not give the file.
    """
    try:
        yield
    except _DAMAGE as error:
        if refusal := store_of(path).explain(error):
            what, hint = refusal
            raise ArchiveError(f"{path} cannot be read: {what}", hint=hint) from error
        raise ArchiveError(f"{path} is damaged: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class AtomicParquetWriter:
    """A file being written under a temporary name. `keep` gives it its own; otherwise it stays a part."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self._part = store_of(path).start(path)
        self.part: Location = self._part.location
        self._writer = pq.ParquetWriter(self._part.file, columns.schema(), **options())

    def write(self, shown: Table) -> None:
        self._writer.write_table(shown, row_group_size=GROUP)

    def end(self, facts: FileMetadata) -> None:
        """Ends the rows: closes the file once the store has it."""
        self._writer.add_key_value_metadata({_KEY: facts.text()})
        self._writer.close()
        self._part.end()

    def keep(self) -> int:
        """Gives the file its final name; returns its size in bytes."""
        return self._part.publish()

    def discard(self) -> None:
        """Removes the part, after `keep` or instead of it."""
        with suppress(OSError, ValueError):
            self._writer.close()
        self._part.discard()


def options() -> Mapping[str, Any]:
    """Returns the writer's options: packed differences, texts by dictionary, a checksum for every page."""
    return {
        "compression": "zstd",
        "use_dictionary": [*columns.TEXTS, "sign"],
        "column_encoding": dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
        "store_decimal_as_integer": True,
        "write_page_checksum": True,
        "version": "2.6",
        "sorting_columns": pq.SortingColumn.from_ordering(
            columns.schema(), [(name, "ascending") for name in columns.SORTED_BY]
        ),
    }


class ArchiveFile:
    """An archive file opened for reading; ArchiveError if it is missing, damaged or not written by this program."""

    def __init__(self, path: Location) -> None:
        self.path = path
        with reading(path):
            source = store_of(path).open(path)
            metadata = pq.read_metadata(source)
        self.facts = _facts(path, metadata.metadata or {})
        with reading(path):
            self._file = pq.ParquetFile(
                source,
                metadata=metadata,
                read_dictionary=list(columns.TEXTS),
                page_checksum_verification=True,
            )
            if self._file.schema_arrow.remove_metadata() != columns.schema_as_read():
                raise ValueError("its columns are not the columns of this program")

    def rows(self, reader: ArchiveReader) -> Iterator[tuple[Any, Table]]:
        """Yields each batch as stored, and converted to rows."""
        batches = self._file.iter_batches(_BATCH)
        while True:
            with reading(self.path):
                batch = next(batches, None)
                rows = None if batch is None else _decode(batch, reader)
            if batch is None:
                return
            yield batch, rows

    def verify(self) -> Names:
        """Reads the whole file and returns its names; ArchiveError if its rows differ from the rows written."""
        reader, digest = ArchiveReader(self.facts.targets), Digest()
        for _, rows in self.rows(reader):
            digest.update(rows)
        names = Names(reader.targets, reader.listings)
        self.refuse_unless(digest, names)
        return names

    def refuse_unless(self, digest: Digest, names: Names) -> None:
        """Raises ArchiveError unless count and digest of the rows read match the metadata."""
        if digest.rows != self.facts.rows:
            raise ArchiveError(
                f"{self.path} is damaged: it holds {digest.rows:,} rows instead of {self.facts.rows:,}"
            )
        if digest.hexdigest(names) != self.facts.digest:
            raise ArchiveError(f"{self.path} is damaged: its rows differ from the rows written")


def read_facts(path: Location) -> FileMetadata:
    """Returns the facts of a file, from its end alone."""
    with reading(path):
        filesystem, name = store_of(path).open_filesystem(path)
        with filesystem.open_input_file(name) as source:
            metadata = pq.read_metadata(source)
    return _facts(path, metadata.metadata or {})


def _decode(batch: Any, reader: ArchiveReader) -> Table:
    columns.refuse_invalid(batch)
    return reader.rows(batch)


def _facts(path: Location, metadata: Mapping[bytes, bytes]) -> FileMetadata:
    if _KEY not in metadata:
        raise ArchiveError(f"{path} is not a file of `collector archive`")
    with reading(path):
        return FileMetadata.parse(metadata[_KEY])
