"""Keeps the memory of threads together, for commands that work with large buffers in several threads."""

import ctypes
from contextlib import suppress

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""
_ARENAS = 2
"""The default is eight a core. With two, archiving a day of 1.3 million rows peaks 50 MB lower, and takes
no more CPU."""


def limit_arenas() -> None:
    """Let malloc use two arenas in this process. Does nothing where malloc is not glibc's."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
