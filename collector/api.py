"""Sending a request and bringing back the answer: the only code that speaks HTTP.

It knows how to send, not what an answer means (`wire` does) nor when to ask again (`kiwoom` does). Redirects,
cookies and proxies from the environment are off: a redirect would carry the keys elsewhere.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from yarl import URL

from collector.errors import CollectorError, Rejected, Unavailable, Unreadable
from collector.pace import Missed
from collector.secret import Secret
from collector.wire import API_IDS, Reply, Request

BODY_LIMIT = 8 << 20
"""Bytes of one answer after decompression; a page has about 30,000."""
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_CHUNK = 1 << 16
_SHORTEST = 12


class Leg(Protocol):
    """Whoever wants to know when a request is on its way, and can still stop it."""

    def leave(self) -> None:
        """It goes out with the next instruction, unless this raises Missed."""

    def answered(self) -> None:
        """The headers of its answer are in."""


class Api:
    """One HTTP session with one host. `async with Api(...) as api`, then `await api.post(request, token)`."""

    def __init__(self, base_url: str, *, timeout: float, user_agent: str, connections: int) -> None:
        self._base = URL(base_url)
        self._urls: dict[str, URL] = {}
        self._timeout = aiohttp.ClientTimeout(
            total=timeout, sock_connect=min(3.0, timeout), sock_read=min(5.0, timeout)
        )
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._connections = connections

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=15, ttl_dns_cache=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            trust_env=False,
            headers=self._headers,
            read_bufsize=1 << 17,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, request: Request, token: Secret | None = None, leg: Leg | None = None) -> Reply:
        """Send one request and read its whole answer.

        Unavailable: no answer, or not in time. Unreadable: an answer that breaks HTTP, is larger than
        `BODY_LIMIT` or has no stated end. Rejected: a redirect. Missed: `leg` has stopped it. Every other status
        comes back as a Reply.
        """
        if request.api_id not in API_IDS:
            raise ValueError("this program does not send such calls")
        url = self._urls.setdefault(request.path, self._base.join(URL(request.path)))
        body = _Body(request.body, leg)
        async with (
            _translated(body),
            self._session.post(
                url, data=body, headers=request.headers(token), allow_redirects=False
            ) as response,
        ):
            if leg is not None:
                leg.answered()
            _refuse_frame(response)
            answer = _unquoted(await _read(response.content), (*request.secrets, *([token] if token else ())))
            return Reply(response.status, tuple(response.headers.items()), answer)


class _Body(aiohttp.BytesPayload):
    """A body that asks for leave at the last moment: aiohttp keeps the headers back until the body is written."""

    def __init__(self, value: bytes, leg: Leg | None) -> None:
        super().__init__(value)
        self._leg = leg
        self.was_stopped = False

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        if self._leg is not None:
            try:
                self._leg.leave()
            except Missed:
                self.was_stopped = True
                raise
        await super().write_with_length(writer, content_length)


def _refuse_frame(response: aiohttp.ClientResponse) -> None:
    if 300 <= response.status < 400:
        raise Rejected(
            f"HTTP {response.status}: the host redirects, which the API never does",
            code=response.status,
            hint="check api.base_url; the keys were not sent on",
        )
    if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
        raise Unreadable("the answer has no stated length, so a cut one could not be told from a whole one")
    if response.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise Unreadable("the answer is compressed in a way that was not asked for")


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body, given up as soon as it grows past the limit, so that a bomb never unfolds."""
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_chunked(_CHUNK):
        size += len(part)
        if size > BODY_LIMIT:
            raise Unreadable(f"the answer is larger than {BODY_LIMIT >> 20} MiB")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unquoted(body: bytes, secrets: Sequence[Secret]) -> bytes:
    """The answer without what was sent in confidence: a gateway's error may quote the request, and its text is
    shown, logged and stored. What is shorter than any key or token of Kiwoom's is left, as it may be a price."""
    for secret in secrets:
        for form in _forms(secret.reveal()):
            body = body.replace(form, b"***")
    return body


@lru_cache(maxsize=8)
def _forms(value: str) -> frozenset[bytes]:
    """How a secret may be written in JSON."""
    if len(value) < _SHORTEST:
        return frozenset()
    forms = {value, json.dumps(value)[1:-1], value.replace("/", "\\/")}
    return frozenset(form.encode() for form in forms)


@asynccontextmanager
async def _translated(body: _Body) -> AsyncIterator[None]:
    """aiohttp's errors as ours. Neither their texts nor they themselves are kept (`from None`): what they
    hold may quote the request that was sent, and with it the token."""
    try:
        yield
    except CollectorError:
        raise
    except TimeoutError:
        raise Unavailable("no answer in time") from None
    except aiohttp.ClientConnectorCertificateError:
        raise Unavailable("the host's certificate is not valid, so nothing was sent") from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or type(error.os_error).__name__
        raise Unavailable(f"cannot connect to {error.host}:{error.port}: {reason}") from None
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
        raise Unavailable("the connection was closed before the answer") from None
    except aiohttp.ClientPayloadError:
        raise Unreadable("the answer was cut or its encoding is broken") from None
    except aiohttp.ClientError as error:
        if body.was_stopped:
            raise Missed from None
        raise Unreadable(f"the answer is not HTTP ({type(error).__name__})") from None
