"""What the daemon needs done before the rest is imported."""

import os
import signal


def prepare_daemon() -> None:
    """End well at SIGTERM and SIGINT, and let SIGHUP pass, until the daemon minds them itself.

    As process 1 of a container, a signal that nobody minds is lost, and the container would be killed later.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
