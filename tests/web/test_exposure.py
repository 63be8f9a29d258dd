"""What of the page others can reach, and what they can have done by it: nothing."""

import socket

import pytest

from collector.config import Config
from tests.support.web_harness import Page, get


def elsewhere() -> str | None:
    """An address of this machine that is not loopback, None where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # nothing is sent: only the route is looked up
        except OSError:
            return None
        address = str(asking.getsockname()[0])
        return None if address.startswith("127.") else address


@pytest.mark.skipif(elsewhere() is None, reason="this machine has loopback only")
async def test_the_page_is_not_to_be_reached_from_another_machine(shown: Page) -> None:
    port = int(shown.url.rpartition(":")[2])
    assert (await get(shown.url, "/healthz"))[0] == 200
    with pytest.raises(OSError, match="refused"), socket.create_connection((elsewhere() or "", port), 2):
        pass
    assert Config({}).web.host == "127.0.0.1"


PATHS = (
    "/",
    "/metrics",
    "/healthz",
    "/readyz",
    "/reload",
    "/backfill",
    "/shutdown",
    "/static/",
    "/day/2026-11-20",
)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_no_address_of_the_page_takes_an_order(shown: Page, method: str) -> None:
    for path in PATHS:
        status, headers, _ = await get(shown.url, path, method=method)
        assert (path, status, headers["allow"]) == (path, 405, "GET, HEAD")
