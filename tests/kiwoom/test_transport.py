"""The HTTP client against a server that lies, stalls and breaks off byte by byte."""

import asyncio
import json
import socket
import ssl
import time
import traceback
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collector.errors import CollectorError, Rejected, Unavailable, Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.protocol import ApiRequest, ApiResponse
from collector.kiwoom.transport import BODY_LIMIT, HttpTransport
from collector.model import Target
from collector.ratelimit.window import PermitExpired
from collector.secret import Secret
from tests.support.byte_server import Script, Visit, answer, serving

ASK = protocol.ask_prices(Target.of("KOSPI", "001", "KRX"))
KEY, SECRET, TOKEN = "s3ntinel-app-key", "s3ntinel-secret-key", "s3ntinel-bearer-token"
ASK_TOKEN = protocol.ask_token(Secret(KEY), Secret(SECRET))


def client(url: str, *, timeout: float = 60.0) -> HttpTransport:
    return HttpTransport(url, timeout=timeout, user_agent="collector-tests/1", connections=4)


async def asked(script: Script, *, timeout: float = 60.0, ask: ApiRequest = ASK) -> ApiResponse:
    async with serving(script) as server, client(server.url, timeout=timeout) as api:
        return await api.post(ask, Secret(TOKEN))


async def saying(data: bytes, visit: Visit) -> None:
    """Answer each request with these bytes."""
    while True:
        await visit.request()
        await visit.send(data)


async def silent(visit: Visit) -> None:
    await visit.until_gone()


async def resetting(data: bytes, visit: Visit) -> None:
    await visit.request()
    await visit.send(data)
    await asyncio.sleep(0.02)  # or the reset would overtake the bytes
    visit.reset()


async def stalling(data: bytes, visit: Visit) -> None:
    await visit.request()
    await visit.send(data)
    await visit.until_gone()


async def dripping(data: bytes, visit: Visit) -> None:
    await visit.request()
    for byte in data:
        await visit.send(bytes([byte]))
        await asyncio.sleep(0.02)  # the slowness is the subject


async def closing(data: bytes, visit: Visit) -> None:
    await visit.request()
    await visit.send(data)


@asynccontextmanager
async def refused_port() -> AsyncIterator[str]:
    async with serving(silent) as server:
        pass
    yield server.url


WHOLE = answer(b'{"return_code":0}', b"cont-yn: Y", b"next-key: N1", b"api-id: ka20002")
HEAD = WHOLE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


async def test_an_answer_comes_back_as_it_was_sent() -> None:
    reply = await asked(partial(saying, WHOLE))
    assert (reply.status, reply.body, reply.next_key()) == (200, b'{"return_code":0}', "N1")


@pytest.mark.parametrize(
    "form",
    [str, lambda text: text.replace("/", "\\/"), lambda text: json.dumps(text)[1:-1]],
    ids=["raw", "slashes", "JSON"],
)
@pytest.mark.parametrize(
    "ask",
    [ASK, protocol.ask_token(Secret("/an/app/key 앱"), Secret("/a/secret/key 앱"))],
    ids=["page", "token"],
)
async def test_an_answer_that_quotes_what_was_confided_comes_back_without_it(ask, form) -> None:
    sent = [TOKEN, *(secret.reveal() for secret in ask.secrets)]
    quoted = form(" and ".join(sent)).encode()
    reply = await asked(partial(saying, answer(b'{"return_msg":"' + quoted + b'"}')), ask=ask)
    assert reply.body == b'{"return_msg":"' + b" and ".join([b"***"] * len(sent)) + b'"}'


async def test_a_request_says_who_asks_and_nothing_more_than_documented() -> None:
    async with serving(partial(saying, WHOLE)) as server, client(server.url) as api:
        await api.post(protocol.ask_prices(Target.of("KOSPI", "001", "KRX"), "N1"), Secret(TOKEN))
    head, _, body = server.received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
    assert first == "POST /api/dostk/sect HTTP/1.1"
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "collector-tests/1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json;charset=UTF-8",
        "api-id": "ka20002",
        "authorization": f"Bearer {TOKEN}",
        "cont-yn": "Y",
        "next-key": "N1",
        "content-length": str(len(body)),
    }
    assert body == b'{"mrkt_tp": "0", "inds_cd": "001", "stex_tp": "1"}'


async def test_a_call_that_is_not_on_the_list_cannot_be_sent() -> None:
    async with serving(silent) as server, client(server.url) as api:
        with pytest.raises(ValueError, match="does not send such calls"):
            await api.post(ApiRequest("kt10000", "/api/dostk/ordr", b"{}"))
    assert not server.visits


def bomb(megabytes: int) -> bytes:
    """A few kB of gzip that unfold to as much; a block packed once and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    first, block = (packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + block * (megabytes - 1)


EMPTY_MEMBER = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16).flush()

BROKEN: dict[str, tuple[Script, type[CollectorError]]] = {
    "reset before the answer": (partial(resetting, b""), Unavailable),
    "reset inside the headers": (partial(resetting, HEAD[:40]), Unavailable),
    "reset inside the body": (partial(resetting, WHOLE[:-5]), Unreadable),
    "closed before the answer": (partial(closing, b""), Unavailable),
    "closed inside the headers": (partial(closing, HEAD[:40]), Unavailable),
    "closed inside the body": (partial(closing, WHOLE[:-5]), Unreadable),
    "stalled before the answer": (silent, Unavailable),
    "stalled inside the headers": (partial(stalling, HEAD[:40]), Unavailable),
    "stalled inside the body": (partial(stalling, WHOLE[:-5]), Unavailable),
    "one byte at a time": (partial(dripping, WHOLE), Unavailable),
    "no stated length": (partial(closing, b"HTTP/1.1 200 OK\r\n\r\n{}"), Unreadable),
    "chunk cut": (
        partial(closing, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{}"),
        Unreadable,
    ),
    "chunk size that is none": (
        partial(saying, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        Unreadable,
    ),
    "not HTTP": (partial(saying, b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), Unreadable),
    "two lengths": (partial(saying, answer(b"{}", b"Content-Length: 3")), Unreadable),
    "negative length": (partial(saying, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), Unreadable),
    "gzip bomb": (partial(saying, answer(bomb(300), b"Content-Encoding: gzip")), Unreadable),
    "50,000 empty gzip members": (
        partial(saying, answer(EMPTY_MEMBER * 50_000, b"Content-Encoding: gzip")),
        Unreadable,
    ),
    "gzip that is none": (partial(saying, answer(b"{}", b"Content-Encoding: gzip")), Unreadable),
    "brotli": (partial(saying, answer(b"{}", b"Content-Encoding: br")), Unreadable),
    "gzip twice": (partial(saying, answer(b"{}", b"Content-Encoding: gzip, gzip")), Unreadable),
    "body over the limit": (partial(saying, answer(bytes(BODY_LIMIT + 1))), Unreadable),
    "header of 64 kB": (partial(saying, answer(b"{}", b"x-long: " + b"x" * 65_536)), Unreadable),
    "headers without end": (
        partial(stalling, HEAD[:-2] + b"".join(b"x-%d: 1\r\n" % n for n in range(40_000))),
        Unreadable,
    ),
    "redirect": (partial(saying, answer(b"", b"Location: /", status=b"307 Temporary Redirect")), Rejected),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_one_of_our_errors_in_time_and_within_bounds(name: str) -> None:
    script, kind = BROKEN[name]
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(CollectorError) as caught:
            await asked(script, timeout=0.4 if kind is Unavailable else 60.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(caught.value) is kind
    assert time.monotonic() - began < 40  # these answers never end by themselves
    assert peak < 40e6


@pytest.mark.parametrize("name", BROKEN)
async def test_a_failure_never_shows_what_was_sent(name: str) -> None:
    script, kind = BROKEN[name]
    with pytest.raises(CollectorError) as caught:
        await asked(script, timeout=0.3 if kind is Unavailable else 60.0, ask=ASK_TOKEN)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.args}{error.hint}{vars(error)}"
    for secret in (KEY, SECRET, TOKEN):
        for form in (secret, b64encode(secret.encode()).decode(), secret.encode().hex(), quote(secret)):
            assert form not in shown
    assert "\n" not in str(error)


async def test_an_answer_cut_at_any_byte_is_never_taken_for_a_whole_one() -> None:
    async def at_its_length(visit: Visit) -> None:
        number = len(server.visits) - 1
        await closing(WHOLE[:number], visit)

    async with serving(at_its_length) as server, client(server.url) as api:
        for _ in range(len(WHOLE)):
            with pytest.raises((Unavailable, Unreadable)):
                await api.post(ASK)
        assert (await api.post(ASK)).body == b'{"return_code":0}'


class Stopped:
    """A leg that is stopped at the last moment."""

    def before_send(self) -> None:
        raise PermitExpired

    def on_response(self, *, delayed: bool = False) -> None:
        raise AssertionError


async def test_a_request_that_is_stopped_at_the_last_moment_sends_nothing() -> None:
    async with serving(partial(saying, WHOLE)) as server, client(server.url) as api:
        with pytest.raises(PermitExpired):
            await api.post(ASK, Secret(TOKEN), Stopped())
        assert (await api.post(ASK)).status == 200
        received = b"".join(visit.received for visit in server.visits)
    assert received.count(b"POST ") == 1
    assert TOKEN.encode() not in received


async def test_a_port_where_nobody_listens_is_named() -> None:
    async with refused_port() as url, client(url) as api:
        with pytest.raises(Unavailable, match=r"cannot connect to 127\.0\.0\.1:\d+"):
            await api.post(ASK)


async def test_a_host_that_nobody_knows_is_not_reached() -> None:
    async with client("http://no-such-host.invalid") as api:
        with pytest.raises(Unavailable):
            await api.post(ASK)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_nothing_goes_to_where_it_leads(status: int) -> None:
    async with serving(partial(saying, WHOLE)) as elsewhere:
        moved = answer(b"", f"Location: {elsewhere.url}/".encode(), status=f"{status} Moved".encode())
        with pytest.raises(Rejected) as caught:
            await asked(partial(saying, moved), ask=ASK_TOKEN)
    assert caught.value.code == status
    assert not elsewhere.visits


async def test_a_cookie_is_not_kept() -> None:
    script = partial(saying, answer(b"{}", b"Set-Cookie: a=1; Path=/"))
    async with serving(script) as server, client(server.url) as api:
        await api.post(ASK)
        await api.post(ASK)
    assert server.received.count(b"POST") == 2
    assert b"cookie" not in server.received.lower()


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login kim password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(partial(saying, WHOLE)) as proxy, serving(partial(saying, WHOLE)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with client(server.url) as api:
            await api.post(ASK)
    assert not proxy.visits
    assert b"authorization" not in server.received.lower()


async def test_a_connection_that_the_server_closed_between_two_pages_is_replaced() -> None:
    async with serving(partial(closing, WHOLE)) as server, client(server.url) as api:
        for _ in range(5):
            assert (await api.post(ASK)).status == 200
            await asyncio.sleep(0.02)  # for the end of the connection to arrive
    assert len(server.visits) == 5


async def test_a_late_answer_is_never_taken_for_that_of_another_request() -> None:
    async def echoing_late(visit: Visit) -> None:
        while True:
            request = await visit.request()
            await asyncio.sleep(0.03)  # longer than most of those who ask will wait
            await visit.send(answer(request.rpartition(b"\r\n\r\n")[2]))

    async with serving(echoing_late) as server, client(server.url) as api:
        four_at_once = asyncio.Semaphore(4)

        async def asked_for(sector: str, patience: float) -> bytes:
            async with four_at_once:
                try:
                    async with asyncio.timeout(patience):
                        return (await api.post(protocol.ask_prices(Target.of("KOSPI", sector, "KRX")))).body
                except TimeoutError:
                    return b""

        sectors = [f"{number:03}" for number in range(100)]
        patience = [(0.005, 0.01, 0.02, 60)[number % 4] for number in range(100)]
        bodies = await asyncio.gather(*map(asked_for, sectors, patience))
    answers = {sector: body for sector, body in zip(sectors, bodies, strict=True) if body}
    assert 25 <= len(answers) < 100
    assert all(f'"inds_cd": "{sector}"'.encode() in body for sector, body in answers.items())


@pytest.mark.extended
async def test_after_500_cancelled_requests_the_session_still_serves() -> None:
    async def slow(visit: Visit) -> None:
        while True:
            await visit.request()
            await asyncio.sleep(0.002)  # so that some are cancelled before their answer
            await visit.send(WHOLE)

    async with serving(slow) as server, client(server.url) as api:
        for number in range(500):
            request = asyncio.ensure_future(api.post(ASK))
            await asyncio.sleep(0.0001 * (number % 40))  # any moment will do
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        async with asyncio.timeout(600):
            replies = await asyncio.gather(*(api.post(ASK) for _ in range(8)))
    assert {reply.status for reply in replies} == {200}


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "key.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    async with (
        serving(partial(saying, WHOLE), tls=self_signed(tmp_path)) as server,
        client(server.url) as api,
    ):
        with pytest.raises(Unavailable, match="certificate is not valid"):
            await api.post(ASK_TOKEN)
    assert server.received == b""


async def test_a_plain_server_where_tls_is_due_gets_nothing() -> None:
    async with (
        serving(partial(saying, WHOLE)) as server,
        client(server.url.replace("http://", "https://"), timeout=0.5) as api,
    ):
        with pytest.raises((Unavailable, Unreadable)):
            await api.post(ASK_TOKEN)
    assert SECRET.encode() not in server.received


async def test_a_connection_that_was_opened_ahead_carries_the_next_request_and_needs_no_rest() -> None:
    async with serving(partial(saying, WHOLE)) as server, client(server.url) as api:
        await api.warm(2)
        await api.warm(2)
        while len(server.visits) < 2:  # noqa: ASYNC110 - a server accepts without an event
            await asyncio.sleep(0.01)
        with api.lease() as one, api.lease() as other:
            await asyncio.gather(api.post(ASK, lease=one), api.post(ASK, lease=other))
        assert len(server.visits) == 2


async def test_a_host_that_takes_no_connection_is_reported_by_the_request_and_not_before() -> None:
    async with refused_port() as url, client(url) as api:
        await api.warm(2)
        with pytest.raises(Unavailable, match="cannot connect"):
            await api.post(ASK)


class Arrivals:
    """Notes of each answer whether its request may have been delayed."""

    def __init__(self) -> None:
        self.delayed: list[bool] = []

    def before_send(self) -> None:
        return

    def on_response(self, *, delayed: bool = False) -> None:
        self.delayed.append(delayed)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux says what was sent again")
async def test_the_first_request_of_a_connection_may_have_been_delayed_and_the_next_was_not() -> None:
    hooks = Arrivals()
    async with serving(partial(saying, WHOLE)) as server, client(server.url) as api:
        with api.lease() as lease:
            for _ in range(3):
                await api.post(ASK, hooks=hooks, lease=lease)
    assert hooks.delayed == [True, False, False]


@pytest.mark.parametrize(
    ("timeout", "connect", "silence"), [(0.5, 0.5, 0.5), (4, 3, 4), (10, 3, 5), (20, 6, 10), (300, 90, 150)]
)
async def test_a_connection_and_a_silence_have_a_share_of_a_long_timeout(
    timeout: float, connect: float, silence: float
) -> None:
    async with HttpTransport(
        "http://127.0.0.1:1", timeout=timeout, user_agent="tests/1", connections=1
    ) as api:
        limits = api._timeout
    assert (limits.total, limits.sock_connect, limits.sock_read) == (timeout, connect, silence)
