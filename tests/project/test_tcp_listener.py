"""The listener of tests leaves no connection open, at whatever moment the connection came."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from tests.faults.test_tls import Authority
from tests.support.tcp_listener import Handler, listening


async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"no")


def is_closed(client: socket.socket) -> bool:
    """Whether the other side has closed the connection, after what it said."""
    client.settimeout(60)
    try:
        while client.recv(100):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("turns", range(8), ids="{} turns of the loop".format)
@pytest.mark.parametrize("handle", [wait, refuse], ids=["waiting", "refused"])
@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_a_connection_made_just_before_the_end_is_closed(
    turns: int, handle: Handler, has_tls: bool, tmp_path: Path
) -> None:
    tls: ssl.SSLContext | None = Authority(tmp_path).server() if has_tls else None
    async with listening(handle, tls=tls) as port:
        client = socket.create_connection(("127.0.0.1", port))
        for _ in range(turns):
            await asyncio.sleep(0)
    with client:
        assert is_closed(client)


async def test_an_answer_in_parts_is_sent_at_once() -> None:
    """Otherwise each part waits 40 ms for the other side's receipt of the part before it."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = writer.get_extra_info("socket")
        writer.write(b"%d" % wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async with listening(tell) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert int(await reader.read()) > 0
        writer.close()
        await writer.wait_closed()


async def test_a_handler_that_fails_ends_its_own_connection_only() -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"fail\n":
            raise EOFError
        writer.write(b"well")

    async with listening(fail) as port:
        for said, expected in ((b"fail\n", b""), (b"do\n", b"well")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            assert await reader.read() == expected
            writer.close()
            await writer.wait_closed()
