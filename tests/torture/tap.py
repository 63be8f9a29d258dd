"""A proxy before PostgreSQL that understands what is said, and lets a scenario act at any step of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from collector.db.dsn import Dsn
from tests.support.tcp_listener import listening
from tests.torture.messages import Asked, Told

Take = Callable[[bytes], Iterator[tuple[bytes, bytes, str | None]]]
Watch = Callable[[str, int, "Line"], Awaitable[bool]]
"""Told of each step before it is passed on: its name, its number among those of that name, the line.

False: it is not passed on, and both ends find the line cut.
"""


_IDLE = b"Z\0\0\0\5I"


class Line:
    """One client's connection through the tap."""

    def __init__(self, tap: "Tap", client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.tap = tap
        self.client = client
        self.server = server
        self.asked = Asked()
        self.told = Told(self.asked)
        self.lately: list[str] = []
        """What was asked since the server stood idle: the transaction under way."""
        self.has_gone = False
        """Whether the client has hung up."""
        self._since: float | None = None

    def cut(self) -> None:
        """End it at once, both ways."""
        self.client.transport.abort()
        self.server.transport.abort()

    async def up(self, reader: asyncio.StreamReader) -> None:
        """From the client to the server."""
        await self._pass_on(reader, self.asked.take, self.server)
        self.has_gone = True
        self._answered()
        self.tap.miss(self)

    async def down(self, reader: asyncio.StreamReader) -> None:
        await self._pass_on(reader, self.told.take, self.client)

    async def _pass_on(self, reader: asyncio.StreamReader, take: Take, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(262_144):
                for kind, message, step in take(data):
                    if step and step.startswith("ask"):
                        self.lately.append(step)
                    if step and not await self.tap.note(step, self):
                        self.cut()
                        return
                    self._clock(kind, is_from_client=writer is self.server)
                    if message == _IDLE:
                        self.lately.clear()
                    if not (self.tap.is_silent(self) or writer.is_closing()):
                        writer.write(message)
                await writer.drain()
        if not self.tap.is_silent(self):
            writer.close()

    def _clock(self, kind: bytes, *, is_from_client: bool) -> None:
        """Time each call: from what asks for an answer until the server is ready for the next."""
        if is_from_client and kind in (b"", b"Q", b"S"):
            self._since = self._since or time.monotonic()
        elif not is_from_client and kind == b"Z":
            self._answered()

    def _answered(self) -> None:
        if self._since is not None:
            what = self.lately[-1] if self.lately else "connect"
            self.tap.longest = max(self.tap.longest, (time.monotonic() - self._since, what))
        self._since = None


class Tap:
    """`heard` counts the steps since `forget`; `watch` may act at each of them.

    `longest` is the longest that a client has waited for an answer, in seconds, up to when it gave up; and for what.
    """

    def __init__(self, target: Dsn) -> None:
        self.target = target
        self.address = target
        self.heard: Counter[str] = Counter()
        self.watch: Watch | None = None
        self.longest = (0.0, "")
        self.lines: set[Line] = set()
        self._dead: set[Line] = set()
        self._hush = False

    def forget(self) -> None:
        self.heard.clear()
        self.watch = None

    def silence(self) -> None:
        """From now on nothing comes through and nothing is said of it, as behind a firewall that drops."""
        self._dead |= self.lines
        self._hush = True

    def speak(self) -> None:
        """New lines work again; those that were silenced stay dead, and a server learns which clients have gone."""
        self._hush = False
        for line in self._dead:
            self.miss(line)

    def miss(self, line: Line) -> None:
        """A server asks after silent clients: it learns that one has gone as soon as the network is back."""
        if self.is_silent(line) and line.has_gone and not self._hush:
            line.server.transport.abort()

    def is_silent(self, line: Line) -> bool:
        return line in self._dead

    def cut(self) -> None:
        for line in tuple(self.lines):
            line.cut()

    async def note(self, step: str, line: Line) -> bool:
        self.heard[step] += 1
        return self.watch is None or await self.watch(step, self.heard[step], line)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = f"{self.target.host}/.s.PGSQL.{self.target.port}"
            there, server = await asyncio.open_unix_connection(path, limit=1 << 20)
        except OSError:
            writer.transport.abort()
            return
        line = Line(self, writer, server)
        self.lines.add(line)
        if self._hush:
            self._dead.add(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(line.up(reader))
                group.create_task(line.down(there))
        finally:
            line.cut()
            self.lines.discard(line)
            self._dead.discard(line)


@asynccontextmanager
async def tapped(target: Dsn) -> AsyncIterator[Tap]:
    """A tap before a server that listens on a socket in the file system."""
    tap = Tap(target)
    async with listening(tap.serve, limit=1 << 20) as port:
        tap.address = replace(target, host="127.0.0.1", port=port, sslmode="disable")
        yield tap
        tap.cut()
