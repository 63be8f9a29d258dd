"""The running simulator: one listening socket for the imitated API and its control endpoints."""

import asyncio
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Self

from collector.market import sectors
from collector.model import Target
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.sessions import Sessions
from kiwoom_simulator.options import Options
from kiwoom_simulator.server.api import SimulatedApi
from kiwoom_simulator.server.clock import start_clock
from kiwoom_simulator.server.control import PREFIX, Control
from kiwoom_simulator.server.http import Connection, HttpRequest, HttpResponse, gzip_response


@lru_cache(4)
def _market(seed: int, step: int, after_market_moves: bool) -> SimulatedMarket:
    """The market of these options, the same object for all simulators of a process.

    A market is a pure function of its options, and its drawn quotes are cached by moment.
    """
    return SimulatedMarket(seed, Sessions(step=step, after_market_moves=after_market_moves))


class Simulator:
    """Serves while its context is open. `market` has the true rows, for comparison with a client's data."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        step = max(1, round(self.options.step.total_seconds()))
        self.market = _market(self.options.seed, step, self.options.after_market_moves)
        self.clock = start_clock(self.options, self.market.sessions)
        self.api = SimulatedApi(self.options, self.market, self.clock, sectors.bundled_sectors())
        self.control = Control(self.api)
        self._open: set[Connection] = set()
        self._server: asyncio.Server

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"http://{host}:{self.port}"

    def rows(self, target: Target, at: datetime | None = None) -> list[dict[str, str]]:
        """The rows of a correct walk over `target`, now or at an instant."""
        if at is not None:
            return self.market.rows(target.sector, target.exchange, at)
        return self.market.rows_at(target.sector, target.exchange, self.clock.moments())

    async def __aenter__(self) -> Self:
        self.market.draw()  # now, so that the first answer takes no longer than others
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._answer, self._open, self.api.latency.connection()),
            self.options.host,
            self.options.port,
            backlog=1_024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in tuple(self._open):
            connection.abort()
        await self._server.wait_closed()

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(PREFIX):
            return self.control.answer(request)
        answer = await self.api(request)
        wants_gzip = self.options.gzip and "gzip" in request.headers.get("accept-encoding", "")
        return gzip_response(answer) if wants_gzip else answer
