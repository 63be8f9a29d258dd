"""A small HTTP/1.1 server with byte-exact control over the delivery of each answer, for wrong answers, too.

It supports keep-alive, pipelining in order, and Content-Length and chunked framing in both directions. It is
for tests only.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import Enum, auto
from gzip import compress
from http import HTTPStatus
from urllib.parse import parse_qsl

_MAX_HEAD = 65_536
_MAX_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Ending(Enum):
    """The end of the connection after the last byte."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    STALL = auto()


@dataclass(frozen=True, slots=True)
class Unasked:
    """Surplus bytes after an answer, sent `wait` seconds later. With 0 they share its segment."""

    data: bytes
    wait: float = 0.0


class Framing(Enum):
    LENGTH = auto()
    CHUNKED = auto()
    NONE = auto()
    """Neither a length nor chunks: the body ends with the connection."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an answer. The default is correct HTTP.

    `cut_head` and `cut_body` are the number of bytes sent before `ending`. `surplus` is added to the
    announced Content-Length. `padding` is the number of blanks after the body. `drip` is (bytes at a time,
    seconds between). `wait` is the seconds before the first byte. `unasked` follows the answer at its time,
    even if the connection carries another answer by then.
    """

    framing: Framing = Framing.LENGTH
    ending: Ending = Ending.KEEP
    cut_head: int | None = None
    cut_body: int | None = None
    surplus: int = 0
    padding: int = 0
    drip: tuple[int, float] | None = None
    wait: float = 0.0
    unasked: Unasked | None = None


WHOLE = Delivery()


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers in order (repetition is allowed), body and delivery."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delivery: Delivery = field(default=WHOLE)


def gzip_response(answer: HttpResponse) -> HttpResponse:
    """The same answer, compressed, unless it has an encoding already."""
    if any(name.lower() == "content-encoding" for name, _ in answer.headers):
        return answer
    body = compress(answer.body, 1)
    return replace(answer, headers=(*answer.headers, ("Content-Encoding", "gzip")), body=body)


App = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Connection(asyncio.Protocol):
    """One client connection. Parses requests and sends their answers in order.

    The first request is read no earlier than `setup` seconds after the connection was opened: the time of a handshake.
    """

    def __init__(self, app: App, open_connections: "set[Connection]", setup: float = 0.0) -> None:
        self._setup = setup
        self._ready_at = 0.0
        self._app = app
        self._open = open_connections
        self._buffer = bytearray()
        self._requests: deque[HttpRequest] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)
        self._ready_at = asyncio.get_running_loop().time() + self._setup

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._writable.set()
        if self._worker is not None:
            self._worker.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (request := _take(self._buffer)) is not None:
                self._requests.append(request)
        except ValueError:
            self._transport.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self._transport.close()
            return
        if self._requests and self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._answer_all())

    def abort(self) -> None:
        self._transport.abort()

    async def _answer_all(self) -> None:
        try:
            await self._wait_for_setup()
            while self._requests and not self._transport.is_closing():
                request = self._requests.popleft()
                await self._deliver(request, await self._app(request))
        except Exception:
            # This is a bug in the simulator. Abort, so the client does not wait; asyncio logs the traceback.
            self._transport.abort()
            raise
        finally:
            self._worker = None

    async def _wait_for_setup(self) -> None:
        seconds = self._ready_at - asyncio.get_running_loop().time()
        if self._setup and seconds > 0:
            await asyncio.sleep(seconds)

    async def _deliver(self, request: HttpRequest, answer: HttpResponse) -> None:
        how = answer.delivery
        head, body = _head(answer), answer.body
        if how.wait:
            await asyncio.sleep(how.wait)
        if how is WHOLE:
            self._transport.write(head + body)
        else:
            await self._deliver_oddly(head, body, how)
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()

    async def _deliver_oddly(self, head: bytes, body: bytes, how: Delivery) -> None:
        if how.framing is Framing.CHUNKED:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        sent = head[: how.cut_head] if how.cut_head is not None else head + body[: how.cut_body]
        if how.unasked is not None:
            sent += self._add_unasked(how.unasked)
        await self._send(sent, how.drip)
        await self._pad(how.padding)
        if how.ending is Ending.STALL:
            await asyncio.Event().wait()
        elif how.ending is Ending.RESET:
            _reset(self._transport)
        elif how.ending is Ending.CLOSE or how.framing is Framing.NONE:
            self._transport.close()

    def _add_unasked(self, unasked: Unasked) -> bytes:
        """The surplus bytes to send with the answer; later ones are scheduled."""
        if unasked.wait <= 0:
            return unasked.data
        asyncio.get_running_loop().call_later(unasked.wait, self._write_unless_closed, unasked.data)
        return b""

    def _write_unless_closed(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def _send(self, data: bytes, drip: tuple[int, float] | None) -> None:
        if drip is None:
            self._transport.write(data)
            return
        size, pause = drip
        for start in range(0, len(data), size):
            self._transport.write(data[start : start + size])
            await asyncio.sleep(pause)

    async def _pad(self, size: int) -> None:
        while size > 0 and not self._transport.is_closing():
            self._transport.write(b" " * min(size, 65_536))
            size -= 65_536
            await self._writable.wait()


def to_bytes(answer: HttpResponse) -> bytes:
    """A whole answer with its length, as bytes on the wire."""
    plain = replace(answer, delivery=WHOLE)
    return _head(plain) + plain.body


def _head(answer: HttpResponse) -> bytes:
    how = answer.delivery
    lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines.append(f"Date: {formatdate(usegmt=True)}")
    if how.framing is Framing.LENGTH:
        lines.append(f"Content-Length: {len(answer.body) + how.surplus + how.padding}")
    elif how.framing is Framing.CHUNKED:
        lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN, like a crashed peer or a firewall."""
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _take(buffer: bytearray) -> HttpRequest | None:
    """Cut the first whole request off the buffer; None if it is incomplete, ValueError if it is not HTTP."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0 or end > _MAX_HEAD:
        if len(buffer) > _MAX_HEAD:
            raise ValueError("head too long")
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    parsed = _body(buffer, end + 4, headers)
    if parsed is None:
        return None
    body, rest = parsed
    del buffer[:rest]
    path, _, query = target.partition("?")
    return HttpRequest(method, path, dict(parse_qsl(query)) if query else {}, headers, body)


def _body(buffer: bytearray, start: int, headers: dict[str, str]) -> tuple[bytes, int] | None:
    """The body and the offset of the next request; None if the body is incomplete."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunks(buffer, start)
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= _MAX_BODY:
        raise ValueError("body too long")
    end = start + size
    return (bytes(buffer[start:end]), end) if len(buffer) >= end else None


def _chunks(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    parts: list[bytes] = []
    while (line_end := buffer.find(b"\r\n", start)) >= 0:
        size = int(buffer[start:line_end].split(b";")[0], 16)
        start = line_end + 2 + size + 2
        if len(buffer) < start or start > _MAX_BODY:
            return None
        if size == 0:
            return b"".join(parts), start
        parts.append(bytes(buffer[start - size - 2 : start - 2]))
    return None
