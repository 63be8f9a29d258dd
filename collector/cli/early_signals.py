"""What has to be done before the rest is imported."""

import os
import signal
import sys
from contextlib import suppress
from typing import Any, TextIO


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise the next socket or file would get the descriptor, and receive what is printed.
    """
    for value, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if not _is_open(value):
            _open_null(value)
        if getattr(sys, name) is None:
            setattr(sys, name, open(value, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def lose_unwritable_lines() -> None:
    """Let stderr lose what nobody takes, so that what is told of goes on."""
    sys.stderr = LossyStream(sys.stderr)


def discard_output() -> None:
    """Send stdout to /dev/null from here on: what is left in its buffer would fail again at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


class LossyStream:
    """A text stream that loses what a full disk, or a reader that is gone, does not take."""

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
    """End well at SIGTERM and SIGINT, and let SIGHUP pass, until the daemon minds them itself.

    As process 1 of a container, a signal that nobody minds is lost, and the container would be killed later.
    """
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
