"""The rows of archived days out of their Parquet files, on this machine or in an object store."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from collector.archive.file import FileMetadata
from collector.errors import ArchiveError

_METADATA = b"collector"
_FAILURES = (pa.ArrowException, OSError, ValueError, LookupError)


def read_archived(
    records: Sequence[Mapping[str, Any]], folder: str | None, wanted: Mapping[str, str | None]
) -> list[Any]:
    """The rows of these files that have the wanted values; a value of None wants all.

    `records` are lines of the view `archive`. `folder` is where the files lie now, None: where they were put.
    ArchiveError names a file that is away, damaged, or not the one that was archived.
    """
    return [_read_file(locate(record, folder), record, wanted) for record in records]


def locate(record: Mapping[str, Any], folder: str | None) -> str:
    """The path or address of a file."""
    if folder is None:
        return str(record["file"])
    return f"{folder.rstrip('/')}/{'/'.join(PurePosixPath(record['file']).parts[-3:])}"


def _read_file(location: str, record: Mapping[str, Any], wanted: Mapping[str, str | None]) -> Any:
    try:
        filesystem, path = _open_filesystem(location)
        with filesystem.open_input_file(path) as file:
            _refuse_another(pq.read_metadata(file).metadata or {}, location, record)
        dataset = ds.dataset(path, format="parquet", filesystem=filesystem)
        return dataset.to_table(filter=_build_filter(wanted))
    except _FAILURES as error:
        raise ArchiveError(
            f"{location} with the rows of {record['day']} cannot be read: {str(error).splitlines()[0]}",
            hint="say where the archived files are: collector.open(files=…)",
        ) from None


def _open_filesystem(location: str) -> tuple[Any, str]:
    if "://" not in location:
        return pafs.LocalFileSystem(), location
    filesystem, path = pafs.FileSystem.from_uri(location)
    return filesystem, path


def _refuse_another(metadata: Mapping[bytes, bytes], location: str, record: Mapping[str, Any]) -> None:
    """ArchiveError unless the file says that it holds the rows that were archived from this database."""
    if _METADATA not in metadata:
        raise ArchiveError(f"{location} is no file of `collector archive`")
    facts = FileMetadata.parse(metadata[_METADATA])
    if (facts.day, facts.exchange, facts.digest) != (record["day"], record["exchange"], record["digest"]):
        raise ArchiveError(
            f"{location} holds other rows than were archived from this database on {record['day']}"
        )


def _build_filter(wanted: Mapping[str, str | None]) -> Any:
    condition = None
    for name, value in wanted.items():
        if value is not None:
            part = ds.field(name) == value
            condition = part if condition is None else condition & part
    return condition
