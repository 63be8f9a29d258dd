"""A server that does to a connection what a test tells it to, byte by byte."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.tcp_listener import listening

Script = Callable[["Visit"], Awaitable[None]]


@dataclass
class Visit:
    """One connection. `received` is what came so far; it grows with each `request`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytes = b""

    async def request(self) -> bytes:
        """The next whole request; EOFError once the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        request = head + await self.reader.readexactly(int(size or 0))
        self.received += request
        return request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End with RST instead of FIN, as a crashed peer does."""
        wire = self.writer.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Say nothing more, and leave it to the client to end this."""
        while await self.reader.read(65536):
            pass


@dataclass
class Server:
    port: int = 0
    visits: list[Visit] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        return b"".join(visit.received for visit in self.visits)


@asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Play `script` for each connection, and close it at the end of the script."""
    server = Server(scheme="https" if tls else "http")

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        server.visits.append(visit)
        await script(visit)

    async with listening(visited, tls=tls) as server.port:
        yield server


def answer(body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with its length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
