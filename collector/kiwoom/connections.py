"""Gives each walk a connection that carries requested answers and nothing else.

HTTP/1.1 matches an answer to a request by order alone. If a server or gateway sends one surplus message,
every later answer is matched to the wrong request. Two rules prevent that:

- An answer is believed only on a connection that was silent since the end of the answer before it. An unrequested
  byte closes the connection, whether it is idle, about to be used, or just read from.
- A connection serves one walk at a time, and rests after it for `REST` seconds. Late bytes arrive during the rest
  and close the connection. Within a walk a repeated page is recognized by its next-key and its symbols.

If a server is out of step, each request gets a new connection until the server has kept in step for a while.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from collector.kiwoom.framing import AnswerFrame
from collector.log import logger

REST = 2.0
"""Seconds between two walks on one connection. A gateway out of step repeated an answer within milliseconds;
two seconds exceed the usual time of a warm call to Kiwoom, and delay no request."""
KEPT = 90.0
"""Seconds that an idle connection is kept. A new connection to Kiwoom costs 0.8 to 1.4 seconds. Keeping them
for 90 seconds instead of 5 cut the median call of a public client from 1,854 to 243 ms. A sweep a minute
finds them open."""

LASTING = 40.0
"""Seconds that a connection opened ahead must stay open: walks of one page come last, half a minute into a sweep of all
sectors. A connection that would close before is opened anew. A sweep a minute of up to ten seconds keeps its own."""
DISTRUST = 60.0
"""Seconds after the last out-of-step answer in which each request has a connection of its own."""


class NotSilent(Exception):
    """Unrequested bytes came on the connection; nothing has been sent on it since."""


class SilentHandler(ResponseHandler):
    """aiohttp's handler of one connection, which closes it at the first unrequested byte."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_surplus: Callable[[], None]) -> None:
        super().__init__(loop)
        self._on_surplus = on_surplus
        self._ended_at = float("-inf")
        """The end of the last answer, in seconds of the loop's clock."""
        self.is_reused_soon = False
        """Whether the current request followed another so soon that a late answer to the other may still
        come."""
        self._opened_at = loop.time()
        self._frame: AnswerFrame | None = None
        self._has_surplus = False
        self._is_in_use = False

    @property
    def is_reusable(self) -> bool:
        """Whether the connection is open and idle, and brought only answers."""
        return self.is_connected() and not self.should_close

    @property
    def is_fresh(self) -> bool:
        """Whether the server may still be setting the connection up: its first request is sent soon after it was
        opened, and may be read late."""
        return self._frame is None and self._loop.time() - self._opened_at < REST

    @property
    def should_close(self) -> bool:
        """Whether aiohttp must close the connection instead of keeping it."""
        if self._has_surplus or (self._frame is not None and not self._frame.is_over):
            return True
        return super().should_close

    def expect_answer(self) -> None:
        """Prepare for a request that is sent next; NotSilent if this connection must not carry it."""
        if not self.is_reusable:
            raise NotSilent
        self._frame, self._is_in_use = AnswerFrame(), True
        self.is_reused_soon = self._is_soon()

    def end_exchange(self) -> None:
        """End the exchange after the answer was read: close the connection unless another request may follow."""
        self._is_in_use, self._ended_at = False, self._loop.time()
        if not self.is_reusable:
            self.close()

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp calls itself to continue with buffered data
            super().data_received(data)
            return
        own = self._frame.feed(data) if self._frame is not None else 0
        if own < len(data) and not self._has_surplus:
            self._has_surplus = True
            if (
                self._is_in_use or self._is_soon()
            ):  # a later byte is no repeated answer, but a server that closes
                self._on_surplus()
        if own:
            super().data_received(data[:own])
        if self._has_surplus and not self._is_in_use:
            self.close()

    def _is_soon(self) -> bool:
        return self._loop.time() - self._ended_at < REST


def watch(connector: aiohttp.TCPConnector, on_surplus: Callable[[], None]) -> aiohttp.TCPConnector:
    """Make a connector use `SilentHandler`. aiohttp has no public option for that: RuntimeError if its
    private one is gone.

    `on_surplus` is called for bytes of a server out of step. `handler_of` checks at every request that the
    handlers are in use.
    """
    if not hasattr(connector, "_factory"):
        raise RuntimeError(f"aiohttp {aiohttp.__version__} makes its connections in another way; see watch()")
    connector._factory = partial(SilentHandler, asyncio.get_running_loop(), on_surplus)  # type: ignore[assignment]
    return connector


def handler_of(protocol: object) -> SilentHandler:
    """Return the handler of the connection of the next request; RuntimeError if it is not a SilentHandler."""
    if not isinstance(protocol, SilentHandler):
        raise RuntimeError(
            f"aiohttp {aiohttp.__version__} uses a connection without a SilentHandler; see watch()"
        )
    return protocol


class ApiConnection:
    """A session with at most one connection, open or still to be made."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.handler: SilentHandler | None = None
        self.idle_since = float("-inf")
        self.opened_at = float("-inf")
        """When it was opened ahead of its first request."""

    def is_lasting(self, now: float) -> bool:
        """Return whether the connection is open, and stays so for `LASTING` if it is not used."""
        return self.is_open and max(self.idle_since, self.opened_at) + KEPT >= now + LASTING

    @property
    def is_open(self) -> bool:
        return self.handler is not None and self.handler.is_reusable

    async def open(self, url: URL) -> None:
        """Connect to the host without a request; aiohttp's errors or TimeoutError if that fails."""
        connector = self.session.connector
        assert connector is not None
        request = aiohttp.ClientRequest("POST", url, loop=asyncio.get_running_loop())
        connection = await connector.connect(request, [], self.session.timeout)
        self.handler = handler_of(connection.protocol)
        connection.release()

    def drop(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self.handler is not None:
            self.handler.close()
            self.handler = None


def choose(idle: Sequence[ApiConnection], now: float) -> ApiConnection | None:
    """Choose a connection for the next walk: the most recently rested one, else a closed one to be made anew.

    `idle` is in the order of their return. None: all of them are open and still rest.
    """
    rested = idle[: bisect_right(idle, now - REST, key=attrgetter("idle_since"))]
    for item in reversed(rested):
        if item.is_open:
            return item
    if rested:
        return rested[0]
    # All of them rest. Without a quota there are dozens for each walk, so they are asked for no more than the end
    # of their connection: `is_open` for each took a fifth of the calls of a page.
    return next((item for item in idle if item.handler is None or item.handler.transport is None), None)


class ConnectionPool:
    """Lends connections to walks. It keeps at most `limit` of them, or as many as are in use at once.

    `make_session` makes a session with a connector of its own. `now` is any monotonic clock in seconds.
    """

    def __init__(
        self, make_session: Callable[[], aiohttp.ClientSession], *, limit: int, now: Callable[[], float]
    ) -> None:
        self._make_session = make_session
        self._limit = limit
        self._now = now
        self._all: list[ApiConnection] = []
        self._idle: list[ApiConnection] = []
        self._distrusts_until = float("-inf")

    @property
    def size(self) -> int:
        """Connections in use, at rest, or closed and to be made again."""
        return len(self._all)

    @property
    def is_distrustful(self) -> bool:
        """Whether each request must have a new connection."""
        return self._now() < self._distrusts_until

    def distrust(self) -> None:
        """Record an answer that belongs to no request, or to another one."""
        if not self.is_distrustful:
            logger.warning(
                "answers.out_of_step",
                reason="an unrequested answer came; each request gets a new connection for now",
                seconds=DISTRUST,
            )
        self._distrusts_until = self._now() + DISTRUST

    def take(self) -> ApiConnection:
        """Return a rested connection, or one that will be new: no walk waits for a rest to end."""
        connection = choose(self._idle, self._now())
        if connection is None and self._idle and len(self._all) >= self._limit:
            connection = self._idle[0]
            connection.drop()
        if connection is None:
            connection = ApiConnection(self._make_session())
            self._all.append(connection)
            return connection
        self._idle.remove(connection)
        return connection

    def give_back(self, connection: ApiConnection) -> None:
        """Take a connection back; its rest begins."""
        connection.idle_since = self._now()
        self._idle.append(connection)

    async def warm(self, count: int, url: URL) -> None:
        """Have `count` open connections beside those in use, or as many as the limit allows. One that would soon be
        closed unused is replaced.

        A failure is not reported: the next request connects again and says why it cannot.
        """
        opening: list[ApiConnection] = []
        now = self._now()
        closed = [item for item in self._idle if not item.is_lasting(now)]
        lacking = 0 if self.is_distrustful else count - (len(self._idle) - len(closed))
        while len(opening) < lacking and (closed or len(self._all) < self._limit):
            if closed:
                item = closed.pop()
                item.drop()
                self._idle.remove(item)
            else:
                item = ApiConnection(self._make_session())
                self._all.append(item)
            item.opened_at = now
            opening.append(item)
        try:
            await asyncio.gather(*(item.open(url) for item in opening), return_exceptions=True)
        finally:
            self._idle += opening  # `idle_since` stays: what carried no request needs no rest

    async def close(self) -> None:
        """Close every connection, those in use as well."""
        for connection in self._all:
            await connection.session.close()
        self._all.clear()
        self._idle.clear()


class ConnectionLease:
    """The connection of one walk, taken from the pool with the first request. `release` it after the walk."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: ApiConnection | None = None
        self.was_reused_soon = False
        """Whether the request before the drop may have received the answer to an earlier one."""

    @property
    def connection(self) -> ApiConnection:
        """The connection for the next request."""
        self.was_reused_soon = False
        if self._connection is None:
            self._connection = self._pool.take()
        if self._pool.is_distrustful:
            self._connection.drop()
        return self._connection

    def distrust(self) -> None:
        """Record an answer to another request: this walk and all others continue on new connections."""
        self._pool.distrust()
        self.drop()

    def drop(self) -> None:
        """Close the connection after an error: the walk continues on a new one."""
        if self._connection is not None and self._connection.handler is not None:
            self.was_reused_soon = self._connection.handler.is_reused_soon
            self._connection.drop()

    def release(self) -> None:
        """Give the connection back; the next request takes another one."""
        if self._connection is not None:
            self._pool.give_back(self._connection)
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
