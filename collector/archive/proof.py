"""Checks if the files of an archived day exist and hold the archived rows.

Runs as a process of its own, like the writer: reading Parquet takes memory the daemon must not keep. Usage:
python -m collector.archive.proof DAY (FILE DIGEST)...; exit status 1 and the reason on standard output.
"""

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from collector.archive.day_state import refuse_another
from collector.archive.file import ArchiveFile
from collector.errors import ArchiveError


def why_damaged(day: date, files: Sequence[tuple[Path, str]]) -> str:
    """Explains why a day cannot be restored from its files, "" if every row is readable and as recorded."""
    try:
        for path, digest in files:
            opened = ArchiveFile(path)
            refuse_another(opened, day, digest)
            opened.verify()
    except ArchiveError as error:
        return str(error)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Returns 1 if a file is missing or damaged, else 0."""
    day, *rest = arguments
    files = [(Path(path), digest) for path, digest in zip(rest[::2], rest[1::2], strict=True)]
    reason = why_damaged(date.fromisoformat(day), files)
    sys.stdout.write(reason)
    return 1 if reason else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
