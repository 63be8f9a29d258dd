"""The simulator as something that runs: one listening socket, the imitated API, and its control beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from collector import sectors
from collector.simulator import clock as clocks
from collector.simulator.api import Api
from collector.simulator.http import Connection
from collector.simulator.market import Market
from collector.simulator.options import Options
from collector.simulator.sessions import Sessions


class Simulator:
    """Serves from entering to leaving its context; `market` tells what a client should have been shown."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.market = Market(self.options.seed, Sessions(step=self.options.step))
        self.clock = clocks.start(now=self.options.now, freeze=self.options.freeze, speed=self.options.speed)
        self.api = Api(self.options, self.market, self.clock, sectors.shipped())
        self._open: set[Connection] = set()
        self._server: asyncio.Server

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://{self.options.host}:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.api, self._open), self.options.host, self.options.port, backlog=1_024
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in tuple(self._open):
            connection.abort()
        await self._server.wait_closed()


async def serve_forever(options: Options, on_ready: Callable[[Simulator], Awaitable[None] | None]) -> None:
    """Serve until cancelled; `on_ready` is called once it listens."""
    async with Simulator(options) as simulator:
        ready = on_ready(simulator)
        if ready is not None:
            await ready
        await asyncio.Event().wait()
