"""A command at another instant, with all that it starts: the clock of every process is moved by the same seconds.

The library of `fake_clock` stands in /etc/ld.so.preload, in a mount namespace of the command's own, so that
processes with an environment of their own are moved, too. It takes Linux, root, a C compiler and overlay file systems.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from tests.support.fake_clock import COMPILER, SOURCE

_IN_NAMESPACE = 'mount -t overlay overlay -o lowerdir="$0":/etc /etc && exec "$@"'


@cache
def unavailable() -> str:
    """Why no command can be moved here; empty where one can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "it takes Linux and root"
    if COMPILER is None:
        return "it takes a C compiler (apt install gcc libc6-dev)"
    command = [*_namespace(SOURCE.parent), "true"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        return "no mount namespace with an overlay file system can be made"
    return ""


def moved(folder: Path, at: datetime) -> Sequence[str]:
    """The words before a command that has the instant `at` now. The library lies in `folder`, which is new."""
    assert COMPILER
    etc, library = folder / "etc", folder / "wall.so"
    etc.mkdir(parents=True)
    preload = Path("/etc/ld.so.preload")  # a command that is moved already stays so, and the two add up
    before = preload.read_text(encoding="utf-8") if preload.exists() else ""
    (etc / preload.name).write_text(f"{library}\n{before}", encoding="utf-8")
    ahead = f"-DAHEAD={round(at.timestamp() - time.time())}LL"
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", ahead, "-o", library, SOURCE, "-ldl"], check=True)
    return _namespace(etc)


def _namespace(etc: Path) -> Sequence[str]:
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_NAMESPACE, str(etc)]
