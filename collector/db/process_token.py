"""What a running program is called where it holds something, so that others on its machine see when it has died.

A wrong answer costs a walk that is fetched twice, no more: whoever is taken for dead writes nothing afterwards.
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
"""Where the start is among the fields behind the state (proc(5): starttime is the 22nd, the state the 3rd)."""
_DEAD = "ZX"
"""States of one that has ended, and that nobody has asked how."""


def new_process_token() -> str:
    """A name that nothing else has: the machine, the number of the program there, when it was started."""
    host, pid = socket.gethostname(), os.getpid()
    return f"{host}/{pid}/{_numbering()}.{_start_ticks(pid)}/{secrets.token_hex(4)}"


def is_dead(name: str) -> bool:
    """Whether a program of this machine has certainly ended; False for one of another machine, or another container.

    What cannot be read proves nothing: with `hidepid` other users' programs are not in /proc.
    """
    _, pid, began, _ = (name.split("/") + [""] * 4)[:4]
    numbering, _, started = began.partition(".")
    if not numbering or numbering != _numbering() or not _NUMBER.fullmatch(pid) or not started:
        return False
    now = _start_ticks(int(pid))
    return now != started if now else _is_absent(int(pid))


def _is_absent(value: int) -> bool:
    """Whether there certainly is no such program, or none that still runs.

    The kernel answers for every user's programs, unlike /proc; with 0 it only looks whether there is one.
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
    """What tells whose program numbers these are: hosts may share a name, and so may containers of one host."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return blake2b(f"{boot}{space}".encode(), digest_size=4).hexdigest()


def _start_ticks(pid: int) -> str:
    """Ticks from the machine's start to the program's; "" where the system does not tell, or it has ended."""
    state, *rest = _stat(pid)
    return "" if state in _DEAD or len(rest) < _STARTED else rest[_STARTED - 1]


def _is_dead(value: int) -> bool:
    """Whether the program is there and has ended: nobody has asked yet how."""
    state, *_ = _stat(value)
    return bool(state) and state in _DEAD


def _stat(value: int) -> list[str]:
    """The state and what follows it in /proc/N/stat; one empty text where that cannot be read."""
    try:
        text = (_PROC / str(value) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [""]
    return text.rpartition(")")[2].split() or [""]
