"""An answer belongs to the request that it is taken for, whatever else a connection says, and whenever."""

import asyncio
import json
from collections.abc import Callable
from functools import partial

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from collector.errors import CollectorError, Unavailable
from collector.kiwoom import protocol
from collector.kiwoom.connections import (
    KEPT,
    LASTING,
    REST,
    ApiConnection,
    ConnectionLease,
    ConnectionPool,
    SilentHandler,
    choose,
    handler_of,
    watch,
)
from collector.kiwoom.protocol import ApiRequest
from collector.kiwoom.transport import HttpTransport
from collector.model import Target
from collector.secret import Secret
from tests.support.byte_server import Visit, answer, serving

TOKEN = Secret("s3ntinel-bearer-token")


def ask(sector: str) -> ApiRequest:
    return protocol.ask_prices(Target.of("KOSPI", sector, "KRX"))


def client(url: str, now: Callable[[], float] | None = None) -> HttpTransport:
    return HttpTransport(url, timeout=60, user_agent="tests/1", connections=4, now=now)


async def sector_of(api: HttpTransport, sector: str, lease: ConnectionLease | None = None) -> str:
    """The sector that an answer is about, as the server echoes what was asked."""
    return str(json.loads((await api.post(ask(sector), TOKEN, lease=lease)).body)["inds_cd"])


def echo(request: bytes) -> bytes:
    return request.rpartition(b"\r\n\r\n")[2]


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def old(body: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def interim(body: bytes) -> bytes:
    return b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(body)


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "length": answer,
    "kept alive in so many words": lambda body: answer(body, b"Connection: keep-alive"),
    "chunks": chunked,
    "HTTP/1.0": old,
    "after a 103": interim,
}
FOREIGN = b'{"inds_cd": "999"}'
SURPLUS = {
    "a second answer": answer(FOREIGN),
    "two more": answer(FOREIGN) * 2,
    "half an answer": answer(FOREIGN)[:40],
    "a head without its body": answer(FOREIGN)[: -len(FOREIGN)],
    "408": answer(b"", b"Connection: close", status=b"408 Request Timeout"),
    "400": answer(b"", status=b"400 Bad Request"),
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a chunk": b"2\r\n{}\r\n0\r\n\r\n",
    "an answer in chunks": chunked(FOREIGN),
    "an empty line": b"\r\n",
    "no HTTP": b"\0",
}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("surplus", SURPLUS)
async def test_surplus_in_the_segment_of_an_answer_ends_the_connection(frame: str, surplus: str) -> None:
    async def say_more(visit: Visit) -> None:
        while True:
            await visit.send(FRAMES[frame](echo(await visit.request())) + SURPLUS[surplus])

    async with serving(say_more) as server, client(server.url) as api:
        with api.lease() as lease:
            found = [await sector_of(api, sector, lease) for sector in ("001", "002", "003")]
    assert found == ["001", "002", "003"]
    assert [visit.received.count(b"POST") for visit in server.visits] == [1, 1, 1]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("surplus", SURPLUS)
async def test_surplus_on_an_idle_connection_closes_it_at_once(frame: str, surplus: str) -> None:
    is_read, is_gone = asyncio.Event(), asyncio.Event()

    async def speak_later(visit: Visit) -> None:
        await visit.send(FRAMES[frame](echo(await visit.request())))
        await is_read.wait()
        await visit.send(SURPLUS[surplus])
        await visit.until_gone()
        is_gone.set()

    async with serving(speak_later) as server, client(server.url) as api:
        with api.lease() as lease:
            assert await sector_of(api, "001", lease) == "001"
            is_read.set()
            async with asyncio.timeout(20):
                await is_gone.wait()
            assert await sector_of(api, "002", lease) == "002"
    assert [visit.received.count(b"POST") for visit in server.visits] == [1, 1]


@pytest.mark.parametrize("frame", FRAMES)
async def test_one_walk_keeps_its_connection(frame: str) -> None:
    async def serve(visit: Visit) -> None:
        while True:
            await visit.send(FRAMES[frame](echo(await visit.request())))

    async with serving(serve) as server, client(server.url) as api:
        with api.lease() as lease:
            for sector in ("001", "002", "003"):
                assert await sector_of(api, sector, lease) == sector
    assert [visit.received.count(b"POST") for visit in server.visits] == [3]


async def test_an_answer_that_comes_after_the_next_walk_has_asked_reaches_nobody() -> None:
    """Both connections repeat the first walk's answer when the second walk's request is in, wherever that is."""

    async def repeat_late(visit: Visit) -> None:
        while True:
            own = answer(echo(await visit.request()))
            if server.received.count(b"POST") > 1:
                for other in server.visits:
                    await other.send(answer(FOREIGN) if other is not visit else own)
                return
            await visit.send(own)

    async with serving(repeat_late) as server, client(server.url) as api:
        assert await sector_of(api, "001") == "001"
        assert await sector_of(api, "002") == "002"
    assert len(server.visits) == 2


async def test_a_connection_on_which_an_error_came_serves_no_other_request() -> None:
    async def refuse_once(visit: Visit) -> None:
        while True:
            body = echo(await visit.request())
            bad = answer(b"", b"Location: /", status=b"307 Temporary Redirect")
            await visit.send(bad if visit is server.visits[0] else answer(body))

    async with serving(refuse_once) as server, client(server.url) as api:
        with api.lease() as lease:
            with pytest.raises(CollectorError):
                await sector_of(api, "001", lease)
            assert await sector_of(api, "002", lease) == "002"
    assert len(server.visits) == 2


async def test_a_request_that_was_cancelled_takes_its_connection_along() -> None:
    is_asked = asyncio.Event()

    async def answer_late(visit: Visit) -> None:
        body = echo(await visit.request())
        is_asked.set()
        if visit is server.visits[0]:
            await visit.until_gone()
        await visit.send(answer(body))

    async with serving(answer_late) as server, client(server.url) as api:
        with api.lease() as lease:
            given_up = asyncio.ensure_future(sector_of(api, "001", lease))
            await is_asked.wait()
            given_up.cancel()
            await asyncio.wait([given_up])
            assert await sector_of(api, "002", lease) == "002"
    assert len(server.visits) == 2


async def test_a_408_is_worth_another_try_over_a_new_connection() -> None:
    async def give_up(visit: Visit) -> None:
        await visit.request()
        await visit.send(SURPLUS["408"])

    async with serving(give_up) as server, client(server.url) as api:
        with pytest.raises(Unavailable) as caught:
            await api.post(ask("001"), TOKEN)
    assert caught.value.code == 408


async def test_a_server_out_of_step_is_given_a_new_connection_for_each_request() -> None:
    async def repeat_the_first(visit: Visit) -> None:
        while True:
            said = answer(echo(await visit.request()))
            await visit.send(said * 2 if visit is server.visits[0] else said)

    async with serving(repeat_the_first) as server, client(server.url) as api:
        with api.lease() as lease:
            for sector in ("001", "002", "003"):
                assert await sector_of(api, sector, lease) == sector
    assert len(server.visits) == 3


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_connection_rests_between_two_walks() -> None:
    async def serve(visit: Visit) -> None:
        while True:
            await visit.send(answer(echo(await visit.request())))

    clock = Clock()
    async with serving(serve) as server, client(server.url, clock) as api:
        for wait in (0.0, REST / 2, REST / 2, 0.0):
            clock.seconds += wait
            with api.lease() as lease:
                await sector_of(api, "001", lease)
                await sector_of(api, "002", lease)
    assert [visit.received.count(b"POST") for visit in server.visits] == [4, 2, 2]


class OpenTransport(asyncio.Transport):
    def is_closing(self) -> bool:
        return False


async def test_the_last_to_have_rested_is_chosen_then_one_that_is_closed() -> None:
    def entry(idle_since: float, *, is_open: bool) -> ApiConnection:
        connection = ApiConnection(session)
        connection.idle_since = idle_since
        connection.handler = SilentHandler(asyncio.get_running_loop(), lambda: None)
        if is_open:
            connection.handler.connection_made(OpenTransport())
        return connection

    async with aiohttp.ClientSession() as session:
        early, rested, unused = entry(0.0, is_open=True), entry(5.0, is_open=True), ApiConnection(session)
        resting, closed = entry(9.0, is_open=True), entry(9.5, is_open=False)
        gone = entry(4.0, is_open=False)
        now = 5.0 + REST
        assert choose([early, rested, resting, closed], now) is rested
        assert choose([early, gone, resting], now) is early
        assert choose([gone, resting], now) is gone
        assert choose([resting, closed], now) is closed
        assert choose([unused, resting], now) is unused
        assert choose([resting], now) is None
        assert choose([], now) is None


async def test_the_pool_keeps_no_more_connections_than_its_limit() -> None:
    pool = ConnectionPool(aiohttp.ClientSession, limit=2, now=lambda: 0.0)
    for _ in range(5):
        for connection in [pool.take(), pool.take()]:
            pool.give_back(connection)
    assert len({id(pool.take()) for _ in range(2)}) == 2
    assert pool.size == 2
    await pool.close()


@pytest.mark.parametrize(
    ("idle", "visits"),
    [pytest.param(KEPT - LASTING, 1, id="stays"), pytest.param(KEPT - LASTING + 1, 2, id="anew")],
)
async def test_a_connection_that_would_soon_be_closed_is_opened_anew_ahead_of_a_sweep(idle, visits) -> None:
    clock = [0.0]

    async def serve(visit: Visit) -> None:
        await visit.send(answer(echo(await visit.request())))

    async with serving(serve) as server, client(server.url, now=lambda: clock[0]) as api:
        await api.warm(1)
        clock[0] = idle
        await api.warm(1)
        await sector_of(api, "001")
        assert len(server.visits) == visits


async def test_an_aiohttp_that_makes_its_connections_otherwise_is_refused() -> None:
    with pytest.raises(RuntimeError, match="in another way"):
        watch(object(), lambda: None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="without a SilentHandler"):
        handler_of(aiohttp.BaseConnector)


class Deaf(aiohttp.TCPConnector):
    """An aiohttp that takes no notice of what `watch` has set."""

    _factory = property(
        lambda self: partial(ResponseHandler, asyncio.get_running_loop()), lambda self, factory: None
    )


async def test_a_connection_that_nobody_watches_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(visit: Visit) -> None:
        await visit.request()

    monkeypatch.setattr(aiohttp, "TCPConnector", Deaf)
    async with serving(wait) as server, client(server.url) as api:
        with pytest.raises(RuntimeError, match="without a SilentHandler"):
            await api.post(ask("001"), TOKEN)
    assert TOKEN.reveal().encode() not in server.received
