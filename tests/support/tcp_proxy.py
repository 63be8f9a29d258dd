"""A TCP proxy before a database that can fall silent, hang up, swallow an answer, or change what is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from collector.db.dsn import Dsn
from tests.support.tcp_listener import listening


class Proxy:
    """Passes bytes both ways as long as `flows` is set."""

    def __init__(self, target: Dsn, *, found: bytes = b"", given: bytes = b"") -> None:
        self.target = target
        self.found = found
        self.given = given
        self.flows = asyncio.Event()
        self.flows.set()
        self.frozen = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.address = target
        self.last_words = b""
        """A client that says this is cut off at once, the next time only, and sees no answer."""
        self.are_heard = True
        """Whether the last words reach the server."""
        self.freeze_at = b""
        """A client that says this freezes the proxy: no answer is passed on, and these words only if `passes_on`."""
        self.passes_on = False
        self.is_cut = False

    def freeze(self) -> None:
        self.flows.clear()
        self.frozen.set()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    def cut_for_good(self) -> None:
        """Hang up, and on every client from now on."""
        self.is_cut = True
        self.cut()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            there = await self.connected()
        except OSError:
            writer.transport.abort()
            return
        self.writers += [writer, there[1]]
        await asyncio.gather(self.listen(reader, there[1], writer), self.pass_on(there[0], writer))

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.target.is_socket:
            return await asyncio.open_unix_connection(f"{self.target.host}/.s.PGSQL.{self.target.port}")
        return await asyncio.open_connection(self.target.host, self.target.port)

    async def listen(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65536):
                is_end = bool(self.freeze_at) and self.freeze_at in data
                if is_end:
                    self.freeze()
                if not (is_end and self.passes_on):
                    await self.flows.wait()
                is_last = bool(self.last_words) and self.last_words in data
                if self.are_heard or not is_last:
                    server.write(data)
                    await server.drain()
                if is_last:
                    self.last_words = b""
                    client.transport.abort()
                    await asyncio.sleep(0.05)  # the server is to hear them before it hears of the end
        except OSError:
            pass
        finally:
            server.close()

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
async def proxied(target: Dsn, *, found: bytes = b"", given: bytes = b"") -> AsyncIterator[Proxy]:
    """A proxy in full flow; `found` in what passes is replaced by `given`, of the same length."""
    proxy = Proxy(target, found=found, given=given)
    async with listening(proxy.serve) as port:
        proxy.address = replace(target, host="127.0.0.1", port=port, sslmode="disable")
        yield proxy
        proxy.cut()
        proxy.flows.set()
