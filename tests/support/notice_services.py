"""Services that receive notices, on a real HTTP server: each answers as a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.byte_server import Server, Visit, answer, serving
from tests.support.secret_sentinels import NOTIFY_TOKEN as TOKEN


@dataclass
class Services:
    """The received requests. `behave` says what a path does: accept, refuse (500), hang, drip, or accept after eight
    seconds (slow).
    """

    server: Server
    behave: Callable[[str], str]
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and body, in the order of arrival."""
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, name: str, scheme: str = "json") -> str:
        """The URL of a service by a name."""
        return f"{scheme}://127.0.0.1:{self.server.port}/{name}/{TOKEN}"

    def messages(self, name: str = "") -> list[dict[str, Any]]:
        """The messages that a service received, oldest first."""
        return [json.loads(body) for path, body in self.requests if body and path.startswith(f"/{name}")]

    def titles(self, name: str = "") -> list[str]:
        return [message["title"] for message in self.messages(name)]

    def calls(self, name: str) -> int:
        """The number of requests to a path."""
        return sum(path.startswith(f"/{name}") for path, _ in self.requests)

    def note(self, path: str, body: str) -> None:
        self.requests.append((path, body))
        self._arrived.set()

    async def wait(self, has_come: Callable[[], bool], *, seconds: float = 600.0) -> None:
        """Wait until a condition holds; it is asked after each request."""
        try:
            async with asyncio.timeout(seconds):
                while not has_come():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {self.requests}") from None


@asynccontextmanager
async def services(behave: Callable[[str], str] = lambda _: "accept") -> AsyncIterator[Services]:
    """A server on loopback. `behave` is asked with the first part of each path."""

    async def script(visit: Visit) -> None:
        request = await visit.request()
        head, _, body = request.partition(b"\r\n\r\n")
        path = head.split()[1].decode()
        running.note(path, body.decode())
        match running.behave(path.split("/")[1]):
            case "accept":
                await visit.send(answer())
            case "slow":
                await asyncio.sleep(8)  # the duration is the subject: longer than apprise waits by itself
                await visit.send(answer())
            case "refuse":
                await visit.send(answer(path.encode(), status=b"500 Internal Server Error"))
            case "drip":
                await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    await visit.send(b".")
                    await asyncio.sleep(0.2)  # the duration is the subject: no answer ends
            case _:
                await visit.until_gone()

    async with serving(script) as server:
        running = Services(server, behave)
        yield running
