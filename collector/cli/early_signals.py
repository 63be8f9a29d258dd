"""Preparations before the other modules are imported."""

import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO


def open_standard_streams() -> None:
    """Open /dev/null for each closed standard stream.

    Otherwise the next socket or file gets its descriptor, and receives printed text.
    """
    for value, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if not _is_open(value):
            _open_null(value)
        if getattr(sys, name) is None:
            setattr(sys, name, open(value, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def escape_unencodable_text() -> None:
    """Print characters outside the encoding of a stream as escapes, such as \\uc0bc, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def lose_unwritable_lines() -> None:
    """Let stderr drop unwritable text, so a full disk or a closed pipe does not stop the command."""
    sys.stderr = LossyStream(sys.stderr)


def discard_output() -> None:
    """Send stdout to /dev/null from here on. Otherwise the rest of its buffer fails again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


class LossyStream:
    """A text stream that drops text if the disk is full or the reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _is_open(value: int) -> bool:
    try:
        os.fstat(value)
    except OSError:
        return False
    return True


def _open_null(value: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != value:
        os.dup2(null, value)
        os.close(null)
    os.set_inheritable(value, True)


def prepare_daemon() -> None:
    """Exit cleanly at SIGTERM and SIGINT, and ignore SIGHUP, until the daemon installs its own handlers.

    In a container this is process 1: the kernel drops signals without a handler there, and the container
    would be killed later.
    """
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
