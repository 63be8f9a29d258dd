"""The rows of archived days out of their Parquet files, on this machine or in an object store."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from collector.archive.file import FileMetadata
from collector.archive.store import Location, Locator, store_of
from collector.config.object_access import ObjectAccess
from collector.errors import ArchiveError

_METADATA = b"collector"
_FAILURES = (pa.ArrowException, OSError, ValueError, LookupError)


class FileSource:
    """Where archived files are now: in `folder`, a path or s3://BUCKET/FOLDER; None: where they were put."""

    def __init__(self, folder: str | None, access: ObjectAccess) -> None:
        self._locate = Locator(access)
        self._folder = None if folder is None else self._locate(folder)

    def locate(self, record: Mapping[str, Any]) -> Location:
        """The location of the file of a line of the view `archive`."""
        if self._folder is None:
            return self._locate(record["file"])
        location = self._folder
        for name in PurePosixPath(record["file"]).parts[-3:]:
            location = location / name
        return location


def read_archived(
    records: Sequence[Mapping[str, Any]], files: FileSource, wanted: Mapping[str, str | None]
) -> list[Any]:
    """The rows of these files that have the wanted values; a value of None wants all.

    `records` are lines of the view `archive`.
    ArchiveError names a file that is away, damaged, or not the one that was archived.
    """
    return [_read_file(files.locate(record), record, wanted) for record in records]


def _read_file(location: Location, record: Mapping[str, Any], wanted: Mapping[str, str | None]) -> Any:
    try:
        filesystem, path = store_of(location).open_filesystem(location)
        with filesystem.open_input_file(path) as file:
            _refuse_another(pq.read_metadata(file).metadata or {}, location, record)
        dataset = ds.dataset(path, format="parquet", filesystem=filesystem)
        return dataset.to_table(filter=_build_filter(wanted))
    except _FAILURES as error:
        what, hint = store_of(location).explain(error) or (str(error).splitlines()[0], "")
        raise ArchiveError(
            f"{location} with the rows of {record['day']} cannot be read: {what}",
            hint=hint or "say where the archived files are: collector.open(files=…)",
        ) from None


def _refuse_another(metadata: Mapping[bytes, bytes], location: Location, record: Mapping[str, Any]) -> None:
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
