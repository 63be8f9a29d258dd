"""A TCP proxy before a database that can fall silent, hang up, or change what the server says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from collector.postgres import Address


class Proxy:
    """Passes bytes both ways as long as `flows` is set."""

    def __init__(self, target: Address, *, found: bytes = b"", given: bytes = b"") -> None:
        self.target = target
        self.found = found
        self.given = given
        self.flows = asyncio.Event()
        self.flows.set()
        self.frozen = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.address = target

    def freeze(self) -> None:
        self.flows.clear()
        self.frozen.set()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.target.is_socket:
            path = f"{self.target.host}/.s.PGSQL.{self.target.port}"
            there = await asyncio.open_unix_connection(path)
        else:
            there = await asyncio.open_connection(self.target.host, self.target.port)
        self.writers += [writer, there[1]]
        await asyncio.gather(self.pass_on(reader, there[1]), self.pass_on(there[0], writer))

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.flows.wait()
                writer.write(data.replace(self.found, self.given) if self.found else data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxied(target: Address, *, found: bytes = b"", given: bytes = b"") -> AsyncIterator[Proxy]:
    """A proxy in full flow; `found` in what passes is replaced by `given`, of the same length."""
    proxy = Proxy(target, found=found, given=given)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        proxy.address = replace(target, host="127.0.0.1", port=port, sslmode="disable")
        yield proxy
        proxy.cut()
        proxy.flows.set()
