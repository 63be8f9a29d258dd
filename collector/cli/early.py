"""What cannot wait until the rest is imported: a daemon that is told to stop while it starts."""

import os
import signal
from collections.abc import Sequence


def mind_signals(arguments: Sequence[str]) -> None:
    """For `collector daemon`: end well at SIGTERM and SIGINT, and let SIGHUP pass, until it does so itself.

    As process 1 of a container, a signal that nobody minds is lost, and the container would be killed later.
    """
    if arguments[1:2] == ["daemon"]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
