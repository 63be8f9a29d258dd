"""What a running program is called where it holds something, so that others on its machine see when it has died.

A wrong answer costs a walk that is fetched twice, no more: whoever is taken for dead writes nothing afterwards.
"""

import os
import secrets
import socket
from functools import cache
from hashlib import blake2b
from pathlib import Path

_PROC = Path("/proc")
_DEAD = "ZX"
"""States of one that has ended, and that nobody has asked how."""


def new_name() -> str:
    """A name that nothing else has: the machine, the number of the program there, when it was started."""
    host, number = socket.gethostname(), os.getpid()
    return f"{host}/{number}/{_numbering()}.{_started(number)}/{secrets.token_hex(4)}"


def is_gone(name: str) -> bool:
    """Whether a program of this machine has certainly ended; False for one of another machine, or another container."""
    _, number, began, _ = (name.split("/") + [""] * 4)[:4]
    numbering, _, started = began.partition(".")
    if numbering != _numbering() or not number.isdecimal() or not started:
        return False
    return _started(int(number)) != started


@cache
def _numbering() -> str:
    """What tells whose program numbers these are: hosts may share a name, and so may containers of one host."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return blake2b(f"{boot}{space}".encode(), digest_size=4).hexdigest()


def _started(number: int) -> str:
    """Ticks from the machine's start to the program's; "" where the system does not tell, or there is none."""
    try:
        text = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state in _DEAD else rest[18]
