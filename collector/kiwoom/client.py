"""Asks Kiwoom for one page at a time and returns the page or raises its error.

The client combines the rate limiter, the token, the retries and the circuit breaker.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from collector.base.answers import AnswerLog, KeptAnswer, kept_headers
from collector.base.histogram import Histogram
from collector.db.database import Database
from collector.errors import (
    CollectorError,
    Denied,
    Rejected,
    Throttled,
    TokenExpired,
    Unavailable,
    Unreadable,
)
from collector.kiwoom import protocol
from collector.kiwoom.auth import TokenStore, key_digest
from collector.kiwoom.protocol import ApiRequest, ApiResponse, IndexBarPage
from collector.kiwoom.protocol.error_codes import EXPIRED
from collector.kiwoom.protocol.flows import SectorFlow
from collector.kiwoom.protocol.minutes import MinutePage
from collector.kiwoom.protocol.requests import SUFFIX
from collector.kiwoom.retry import ATTEMPTS, CircuitBreaker, RetryBudget, backoff
from collector.model import BadRow, BarPage, Exchange, Market, Page, Sector, Target
from collector.ratelimit.limiter import RateLimiter
from collector.ratelimit.window import PermitExpired
from collector.secret import Secret

if (
    TYPE_CHECKING
):  # importing aiohttp takes half a second, and commands without requests import this module too
    from collector.kiwoom.connections import ConnectionLease
    from collector.kiwoom.transport import HttpTransport, SendHooks

T = TypeVar("T")

MAX_OUTAGE = 60.0
"""Longest outage in seconds before the waiting walks are given up."""
RENEWALS = 2
"""Renewed tokens that may be dead in a row before the request is given up, and the sweep with it."""
UNSAID_RENEWALS = 1
"""The same without an error code that names the token: a second new token would hardly help."""
_RIVAL = (
    "another program may use the same key: each new token seems to kill the one before it, so give each its own"
    " / 같은 앱키를 쓰는 다른 프로그램이 있으면 토큰이 서로 무효화됩니다. 앱키를 따로 쓰세요"
)


@dataclass(frozen=True, slots=True)
class ProbeAnswer(Generic[T]):
    """A read answer with its headers, and the moments of its request and its arrival."""

    value: T
    headers: Sequence[tuple[str, str]]
    sent: datetime
    arrived: datetime

    @property
    def seconds(self) -> float:
        """The time from request to answer."""
        return (self.arrived - self.sent).total_seconds()


@dataclass
class RequestCounter:
    """Counts the requests of one walk or other task, retries included, and holds its connection."""

    sent: int = 0
    renewals: int = 0
    """Tokens renewed between two pages."""
    lease: "ConnectionLease | None" = None
    doubt: bool = False
    """Whether the last error came so soon after another answer on its connection that it may answer an
    earlier request."""
    log: AnswerLog | None = None
    """Keeps the answers as they came; None: they are not kept."""

    def release(self) -> None:
        """Give the connection back: the next request belongs to another walk, even of the same target."""
        if self.lease is not None:
            self.lease.release()

    def judge(self, error: CollectorError) -> None:
        """Drop the connection of an error; distrust all connections if the error may be unrequested."""
        if self.lease is None:
            return
        self.lease.drop()
        self.doubt = self.lease.was_reused_soon and _may_be_unasked(error)
        if self.doubt:
            self.lease.distrust()

    def distrust(self) -> None:
        """Continue on a new connection, because the last answer belongs to an earlier request."""
        if self.lease is not None:
            self.lease.distrust()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _may_be_unasked(error: CollectorError) -> bool:
    """Whether an error may be an unrequested message of a server out of step.

    Excluded are refusals of the token or the quota, which are obeyed in any case, and an unavailable server.
    """
    is_timeout = isinstance(error, Unavailable) and error.code == 408
    return is_timeout or isinstance(error, Unreadable | Rejected | Denied)


class KiwoomClient:
    """The API with one key. It raises ApiError (for one request), Denied or StoreError (for all).

    `name` is the operator's name of the key; `key_digest` stands for it in the database. `keys_outlive_token`: a
    next-key stays valid when a new token is issued, so a walk goes on with its page.
    """

    def __init__(
        self,
        transport: "HttpTransport",
        rate_limiter: RateLimiter,
        database: Database,
        *,
        app_key: Secret,
        secret_key: Secret,
        name: str = "main",
        keys_outlive_token: bool = False,
    ) -> None:
        self.name = name
        self._keys_outlive_token = keys_outlive_token
        self.key_digest = key_digest(app_key)
        self._transport = transport
        self._rate_limiter = rate_limiter
        self._credentials = (app_key, secret_key)
        self._tokens = TokenStore(database, app_key, secret_key, issue=self._issue_token)
        self._breaker = CircuitBreaker(MAX_OUTAGE)
        self._budget = RetryBudget()
        self._clock = asyncio.get_running_loop().time
        self.answers: Counter[str] = Counter()
        """Requests by result: `ok`, or the name of the error."""
        self.durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        """From sending a request to its whole answer or its failure, by api-id."""
        self.denial: Denied | None = None
        """The refusal of this key, until a request is accepted."""
        self.was_accepted = False
        """Whether a request with this key was accepted since the start of the process."""

    @property
    def requests(self) -> int:
        """Requests sent since the last `reset_retry_budget`."""
        return self._budget.requests

    def reset_retry_budget(self) -> None:
        """Start a new retry budget for a new sweep."""
        self._budget = RetryBudget()

    async def prices(
        self, target: Target, page_key: str | None = None, *, counter: RequestCounter
    ) -> tuple[Page, datetime]:
        """Fetch one page of a target with its arrival time. The pages of a walk use one connection, that of
        `counter`.

        TokenExpired: the token died between two pages and has been renewed. It is unknown whether the
        next-key survives that, so the walk must start over.
        """
        return await self._call(
            protocol.ask_prices(target, page_key),
            lambda reply: protocol.read_prices(reply, target.exchange),
            counter,
        )

    async def sectors(self, market: Market) -> list[Sector]:
        """Fetch the current sectors of a market."""
        with RequestCounter() as counter:
            answer, _ = await self._call(
                protocol.ask_sectors(market), lambda reply: protocol.read_sectors(reply, market), counter
            )
        return answer

    async def bars(
        self,
        symbol: str,
        newest: date,
        *,
        adjusted: bool,
        page_key: str | None = None,
        counter: RequestCounter,
    ) -> tuple[BarPage, datetime]:
        """Fetch one page of daily bars up to `newest` with its arrival time; TokenExpired as in `prices`."""
        return await self._call(
            protocol.ask_bars(symbol, newest, adjusted=adjusted, page_key=page_key),
            lambda reply: protocol.read_bars(reply, symbol),
            counter,
        )

    async def minutes(
        self,
        symbol: str,
        exchange: Exchange,
        day: date,
        *,
        page_key: str | None = None,
        counter: RequestCounter,
    ) -> tuple[MinutePage, datetime]:
        """The bars of `day` out of one page of minute bars, and when it arrived; TokenExpired as in `prices`."""
        return await self._call(
            protocol.ask_minutes(symbol, exchange, day, page_key),
            lambda reply: protocol.read_minutes(reply, symbol + SUFFIX[exchange], day),
            counter,
        )

    async def index_bars(
        self, sector: str, newest: date, *, page_key: str | None = None, counter: RequestCounter
    ) -> tuple[IndexBarPage, datetime]:
        """One page of the daily bars of an index up to `newest`, and when it arrived; TokenExpired as in `prices`."""
        return await self._call(
            protocol.ask_index_bars(sector, newest, page_key), protocol.read_index_bars, counter
        )

    async def flows(
        self, board: Market, exchange: Exchange, day: date
    ) -> tuple[list[SectorFlow], list[BadRow]]:
        """The net purchases of one day by sector, and the rows that do not decode."""
        with RequestCounter() as counter:
            answer, _ = await self._call(
                protocol.ask_flows(board, exchange, day), protocol.read_flows, counter
            )
        return answer

    async def warm(self, connections: int) -> None:
        """Have so many connections open before requests come; the clients of one program share them."""
        await self._transport.warm(connections)

    async def ask_beside(self, request: ApiRequest, read: Callable[[ApiResponse], T]) -> tuple[T, datetime]:
        """One request beside a sweep: asked once, in the lane of its api-id, and when its answer arrived.

        It spends none of the sweep's retry budget, tells the circuit breaker nothing, and waits for the token that the
        sweep gets, so its failure costs the sweep nothing. A refusal for quota pauses its own lane. CollectorError
        if it fails.
        """
        answer = await self.probe(request, read, await self._tokens.wait_for_live())
        return answer.value, answer.arrived

    async def probe(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        token: Secret,
        counter: RequestCounter | None = None,
    ) -> ProbeAnswer[T]:
        """One request with this token, and its answer with headers and times; CollectorError if it fails.

        There is no second request and no renewed token. A refusal for quota pauses the lane of the call. Requests
        with the same `counter` use one connection.
        """
        if counter is None:
            with RequestCounter() as own:
                return await self.probe(request, read, token, own)
        while True:
            with suppress(PermitExpired):
                return await self._probe_once(request, read, token, counter)

    async def send_without_permit(
        self, request: ApiRequest, token: Secret, hooks: "SendHooks", counter: RequestCounter
    ) -> ApiResponse:
        """One request beyond the rate limiter, for a trial that provokes refusals; the answer is not judged.

        Unavailable and Unreadable as for any request.
        """
        counter.lease = counter.lease or self._transport.lease()
        reply = await self._post(request, token, hooks, counter.lease)
        self.answers["provoked"] += 1
        return reply

    async def _probe_once(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        token: Secret,
        counter: RequestCounter,
    ) -> ProbeAnswer[T]:
        async with self._rate_limiter.acquire(request.api_id) as permit:
            counter.lease = counter.lease or self._transport.lease()
            sent = datetime.now(UTC)
            try:
                reply = await self._post(request, token, permit, counter.lease)
                answer = ProbeAnswer(read(reply), reply.headers, sent, datetime.now(UTC))
            except CollectorError as error:
                counter.judge(error)
                self.answers[type(error).__name__] += 1
                if isinstance(error, Throttled):
                    await self._rate_limiter.on_throttled(request.api_id, error.quota)
                raise
        self.answers["ok"] += 1
        return answer

    async def reissue_token(self, token: Secret) -> Secret:
        """A token issued after `token`, for all programs with this key; `token` again if the API repeats it."""
        return await self._tokens.renew(token)

    @property
    def token_expires_at(self) -> datetime | None:
        """The end of the token in use; None without one."""
        return self._tokens.expires_at

    async def share_lanes(self, granted: int | None) -> None:
        """From now on all data calls take their permits from one lane; `granted`: its rate, if the server named one."""
        self._rate_limiter.share_lanes()
        if granted is not None:
            await self._rate_limiter.on_throttled(protocol.requests.PRICES, granted)

    async def granted_quotas(self) -> dict[str, int]:
        """The rates that the server named in refusals, by api-id."""
        return await self._rate_limiter.granted_quotas()

    async def token(self, *, ignore_pause: bool = False) -> Secret:
        """Return the live token, to check that one can be had; see `TokenStore.current`."""
        try:
            token = await self._tokens.current(ignore_pause=ignore_pause)
        except Denied as error:
            self.denial = error
            raise
        self.denial, self.was_accepted = None, True
        return token

    async def _post(
        self, request: ApiRequest, token: Secret | None, hooks: "SendHooks", lease: "ConnectionLease"
    ) -> ApiResponse:
        """Send a request, and count its duration unless it was not sent."""
        began = self._clock()
        try:
            reply = await self._transport.post(request, token, hooks, lease)
        except (PermitExpired, asyncio.CancelledError):
            raise
        except BaseException:
            self.durations[request.api_id].observe(self._clock() - began)
            raise
        self.durations[request.api_id].observe(self._clock() - began)
        return reply

    @property
    def lacks_token(self) -> bool:
        """Whether the last attempt to get a token with this key failed."""
        return self._tokens.is_failing

    async def _issue_token(self) -> protocol.Token:
        with RequestCounter() as counter:
            token, _ = await self._request_with_retries(
                protocol.ask_token(*self._credentials), protocol.read_token, counter, None
            )
        return token

    async def _call(
        self, request: ApiRequest, read: Callable[[ApiResponse], T], counter: RequestCounter
    ) -> tuple[T, datetime]:
        """Request with the live token; renew a dead token, and repeat the request unless a walk was in progress.

        If the second new token is dead as well, the error is Denied: more tokens would not help. (One dead
        token is normal: another program issued it, and it died before its use here.) If a walk is refused
        between two pages repeatedly although page 1 is answered, the token is no longer renewed.
        """
        try:
            answer = await self._call_with_token(request, read, counter)
        except Denied as error:
            self.denial = error
            raise
        self.denial, self.was_accepted = None, True
        return answer

    async def _call_with_token(
        self, request: ApiRequest, read: Callable[[ApiResponse], T], counter: RequestCounter
    ) -> tuple[T, datetime]:
        token = await self._tokens.current()
        renewals = 0
        while True:
            try:
                return await self._request_with_retries(request, read, counter, token)
            except TokenExpired as error:
                if (renewals if request.page_key is None else counter.renewals) >= _renewals(error):
                    if request.page_key is None:
                        raise _make_denied(error) from error
                    raise
                token = await self._tokens.renew(token)
                renewals += 1
                if request.page_key is not None:
                    counter.renewals += 1
                    if not self._keys_outlive_token:
                        raise

    async def _request_with_retries(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        counter: RequestCounter,
        token: Secret | None,
    ) -> tuple[T, datetime]:
        """Request until there is a valid answer, at most three times, each with a permit."""
        for attempt in range(1, ATTEMPTS + 1):
            await self._wait_for_breaker()
            try:
                return await self._send_with_fresh_permit(request, read, counter, token)
            except (Throttled, Unavailable, Unreadable, Rejected, Denied) as error:
                if isinstance(error, Rejected | Denied) and not counter.doubt:
                    raise
                if isinstance(error, Rejected) and request.page_key is not None:
                    raise  # the walk starts over once, on another connection
                if isinstance(error, Throttled):
                    await self._rate_limiter.on_throttled(request.api_id, error.quota)
                if attempt == ATTEMPTS or not self._budget.spend():
                    raise
            await asyncio.sleep(backoff(attempt, random.random()))  # noqa: S311 (jitter, no secret)
        raise AssertionError("unreachable")

    async def _send_with_fresh_permit(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        counter: RequestCounter,
        token: Secret | None,
    ) -> tuple[T, datetime]:
        """Acquire another permit each time one expired before the request was sent."""
        while True:
            try:
                return await self._send_once(request, read, counter, token)
            except PermitExpired:
                continue

    async def _send_once(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        counter: RequestCounter,
        token: Secret | None,
    ) -> tuple[T, datetime]:
        async with self._rate_limiter.acquire(request.api_id) as permit:
            self._budget.count_request()
            counter.sent += 1
            counter.lease = counter.lease or self._transport.lease()
            asked_at = datetime.now(UTC)
            try:
                reply = await self._post(request, token, permit, counter.lease)
                arrived = datetime.now(UTC)
                if counter.log is not None:
                    self._keep(counter.log, request, reply, asked_at, arrived)
                answer = read(reply)
            except CollectorError as error:
                counter.judge(error)
                self.answers[type(error).__name__] += 1
                self._breaker.record(self._clock(), away=isinstance(error, Unavailable))
                raise
            finally:
                self._breaker.release_probe()
        self.answers["ok"] += 1
        self._breaker.record(self._clock(), away=False)
        return answer, arrived

    def _keep(
        self, log: AnswerLog, request: ApiRequest, reply: ApiResponse, asked_at: datetime, arrived: datetime
    ) -> None:
        """Keep an answer. Its body is redacted already; a header that holds a part of a secret is redacted here."""
        if request.secrets:
            return
        headers = tuple(
            (name, self._transport.redact_text(value)) for name, value in kept_headers(reply.headers)
        )
        facts = (request.api_id, request.path, request.body.decode(), request.page_key, reply.status, headers)
        log.add(KeptAnswer(*facts, arrived, len(reply.body)), reply.body, asked_at)

    async def _wait_for_breaker(self) -> None:
        while (wait := self._breaker.wait(self._clock())) != 0:
            if wait is None:
                raise Unavailable(
                    f"the API has been unavailable for more than {MAX_OUTAGE:g} s; no request was sent"
                )
            await asyncio.sleep(wait)


def _renewals(error: TokenExpired) -> int:
    """Return how many renewals this refusal is worth before another cause is assumed."""
    return RENEWALS if error.code in EXPIRED else UNSAID_RENEWALS


def _make_denied(error: TokenExpired) -> Denied:
    """Convert a refusal that no new token has cured."""
    hint = _RIVAL if error.code in EXPIRED else error.hint
    return Denied(f"a new token is refused as well: {error}", code=error.code, text=error.text, hint=hint)
