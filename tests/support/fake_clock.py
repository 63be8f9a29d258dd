"""A false clock for another process, by a preloaded library. A test sets it while the process runs.

The library is our own (`fake_clock.c`), compiled once a run if there is a C compiler. Otherwise Debian's libfaketime
is used if it is installed. If there is neither, `unavailable` says so.
"""

import atexit
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from functools import cache
from pathlib import Path

from collector.model import KST

SOURCE = Path(__file__).with_name("fake_clock.c")
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
PRELOAD = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"


@cache
def compiled() -> Path | None:
    """Our library; None where it cannot be compiled, or does not move the clock of this Python.

    (System Integrity Protection of macOS takes DYLD_* away from the programs of the system.)
    """
    if COMPILER is None:
        return None
    folder = tempfile.TemporaryDirectory(prefix="collector-wall-")
    atexit.register(folder.cleanup)
    library = Path(folder.name) / "wall.so"
    command = [COMPILER, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return library if _moves_the_clock(library) else None


def _moves_the_clock(library: Path) -> bool:
    file = library.with_name("ahead")
    file.write_text("+1000000000")
    shown = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={PRELOAD: str(library), "WALL_FILE": str(file)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return shown.returncode == 0 and float(shown.stdout) > time.time() + 9e8


@cache
def unavailable() -> str:
    """Why no process can be given a clock of its own here; empty where one can."""
    if compiled() or FAKETIME:
        return ""
    return "NO CLOCK TESTS: they need a C compiler (apt install gcc libc6-dev) or libfaketime (apt install faketime)"


class Wall:
    """The clock on the wall of a process."""

    def __init__(self, folder: Path, shown: datetime) -> None:
        self._file = folder / "wall"
        self.show(shown)

    def show(self, at: datetime) -> None:
        """Set it. The file is replaced whole, so that a process never reads half a number."""
        self._ahead = at.timestamp() - time.time()
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{self._ahead:+.3f}", encoding="ascii")
        aside.replace(self._file)

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self._ahead, KST)

    @property
    def environment(self) -> dict[str, str]:
        if library := compiled():
            return {PRELOAD: str(library), "WALL_FILE": str(self._file)}
        return {
            PRELOAD: str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
