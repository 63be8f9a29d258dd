"""One datagram to systemd, or to nobody."""

import socket

import pytest

from collector.daemon import make_notifier, watchdog_interval


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.settimeout(600)
        yield wire


def test_it_says_what_it_is_told_to_whoever_listens(listener):
    make_notifier({"NOTIFY_SOCKET": listener.getsockname()})("READY=1")
    assert listener.recv(100) == b"READY=1"


def test_an_abstract_socket_is_one_too():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind("\0collector-test-notify")
        wire.settimeout(600)
        make_notifier({"NOTIFY_SOCKET": "@collector-test-notify"})("WATCHDOG=1")
        assert wire.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "nonsense", "/nowhere/at/all"])
def test_nobody_listening_is_no_trouble(address):
    make_notifier({"NOTIFY_SOCKET": address})("READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=["none", "half of it", "for us", "for another", "zero", "garbage"],
)
def test_signs_of_life_come_twice_as_often_as_they_are_waited_for(environ, seconds):
    assert watchdog_interval(environ, 7) == seconds
