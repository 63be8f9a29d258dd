"""A folder in memory for the files of a run: the databases of its server, and what tests write.

A database has some 470 files, a private server 970. ext4 searches long for the inode of a new file after many files
were deleted: to make and to drop a database costs 45 ms of processor time there, and 14 ms in memory. To delete the
files of an earlier run took up to a minute.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

MEMORY = Path("/dev/shm")
PREFIX, LOCK = "collector-tests-", "run.lock"
ROOM = 3 << 30
"""Free bytes that a folder must have: a worker's server needs some 250 MB, and a run has two workers a core."""


@contextmanager
def memory_folder(parent: Path = MEMORY) -> Iterator[Path | None]:
    """A folder in memory for the time of this block; None on a machine without room there.

    It stays if the block fails or is broken off, until the next run.
    """
    if not has_room(parent):
        yield None
        return
    remove_remains(parent)
    folder = Path(mkdtemp(prefix=PREFIX, dir=parent))
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= ROOM


def remove_remains(parent: Path) -> None:
    """Remove the folders of runs that failed or were killed; a run that is under way has its folder locked."""
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
