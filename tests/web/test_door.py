"""The door with real sockets: nobody gets more than their share, whatever they send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collector.errors import ConfigError
from collector.web.access import HEADERS, AccessPolicy, PageRequest
from collector.web.server import BODY_BYTES, CONNECTIONS, HEAD_SECONDS, PageResponse, serving
from tests.support.web_harness import get, raw


async def greet(request: PageRequest) -> PageResponse:
    if request.path == "/bug":
        raise ZeroDivisionError
    return PageResponse(b"x" * (BODY_BYTES + 1) if request.path == "/much" else request.path.encode())


@asynccontextmanager
async def door(**options: float) -> AsyncIterator[str]:
    async with serving("127.0.0.1", 0, AccessPolicy(), greet, **options) as port:
        yield f"http://127.0.0.1:{port}"


async def half_open(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: 127")
    return reader, writer


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /bug HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 500),
        (b"GET /much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 413),
    ],
    ids=["good", "host", "method", "no http", "long", "bug", "much"],
)
async def test_every_answer_has_the_headers_that_guard_a_reader(sent, expected):
    async with door() as url:
        status, headers, _ = await raw(url, sent)
    assert (status, {name: headers.get(name.lower()) for name in HEADERS}) == (expected, dict(HEADERS))


async def test_head_is_answered_without_a_body():
    async with door() as url:
        status, headers, body = await get(url, "/four", method="HEAD")
    assert (status, headers["content-length"], body) == (200, "5", b"")


async def test_a_connection_may_ask_again():
    async with door() as url:
        sent = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
        sent += b"GET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        answer = await reader.read()
        writer.close()
    assert (answer.count(b"HTTP/1.1 200"), answer.endswith(b"/b")) == (2, True)


async def test_those_who_never_finish_their_request_are_cut():
    async with door(head_seconds=0.3) as url:
        open_ones = [await half_open(url) for _ in range(200)]
        async with asyncio.timeout(600):
            cut = await asyncio.gather(*(is_cut(reader) for reader, _ in open_ones))
        for _, writer in open_ones:
            writer.close()
    assert all(cut)


@pytest.mark.extended
async def test_200_half_open_connections_are_cut_within_ten_seconds():
    async with door() as url:
        open_ones = [await half_open(url) for _ in range(200)]
        async with asyncio.timeout(600):
            cut = await asyncio.gather(*(is_cut(reader) for reader, _ in open_ones))
        for _, writer in open_ones:
            writer.close()
    assert (all(cut), HEAD_SECONDS < 10) == (True, True)


async def test_a_reader_gets_in_although_all_places_are_taken_by_those_who_wait():
    async with door() as url:
        open_ones = [await half_open(url) for _ in range(CONNECTIONS * 2)]
        status, _, _ = await get(url, "/")
        for _, writer in open_ones:
            writer.close()
    assert status == 200


async def test_a_place_that_is_taken_is_said_so():
    async with door() as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="is not available"):
            async with serving("127.0.0.1", port, AccessPolicy(), greet):
                pass


async def test_what_ends_the_block_is_seen_as_it_is():
    async def broken_off() -> None:
        async with door() as url:
            _, writer = await half_open(url)
            writer.close()
            raise ConfigError("itself")

    with pytest.raises(ConfigError, match="itself"):
        await broken_off()
