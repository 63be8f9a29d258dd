"""Notifies systemd of the daemon's state: one datagram each time, without a library."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

Notify = Callable[[str], None]


def make_notifier(environ: Mapping[str, str]) -> Notify:
    """Returns a function sending lines like `READY=1` to NOTIFY_SOCKET; without a socket it does nothing."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return lambda _: None
    name = "\0" + address[1:] if address.startswith("@") else address

    def notify(text: str) -> None:
        # A missing listener must not end the daemon.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.setblocking(False)
            wire.sendto(text.encode(), name)

    return notify


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Returns the seconds between two watchdog signals, half of systemd's limit; None without a watchdog."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    span = environ.get("WATCHDOG_USEC", "")
    return int(span) / 2e6 if span.isascii() and span.isdigit() and int(span) else None
