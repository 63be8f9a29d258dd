"""Sends a request and returns its answer; the only client code that uses the HTTP library.

It neither interprets an answer (`protocol` does) nor decides on retries (`client` does). Redirects, cookies
and proxies from the environment are off: a redirect would carry the keys to another host.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from yarl import URL

from collector.errors import CollectorError, Rejected, Unavailable, Unreadable
from collector.kiwoom.connections import (
    KEPT,
    ConnectionLease,
    ConnectionPool,
    NotSilent,
    SilentHandler,
    handler_of,
    watch,
)
from collector.kiwoom.protocol import API_IDS, ApiRequest, ApiResponse
from collector.kiwoom.redact import RUN, Redactor
from collector.kiwoom.tcp import count_retransmissions
from collector.ratelimit.window import PermitExpired
from collector.secret import Secret

BODY_LIMIT = 8 << 20
"""Most bytes of one answer after decompression; a page has about 30,000."""
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_CHUNK = 1 << 16
_UNSENT_TRIES = 3
"""Connections tried for one request as long as nothing of it was sent."""
PLAIN_HEADERS = frozenset(
    {"application/json;charset=UTF-8", "application/json; charset=utf-8", "application/json"}
)
"""Values of Content-Type that need no search for secrets."""
RESTING = 10
"""Connections kept beyond those in use, since each rests after a walk: at Kiwoom's five requests a second no
more than ten walks can end within a rest of two seconds."""


class SendHooks(Protocol):
    """Callbacks of a request: the first can still stop it."""

    def before_send(self) -> None:
        """Called right before the request is sent; PermitExpired stops it."""

    def on_response(self, *, delayed: bool = False) -> None:
        """Called after the headers of the answer have arrived. `delayed`: the request may have reached the server
        later than it was sent, because its connection was new or the network lost a part of it."""


class HttpTransport:
    """One host and the connections to it. `async with HttpTransport(...) as transport`, then `await
    transport.post(request, token)`.

    `connections` is the most requests at once; `resting` is the number of connections kept beside those.
    `timeout` is for a whole request, in seconds. Within it a connection has 3 seconds and a silence 5, or 30 % and
    half of a longer `timeout` than 10: a longer one is of use only if they grow with it.
    `now` is a monotonic clock in seconds, the event loop's by default.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        user_agent: str,
        connections: int,
        resting: int = RESTING,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._now = now
        self._base = URL(base_url)
        self._urls: dict[str, URL] = {}
        self._timeout = aiohttp.ClientTimeout(
            total=timeout,
            sock_connect=min(timeout, max(3.0, timeout * 0.3)),
            sock_read=min(timeout, max(5.0, timeout * 0.5)),
        )
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._at_once = asyncio.Semaphore(connections)
        self._limit = connections + resting
        self._keys, self._secrets = Redactor(), Redactor()

    async def __aenter__(self) -> Self:
        now = self._now or asyncio.get_running_loop().time
        self._pool = ConnectionPool(self._make_session, limit=self._limit, now=now)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    def _make_session(self) -> aiohttp.ClientSession:
        """Make a session for one connection at a time."""
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=KEPT, ttl_dns_cache=10)
        return aiohttp.ClientSession(
            connector=watch(connector, self._pool.distrust),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            trust_env=False,
            headers=self._headers,
            read_bufsize=1 << 17,
        )

    def lease(self) -> ConnectionLease:
        """Return a connection for the requests of one walk."""
        return ConnectionLease(self._pool)

    async def warm(self, count: int) -> None:
        """Have `count` connections open, so that the next requests need not wait for a handshake."""
        await self._pool.warm(count, self._base)

    async def post(
        self,
        request: ApiRequest,
        token: Secret | None = None,
        hooks: SendHooks | None = None,
        lease: ConnectionLease | None = None,
    ) -> ApiResponse:
        """Send one request and read its whole answer, on the connection of `lease` or on one of its own.

        Unavailable: no answer, or not in time. Unreadable: an answer that breaks HTTP, is larger than
        `BODY_LIMIT` or has no stated end. Rejected: a redirect. PermitExpired: `hooks` has stopped it. Every
        other status comes back as an ApiResponse. A connection with any of these errors is closed.
        """
        if request.api_id not in API_IDS:
            raise ValueError("this program does not send such calls")
        if lease is None:
            with self.lease() as own:
                return await self._post(request, token, hooks, own)
        return await self._post(request, token, hooks, lease)

    async def _post(
        self, request: ApiRequest, token: Secret | None, hooks: SendHooks | None, lease: ConnectionLease
    ) -> ApiResponse:
        """Send the request; use another connection as long as the one before closed and nothing was sent."""
        async with self._at_once:
            for _ in range(_UNSENT_TRIES):
                body = _HookedPayload(request.body, hooks)
                try:
                    return await self._exchange(request, token, body, lease)
                except NotSilent:
                    lease.drop()
                except BaseException:  # the answer to a cancelled request is still on its way
                    lease.drop()
                    raise
        raise Unavailable(
            "each connection was closed, or sent unrequested bytes, before the request was sent"
        )

    async def _exchange(
        self,
        request: ApiRequest,
        token: Secret | None,
        body: "_HookedPayload",
        lease: ConnectionLease,
    ) -> ApiResponse:
        """Exchange one request and its answer. NotSilent: nothing was sent, and the connection is unusable."""
        connection = lease.connection
        url = self._urls.get(request.path) or self._urls.setdefault(
            request.path, self._base.join(URL(request.path))
        )
        try:
            async with connection.session.post(
                url, data=body, headers=request.headers(token), allow_redirects=False
            ) as response:
                body.note_answer()
                _check_framing(response)
                answer = self._redact(await _read(response.content), response.status, request, token)
        except CollectorError:
            raise
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            # Neither the error nor its text is kept: they may quote the request, and with it the token.
            raise _translate_error(error, body) from None
        finally:
            if body.handler is not None:
                connection.handler = body.handler
        assert body.handler is not None
        body.handler.end_exchange()
        return ApiResponse(response.status, tuple(response.headers.items()), answer)

    def redact_text(self, text: str) -> str:
        """A header's value without any part of a secret; one that is too short to hold a part is left alone."""
        if len(text) < RUN or text in PLAIN_HEADERS:
            return text
        return self._secrets.redact(text.encode("utf-8", "surrogateescape"), is_error=True).decode(
            "utf-8", "replace"
        )

    def _redact(self, answer: bytes, status: int, request: ApiRequest, token: Secret | None) -> bytes:
        """Remove every secret sent so far from the answer.

        An issued token may be one sent before: from such an answer only the keys are removed.
        """
        self._keys.learn(request.secrets)
        self._secrets.learn((*request.secrets, *([token] if token else ())))
        is_issued = bool(request.secrets) and status == 200 and b'"token"' in answer
        return (self._keys if is_issued else self._secrets).redact(answer, is_error=status != 200)


class _HookedPayload(aiohttp.BytesPayload):
    """A body that calls the hooks at the last moment: aiohttp holds the headers back until the body is
    written."""

    def __init__(self, value: bytes, hooks: SendHooks | None) -> None:
        super().__init__(value)
        self._hooks = hooks
        self.handler: SilentHandler | None = None
        """The connection of the request; None as long as nothing was sent."""
        self.stopped_by: Exception | None = None
        """The reason nothing was sent."""
        self._is_fresh = True
        self._resent: int | None = None

    def note_answer(self) -> None:
        """Report the arrival of the answer's headers."""
        if self._hooks is not None:
            self._hooks.on_response(delayed=self._was_delayed())

    def _was_delayed(self) -> bool:
        """Whether bytes were sent again since the request, or this is unknown, or the connection was fresh."""
        if self._resent is None or self.handler is None or self._is_fresh:
            return True
        return count_retransmissions(self.handler.transport) != self._resent

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        try:
            handler = handler_of(writer.protocol)
            self._is_fresh = handler.is_fresh
            handler.expect_answer()
            self._resent = count_retransmissions(handler.transport)
            if self._hooks is not None:
                self._hooks.before_send()
        except (NotSilent, PermitExpired, RuntimeError) as error:
            self.stopped_by = error
            raise
        self.handler = handler
        await super().write_with_length(writer, content_length)


def _check_framing(response: aiohttp.ClientResponse) -> None:
    if response.status == 408:
        raise Unavailable("HTTP 408: the host timed out waiting for a request", code=408)
    if 300 <= response.status < 400:
        raise Rejected(
            f"HTTP {response.status}: the host redirects, which the API never does",
            code=response.status,
            hint="check api.base_url; the keys were not sent on",
        )
    if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
        raise Unreadable("the answer has no stated length, so a truncated answer would go unnoticed")
    if response.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise Unreadable("the answer is compressed in a way that was not asked for")


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read the body; stop as soon as it exceeds the limit, so a decompression bomb never unfolds."""
    parts: list[bytes] = []
    size = 0
    while part := await content.read(_CHUNK):
        size += len(part)
        if size > BODY_LIMIT:
            raise Unreadable(f"the answer is larger than {BODY_LIMIT >> 20} MiB")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _translate_error(error: Exception, body: _HookedPayload) -> Exception:
    """Return our error for an error of aiohttp or of the network."""
    if isinstance(error, TimeoutError):
        return Unavailable("no answer in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unavailable("the host's certificate is not valid, so nothing was sent")
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error.strerror or type(error.os_error).__name__
        return Unavailable(f"cannot connect to {error.host}:{error.port}: {reason}")
    return _failure(error, body)


def _failure(error: Exception, body: _HookedPayload) -> Exception:
    """Return the error of a request after a closed connection or an invalid answer."""
    if body.stopped_by is not None:
        return body.stopped_by
    is_closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError)
    if body.handler is None and (is_closed or isinstance(error, aiohttp.ClientResponseError)):
        return NotSilent()
    if is_closed:
        return Unavailable("the connection was closed before the answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unreadable("the answer was cut or its encoding is broken")
    return Unreadable(f"the answer is not HTTP ({type(error).__name__})")
