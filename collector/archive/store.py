"""The stores of archive files: a folder of this machine, or a bucket of an object store (S3).

Both offer the same: a file is written under a temporary name, read back there, and gets its own name once it is whole.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote

from collector.archive.local_store import LocalStore
from collector.archive.object_store import ObjectPath, ObjectStore
from collector.config.object_access import ObjectAccess, parse_object_url

Location = Path | ObjectPath
"""The path of a file or folder; `str()` gives the path, or the URL s3://BUCKET/KEY."""


class Part(Protocol):
    """A file being written under a temporary name."""

    @property
    def location(self) -> Any:
        """The temporary name, to read the rows back."""

    @property
    def file(self) -> IO[bytes]: ...

    def end(self) -> None:
        """Close the file, and wait until the store has all its bytes."""

    def publish(self) -> int:
        """Give the file its own name in one step; returns its size in bytes."""

    def discard(self) -> None:
        """Remove the temporary name, after `publish` or instead of it. Errors are ignored."""


class Store(Protocol):
    """A kind of place for files. Calls block, and raise OSError."""

    def start(self, path: Any) -> Part: ...

    def open(self, path: Any) -> Any:
        """The bytes of a file as pyarrow reads them; a later change of the file does not reach an open one."""

    def replace(self, path: Any) -> AbstractContextManager[IO[bytes]]:
        """A new file for other users too; it takes its name when the block ends. After an error nothing has changed."""

    def is_file(self, path: Any) -> bool: ...

    def size(self, path: Any) -> int: ...

    def open_filesystem(self, path: Any) -> tuple[Any, str]:
        """A file system of pyarrow and the file's path in it, to read some columns and rows of a file."""

    def try_writing(self, folder: Any) -> None:
        """Write a test file, and remove it."""

    def explain(self, error: BaseException | None) -> tuple[str, str] | None:
        """What the store refused, and a hint or ""; None for an error of the file's content."""


_LOCAL = LocalStore()


def store_of(location: Location) -> Store:
    return location.store if isinstance(location, ObjectPath) else _LOCAL


class Locator:
    """Turns texts into locations: a path, file:///PATH, or s3://BUCKET/KEY. One client serves each bucket."""

    def __init__(self, access: ObjectAccess | None = None) -> None:
        self._access = access or ObjectAccess()
        self._stores: dict[str, ObjectStore] = {}

    def __call__(self, text: str) -> Location:
        """ConfigError for another scheme, or for a URL with a secret; the URL is not shown then."""
        if "://" not in text:
            return Path(text)
        if text.startswith("file:///"):
            return Path(unquote(text.removeprefix("file://")))
        bucket, key = parse_object_url(text)
        if bucket not in self._stores:
            self._stores[bucket] = ObjectStore(bucket, self._access)
        return ObjectPath(self._stores[bucket], key)
