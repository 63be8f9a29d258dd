"""Writes a file under a temporary name, and gives it its own name once it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replace_file(path: Path, mode: str, **options: Any) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; it takes that name when the block ends.

    `mode` and `options` are those of `open`. After an error nothing has changed. The mode bits follow the umask.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
