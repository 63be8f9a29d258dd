"""A small HTTP/1.1 server with strict limits per connection.

`aiohttp.web` has no deadline for a request's head: in a test, 200 of 200 connections with an unfinished head
were open after 20 seconds. This server allows five seconds and counts connections. At the limit it closes the
connection with the longest wait for a request.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import gaierror

from collector.errors import ConfigError
from collector.log import logger
from collector.web.access import HEADERS, AccessPolicy, PageRefusal, PageRequest

CONNECTIONS = 32
HEAD_BYTES = 8192
HEAD_SECONDS = 5.0
"""From the opening of a connection, or its last answer, to the end of the next head."""
SEND_SECONDS = 15.0
BODY_BYTES = 8 * 1024 * 1024
AT_ONCE = 4
"""Answers in the making at a time. The limit leaves the event loop to the sweeps."""


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A response."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Respond = Callable[[PageRequest], Awaitable[PageResponse]]


@asynccontextmanager
async def serving(
    host: str, port: int, guard: AccessPolicy, respond: Respond, *, head_seconds: float = HEAD_SECONDS
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. ConfigError if the address is taken."""
    door = _HttpServer(guard, respond, head_seconds)
    try:
        server = await asyncio.start_server(door.on_connect, host, port, limit=HEAD_BYTES, backlog=256)
    except gaierror as error:
        raise ConfigError(
            f"web.listen: {host} is not an address of this machine: {error.strerror}",
            hint="use 127.0.0.1, or another address of this machine",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"web.listen: {host}:{port} is not available: {os.strerror(error.errno or 0)}",
            hint="another program may use it; COLLECTOR_WEB_LISTEN=127.0.0.1:0 takes any free port",
        ) from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await door.close()


class _HttpServer:
    """Owns its tasks. A TaskGroup would wrap an exception of the block it runs beside."""

    def __init__(self, guard: AccessPolicy, respond: Respond, head_seconds: float) -> None:
        self._head_seconds = head_seconds
        self._guard = guard
        self._respond = respond
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._conversations: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._waiting: dict[asyncio.StreamWriter, None] = {}

    def on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept a new connection, if necessary by closing an idle one, or reject it."""
        if len(self._conversations) >= CONNECTIONS:
            longest = next(iter(self._waiting), None)
            if longest is None:
                writer.transport.abort()
                return
            self._turn_out(longest)
        writer.transport.set_write_buffer_limits(high=0)
        self._conversations[writer] = asyncio.create_task(self._converse(reader, writer))
        self._waiting[writer] = None

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._conversations.values())
        for writer in tuple(self._conversations):
            self._turn_out(writer)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _turn_out(self, writer: asyncio.StreamWriter) -> None:
        self._conversations.pop(writer).cancel()
        self._waiting.pop(writer, None)
        writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    self._waiting[writer] = None
                writer.close()
        finally:
            # All data is with the kernel by now, or comes too late.
            if not writer.is_closing():
                writer.transport.abort()
            self._conversations.pop(writer, None)
            self._waiting.pop(writer, None)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request; True if another may follow."""
        try:
            async with asyncio.timeout(self._head_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            request: PageRequest | PageRefusal = PageRefusal(431, "the request head is too long", {})
        else:
            request = self._guard.judge(head)
        self._waiting.pop(writer, None)
        stays = isinstance(request, PageRequest) and request.headers.get("connection", "").lower() != "close"
        answer = await self._answer(request)
        async with asyncio.timeout(SEND_SECONDS):
            writer.write(_encode(answer, stays=stays, bodiless=getattr(request, "method", "") == "HEAD"))
            await writer.drain()
        return stays

    async def _answer(self, request: PageRequest | PageRefusal) -> PageResponse:
        if isinstance(request, PageRefusal):
            return PageResponse(f"{request.text}\n".encode(), status=request.status, headers=request.headers)
        async with self._at_once:
            try:
                answer = await self._respond(request)
            except Exception:  # an error in a page must not stop the sweeps
                logger.exception("page.failed", path=request.path)
                return PageResponse(b"this page failed; see the log\n", status=500)
        if len(answer.body) > BODY_BYTES:
            return PageResponse(b"the answer is too large; use `collector sql`\n", status=413)
        return answer


def _encode(answer: PageResponse, *, stays: bool, bodiless: bool) -> bytes:
    own = {
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        "Connection": "keep-alive" if stays else "close",
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in {**HEADERS, **answer.headers, **own}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (b"" if bodiless else answer.body)
