"""What a network does to the client and to a whole sweep: silence, resets at any byte, lies, endless answers."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from collector.db.dsn import Dsn
from collector.errors import CollectorError, Unavailable, Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.transport import BODY_LIMIT, HttpTransport
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.byte_server import Visit, answer, serving
from tests.support.harness import OPEN, STILL, as_stored, collecting, fetch, stored

ONE = Target.of("KOSPI", "013", "KRX")
"""One page of 81 rows."""
THREE = Target.of("KOSDAQ", "139", "KRX")
"""Pages of 100, 100 and 99 rows."""
MANY = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(5, 20)]
EXTENDED = pytest.mark.extended
ASK = protocol.ask_prices(ONE)


def client(url: str, *, timeout: float = 60.0) -> HttpTransport:
    return HttpTransport(url, timeout=timeout, user_agent="collector-tests/1", connections=4)


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A port whose queue is full: whoever knocks hears nothing at all, as behind a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        knocking = [socket.socket() for _ in range(3)]
        for knock in knocking:
            knock.setblocking(False)
            knock.connect_ex(deaf.getsockname())
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}"
        for knock in knocking:
            knock.close()


async def seconds_until_given_up(url: str, timeout: float) -> float:
    began = time.monotonic()
    async with client(url, timeout=timeout) as api:
        with pytest.raises(Unavailable):
            await api.post(ASK)
    return time.monotonic() - began


async def test_a_host_that_drops_every_packet_is_given_up_in_time() -> None:
    async with black_hole() as url:
        assert 0.4 <= await seconds_until_given_up(url, 0.4) < 40  # it would never answer


@pytest.mark.extended
async def test_a_connection_that_is_not_made_costs_three_seconds_of_the_ten() -> None:
    async with black_hole() as url:
        assert 3 <= await seconds_until_given_up(url, 90) < 60  # not ten here: a slow machine needs the room


@pytest.mark.extended
async def test_an_answer_that_stalls_costs_five_seconds_of_the_ten() -> None:
    async def stalling(visit: Visit) -> None:
        await visit.request()
        await visit.send(answer(b"{}")[:-1])
        await visit.until_gone()

    async with serving(stalling) as server:
        assert 5 <= await seconds_until_given_up(server.url, 90) < 60


@pytest.mark.extended
async def test_a_walk_of_a_host_that_refuses_fails_after_three_attempts(database: Dsn) -> None:
    async with collecting(database, "http://127.0.0.1:9", ONE) as collector:
        sweep = await collector.sweep(OPEN, "all", [ONE])
    [[status, error]] = await fetch(database, "SELECT status, error FROM walk")
    assert (status, sweep.requests) == ("failed", 3)
    assert error.startswith("Unavailable: no token: cannot connect to 127.0.0.1:9")


async def test_an_answer_reset_after_any_byte_is_never_taken_for_a_whole_one() -> None:
    whole = answer(b'{"return_code":0,"inds_stkpc":[]}', b"cont-yn: N", b"api-id: ka20002")

    async def resetting(visit: Visit) -> None:
        number = len(server.visits) - 1
        await visit.request()
        await visit.send(whole[:number])
        await asyncio.sleep(0.002)  # or the reset would overtake the bytes
        visit.reset()

    async with serving(resetting) as server, client(server.url) as api:
        for _ in range(len(whole)):
            with pytest.raises((Unavailable, Unreadable)):
                await api.post(ASK)


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    """One for all tests of this file, since drawing its market takes a while; each sets its own faults."""
    async with Simulator(STILL) as running:
        yield running


@pytest.mark.extended
async def test_a_page_that_is_reset_is_asked_again_with_the_same_key(
    database: Dsn, simulator: Simulator
) -> None:
    before = simulator.api.book.count
    simulator.api.faults.put(
        ["reset_before:page=1,times=1", "reset_headers:page=2,times=1", "reset_body:page=3,times=1"]
    )
    async with collecting(database, simulator.url, THREE) as collector:
        sweep = await collector.sweep(OPEN, "all", [THREE])
    asked = [line["page"] for line in simulator.api.book.since(before) if line["api_id"] == "ka20002"]
    assert asked == [1, 1, 2, 2, 3, 3]
    assert sweep.is_whole
    assert await stored(database, OPEN, THREE) == [as_stored(row) for row in simulator.rows(THREE)]


def arrivals_of(simulator: Simulator, before: int) -> list[tuple[float, str]]:
    """When each request for prices arrived since, and what it was answered."""
    lines = simulator.api.book.since(before)
    return [(float(str(one["arrived"])), str(one["answer"])) for one in lines if one["api_id"] == "ka20002"]


@pytest.mark.extended
async def test_retries_take_their_turn_at_the_pace(database: Dsn, simulator: Simulator) -> None:
    before = simulator.api.book.count
    simulator.api.faults.put([f"reset_before:sector={target.sector},times=1" for target in MANY[::3]])
    async with collecting(database, simulator.url, *MANY, requests_per_second=10) as collector:
        sweep = await collector.sweep(OPEN, "all", MANY)
    arrivals = [at for at, _ in arrivals_of(simulator, before)]
    assert sweep.is_whole
    assert len(arrivals) >= len(MANY) + 4
    assert all(later - earlier >= 1 for earlier, later in zip(arrivals, arrivals[10:], strict=False))


async def saying(data: bytes, visit: Visit) -> None:
    await visit.request()
    await visit.send(data)


async def never_ending(head: bytes, piece: bytes, visit: Visit) -> None:
    await visit.request()
    await visit.send(head)
    while True:
        await visit.send(piece)


ODD_ENCODINGS = ["zstd", "deflate", "identity, gzip", "x-unheard-of", "gzip;q=0", "GZIP, BR"]


@pytest.mark.parametrize("encoding", ODD_ENCODINGS)
async def test_an_encoding_that_the_body_does_not_have_is_unreadable(encoding: str) -> None:
    data = answer(b'{"return_code":0}', f"Content-Encoding: {encoding}".encode())
    async with serving(partial(saying, data)) as server, client(server.url) as api:
        with pytest.raises(Unreadable):
            await api.post(ASK)


ENDLESS: dict[str, Callable[[Visit], Awaitable[None]]] = {
    "chunks for ever": partial(
        never_ending,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b" " * 65_536 + b"\r\n",
    ),
    "a length beyond all bounds": partial(
        never_ending, b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n", b" " * 65_536
    ),
    "headers for ever": partial(never_ending, b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n" * 1000),
    "one header for ever": partial(never_ending, b"HTTP/1.1 200 OK\r\nx-more: ", b"x" * 65_536),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_answer_without_an_end_is_cut_at_its_bound(name: str) -> None:
    async with serving(ENDLESS[name]) as server, client(server.url) as api, asyncio.timeout(600):
        with pytest.raises(Unreadable):
            await api.post(ASK)


async def test_the_largest_answer_allowed_is_still_read() -> None:
    async with serving(partial(saying, answer(b" " * BODY_LIMIT))) as server, client(server.url) as api:
        assert len((await api.post(ASK)).body) == BODY_LIMIT


PAGES = {
    "maintenance of Kiwoom": "<!DOCTYPE html><html lang='ko'><body>시스템 점검 중입니다</body></html>".encode(),
    "a proxy's": b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<center>nginx</center></html>",
    "after blanks": b"\r\n\r\n  <html></html>",
    "after a byte order mark": b"\xef\xbb\xbf<!doctype html>",
    "XML": b'<?xml version="1.0"?><error/>',
    "a comment first": b"<!-- edge --><html></html>",
    "upper case": b"<HTML><BODY>BUSY</BODY></HTML>",
    "in EUC-KR": "<html><body>점검</body></html>".encode("euc-kr"),
    "a captive portal's": b"<html><meta http-equiv='refresh' content='0; url=http://10.0.0.1/login'></html>",
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_of_html_with_status_200_is_an_api_that_is_away(name: str) -> None:
    data = answer(PAGES[name], b"Content-Type: text/html")
    async with serving(partial(saying, data)) as server, client(server.url) as api:
        reply = await api.post(ASK)
    with pytest.raises(Unavailable, match="maintenance"):
        protocol.read_prices(reply, ONE.exchange)


AWAY = {
    "HTML": "maintenance_html_200:",
    "text": "maintenance_text:",
    "text with 503": "maintenance_text:status=503,",
    "JSON": "maintenance_json:",
    "JSON with return code 3": "maintenance_json:return_code=3,",
    "JSON of a gateway": "gateway_json:",
    "a page with 403": "unavailable_html_403:",
    "a page with 503": "http_5xx:",
}


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form in ("HTML", "JSON") else EXTENDED) for form in AWAY]
)
async def test_maintenance_stops_everybody_and_one_request_asks_whether_it_is_over(
    database: Dsn, simulator: Simulator, form: str
) -> None:
    before = simulator.api.book.count
    simulator.api.faults.put([f"{AWAY[form]}api=ka20002,first=5"])
    # Each of the five waits 0.87 s or more, so none of them asks again before the fifth was answered.
    random.seed(139169)
    few = MANY[:8]
    async with collecting(database, simulator.url, *few, concurrency=5) as collector:
        sweep = await collector.sweep(OPEN, "all", few)
    arrivals = arrivals_of(simulator, before)
    assert [said for _, said in arrivals[:6]] == [AWAY[form].partition(":")[0]] * 5 + ["ok"]
    assert arrivals[5][0] - arrivals[4][0] > 0.9
    assert sweep.is_whole


RETRY_AFTER = {
    "seconds": b"2",
    "a date": b"Wed, 21 Oct 2099 07:28:00 GMT",
    "nothing": b"0",
    "negative": b"-5",
    "for ever": b"1000000000",
    "no number": b"soon",
    "missing": None,
}


@pytest.mark.parametrize("name", RETRY_AFTER)
async def test_a_429_is_asked_again_at_our_own_pace_whatever_retry_after_says(name: str) -> None:
    value = RETRY_AFTER[name]
    headers = [] if value is None else [b"Retry-After: " + value]
    data = answer(b"", *headers, status=b"429 Too Many Requests")
    async with serving(partial(saying, data)) as server, client(server.url) as api:
        reply = await api.post(ASK)
    with pytest.raises(CollectorError) as caught:
        protocol.read_prices(reply, ONE.exchange)
    assert type(caught.value).__name__ == "Throttled"


@pytest.mark.extended
async def test_after_1000_cancelled_requests_each_answer_still_belongs_to_its_request() -> None:
    async def echoing_late(visit: Visit) -> None:
        while True:
            request = await visit.request()
            await asyncio.sleep(0.004)  # longer than most of those who ask will wait
            await visit.send(answer(request.rpartition(b"\r\n\r\n")[2]))

    async def asked(number: int) -> tuple[str, bytes]:
        sector = f"{number % 1000:03}"
        async with at_once:
            try:
                async with asyncio.timeout((0.001, 0.002, 0.003, 60)[number % 4]):
                    while True:
                        # On a slow machine a connection may take longer than the three seconds that it may take.
                        with suppress(Unavailable):
                            return sector, (
                                await api.post(protocol.ask_prices(Target.of("KOSPI", sector, "KRX")))
                            ).body
            except TimeoutError:
                return sector, b""

    at_once = asyncio.Semaphore(16)
    async with (
        serving(echoing_late) as server,
        HttpTransport(server.url, timeout=60, user_agent="tests/1", connections=16) as api,
    ):
        found = await asyncio.gather(*map(asked, range(1000)))
        assert (await asked(3))[1]
    answered = [(sector, body) for sector, body in found if body]
    assert 250 <= len(answered) < 1000
    assert all(f'"inds_cd": "{sector}"'.encode() in body for sector, body in answered)
