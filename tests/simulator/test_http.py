"""The HTTP server: requests in any number of pieces, one after the other on one connection."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiwoom_simulator.server.http import Connection, HttpRequest, HttpResponse

BODY = json.dumps({"a": "값"}).encode()
PLAIN = b"POST /x?y=1 HTTP/1.1\r\nHost: h\r\nApi-Id: ka1\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x;e=1\r\n%b\r\n1\r\n \r\n0\r\n\r\n" % (
    len(BODY),
    BODY,
)


async def echo(request: HttpRequest) -> HttpResponse:
    body = json.dumps([request.method, request.path, request.query, request.body.decode()]).encode()
    return HttpResponse(200, (("x", "1"),), body)


async def exchange(pieces: list[bytes], answers: int) -> bytes:
    """What comes back when the pieces are sent one by one over one connection."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(echo, set()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    data = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # one turn of the loop
        async with asyncio.timeout(600):
            while data.count(b"HTTP/1.1") < answers or data.endswith(b"\r\n\r\n"):
                more = await reader.read(65536)
                if not more:
                    break
                data += more
    finally:
        writer.close()
        server.close()
    return data


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, len(PLAIN + CHUNKED) * 2 - 1), max_size=6))
async def test_requests_cut_anywhere_are_answered_in_order(cuts: list[int]) -> None:
    stream = (PLAIN + CHUNKED) * 2
    edges = [0, *sorted(set(cuts)), len(stream)]
    data = await exchange([stream[start:end] for start, end in pairwise(edges)], 4)
    bodies = [part.split(b"\r\n\r\n")[1] for part in data.split(b"HTTP/1.1 200 OK")[1:]]
    assert [json.loads(body)[1:] for body in bodies] == [
        ["/x", {"y": "1"}, BODY.decode()],
        ["/x", {}, BODY.decode() + " "],
    ] * 2


@pytest.mark.parametrize(
    "garbage",
    [b"hello\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"POST /x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
     b"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 70_000],
    ids=["no HTTP", "negative length", "no length", "too long", "endless head"],
)  # fmt: skip
async def test_what_is_no_request_is_refused_and_the_connection_closed(garbage: bytes) -> None:
    assert (await exchange([garbage], 1)).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_wants_to_close_is_closed() -> None:
    asked = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    data = await exchange([asked], 2)
    assert data.count(b"HTTP/1.1 200 OK") == 1
