"""Checks if the files of an archived day exist and hold the archived rows.

Runs as a process of its own, like the writer: reading Parquet takes memory the daemon must not keep. Usage:
python -m collector.archive.proof DAY (FILE DIGEST)...; exit status 1 and the reason on standard output.
"""

import os
import sys
from collections.abc import Sequence
from datetime import date

from collector import config as configuration
from collector.archive.day_state import is_there, refuse_another
from collector.archive.file import ArchiveFile
from collector.archive.store import Locator
from collector.base.skip_pandas import skip_pandas
from collector.errors import ArchiveError, ConfigError


def why_damaged(day: date, files: Sequence[tuple[str, str]], locate: Locator) -> str:
    """Explains why a day cannot be restored from its files, "" if every row is readable and as recorded."""
    try:
        for text, digest in files:
            path = locate(text)
            if not is_there(path):
                return f"{path} is not there"
            opened = ArchiveFile(path)
            refuse_another(opened, day, digest)
            opened.verify()
    except (ArchiveError, ConfigError) as error:
        return str(error)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Returns 1 if a file is missing or damaged, else 0."""
    skip_pandas()
    day, *rest = arguments
    files = list(zip(rest[::2], rest[1::2], strict=True))
    locate = Locator(configuration.settings(os.environ).object_access)
    reason = why_damaged(date.fromisoformat(day), files, locate)
    sys.stdout.write(reason)
    return 1 if reason else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
