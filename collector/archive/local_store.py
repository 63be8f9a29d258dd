"""Files in a folder of this machine: forced to disk under a temporary name, then renamed.

The entries of the folders are forced to disk too. A killed writer leaves a file ending in `.part`; no program reads
it, and the next writer replaces it.
"""

import os
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any

import pyarrow.fs as pafs

from collector.base.replace_file import replace_file


class LocalPart:
    """A file being written beside its own name, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.location = path.with_name(f".{path.name}.part")
        _make_private_folders(path.parent)
        self.file = _open_private(self.location)

    def end(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def publish(self) -> int:
        self.location.rename(self._path)
        _sync_folders_of(self._path)
        return self._path.stat().st_size

    def discard(self) -> None:
        with suppress(OSError):
            self.file.close()
        self.location.unlink(missing_ok=True)


class LocalStore:
    """The file systems of this machine."""

    def start(self, path: Path) -> LocalPart:
        return LocalPart(path)

    def open(self, path: Path) -> Any:
        return path

    def replace(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        return replace_file(path, "wb")

    def is_file(self, path: Path) -> bool:
        return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for a very long name

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def open_filesystem(self, path: Path) -> tuple[Any, str]:
        return pafs.LocalFileSystem(), str(path)

    def try_writing(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass

    def explain(self, error: BaseException | None) -> tuple[str, str] | None:
        if isinstance(error, OSError) and error.errno:
            return error.strerror or str(error), ""
        return None


def _make_private_folders(folder: Path) -> None:
    """Creates a folder and its missing parents for their owner alone; existing folders stay as they are."""
    if not folder.is_dir():
        _make_private_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _open_private(path: Path) -> IO[bytes]:
    """Opens a new file, readable by its owner alone under any umask.

    A part left by a killed archiver may have another mode, so it is replaced.
    """
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync_folders_of(path: Path) -> None:
    """Forces the folder entries of a file to disk, up to the root of its file system.

    All folders are included: the creator of a folder may have been killed before forcing its entry.
    """
    for folder in path.absolute().parents:
        with suppress(PermissionError):  # a folder we may not read was not created by us
            _sync_folder(folder)
        if folder.is_mount():
            return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
