"""Tells systemd how the daemon is: one datagram each time, no library."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

Notify = Callable[[str], None]


def make_notifier(environ: Mapping[str, str]) -> Notify:
    """What sends a line such as `READY=1` to the socket in NOTIFY_SOCKET, or to nobody."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return lambda _: None
    name = "\0" + address[1:] if address.startswith("@") else address

    def notify(text: str) -> None:
        # Whoever does not listen any more must not end the daemon.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.setblocking(False)
            wire.sendto(text.encode(), name)

    return notify


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life, half of what systemd waits for; None if it does not wait."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    span = environ.get("WATCHDOG_USEC", "")
    return int(span) / 2e6 if span.isascii() and span.isdigit() and int(span) else None
