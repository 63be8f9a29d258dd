"""The clock on the wall of another process, by libfaketime: set at will while the process runs."""

import time
from datetime import datetime
from pathlib import Path

from collector.model import KST

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Wall:
    """The clock on the wall of a process."""

    def __init__(self, folder: Path, shown: datetime) -> None:
        self._file = folder / "faketime"
        self.show(shown)

    def show(self, at: datetime) -> None:
        self._ahead = at.timestamp() - time.time()
        self._file.write_text(f"{self._ahead:+.3f}", encoding="ascii")

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self._ahead, KST)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
