"""The identity of a running process, so processes on the same machine can see its death.

A wrong answer costs one walk fetched twice, no more: a process taken for dead cannot store its walks
afterwards.
"""

import os
import re
import secrets
import socket
from functools import cache
from hashlib import blake2b
from pathlib import Path

_PROC = Path("/proc")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_STARTED = 19
"""Index of the start time after the state in /proc/PID/stat (proc(5): starttime is field 22, the state field 3)."""
_DEAD = "ZX"
"""States of an ended process not yet waited for by its parent."""


def new_process_token() -> str:
    """Returns a unique name: host, pid, pid namespace and start time, and a random part."""
    host, pid = socket.gethostname(), os.getpid()
    return f"{host}/{pid}/{_numbering()}.{_start_ticks(pid)}/{secrets.token_hex(4)}"


def is_dead(name: str) -> bool:
    """Returns True if the process has certainly ended; False for processes of other machines and containers.

    An unreadable entry proves nothing: with `hidepid`, /proc hides the processes of other users.
    """
    _, pid, began, _ = (name.split("/") + [""] * 4)[:4]
    numbering, _, started = began.partition(".")
    if not numbering or numbering != _numbering() or not _NUMBER.fullmatch(pid) or not started:
        return False
    now = _start_ticks(int(pid))
    return now != started if now else _is_absent(int(pid))


def _is_absent(value: int) -> bool:
    """Returns True if there is certainly no running process with this pid.

    kill(2) sees the processes of every user, unlike /proc; signal 0 only checks for existence.
    """
    if _is_dead(value):
        return True
    try:
        os.kill(value, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@cache
def _numbering() -> str:
    """Identifies boot and pid namespace, "" if unknown: hosts and containers may share names."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return blake2b(f"{boot}{space}".encode(), digest_size=4).hexdigest()


def _start_ticks(pid: int) -> str:
    """Returns the start time in ticks since boot; "" if the system does not tell, or the process has ended."""
    state, *rest = _stat(pid)
    return "" if state in _DEAD or len(rest) < _STARTED else rest[_STARTED - 1]


def _is_dead(value: int) -> bool:
    """Returns True if the process has ended and is not yet waited for."""
    state, *_ = _stat(value)
    return bool(state) and state in _DEAD


def _stat(value: int) -> list[str]:
    """Returns the fields of /proc/PID/stat from the state on; one empty text if it cannot be read."""
    try:
        text = (_PROC / str(value) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [""]
    return text.rpartition(")")[2].split() or [""]
