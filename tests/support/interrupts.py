"""Stopping by a signal: all signals that ask a command to stop do what Ctrl-C does."""

import signal
from types import FrameType


def accept_interrupts() -> None:
    """Have SIGTERM and SIGHUP interrupt as Ctrl-C does: asyncio cancels its main task, which stops what it started.

    A shell has commands in the background ignore SIGINT, and what they start inherits that: here it counts again.
    A SIGHUP that is ignored, as under nohup, stays ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
