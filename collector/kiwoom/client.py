"""Kiwoom as the rest of the program sees it: ask for a page, get the page or the error that it is.

Behind it, in one place, stand the turn at the pace, the token, the retries and the breaker.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Self, TypeVar

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
from collector.kiwoom.protocol import ApiRequest, ApiResponse
from collector.kiwoom.protocol.error_codes import EXPIRED
from collector.kiwoom.retry import ATTEMPTS, CircuitBreaker, RetryBudget, backoff
from collector.model import BarPage, Market, Page, Sector, Target
from collector.ratelimit.limiter import RateLimiter
from collector.ratelimit.window import PermitExpired
from collector.secret import Secret

if TYPE_CHECKING:  # aiohttp takes half a second, and commands that ask nothing know this module too
    from collector.kiwoom.connections import ConnectionLease
    from collector.kiwoom.transport import HttpTransport

T = TypeVar("T")

MAX_OUTAGE = 60.0
"""Seconds that an outage may last before the walks that wait for its end are given up."""
RENEWALS = 2
"""Tokens that may turn out to be dead before one request is given up, and the sweep with it."""
UNSAID_RENEWALS = 1
"""The same where no code says that it is the token: then a second new one would hardly help."""
_RIVAL = (
    "another program may use the same key: each new token seems to kill the one before it, so give each its own"
    " / 같은 앱키를 쓰는 다른 프로그램이 있으면 토큰이 서로 무효화됩니다. 앱키를 따로 쓰세요"
)


@dataclass
class RequestCounter:
    """One piece of work, such as a walk: counts its requests, retries included, and holds its connection."""

    sent: int = 0
    renewals: int = 0
    """Tokens that were renewed between two pages."""
    lease: "ConnectionLease | None" = None
    doubt: bool = False
    """Whether the last error came so soon after another answer on its connection that nobody may have asked for it."""

    def release(self) -> None:
        """Give the connection back: what is asked next is another walk, even of the same target."""
        if self.lease is not None:
            self.lease.release()

    def judge(self, error: CollectorError) -> None:
        """Drop the connection on which an error came; distrust all of them if nobody may have asked for it."""
        if self.lease is None:
            return
        self.lease.drop()
        self.doubt = self.lease.was_reused_soon and _may_be_unasked(error)
        if self.doubt:
            self.lease.distrust()

    def distrust(self) -> None:
        """The last answer belongs to an earlier request: what is asked next goes over a new connection."""
        if self.lease is not None:
            self.lease.distrust()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _may_be_unasked(error: CollectorError) -> bool:
    """Whether an error may be what a server out of step says, rather than its answer.

    Not: a refusal of the token or for quota, which is kept to in any case; a server that is away, or says so.
    """
    is_timeout = isinstance(error, Unavailable) and error.code == 408
    return is_timeout or isinstance(error, Unreadable | Rejected | Denied)


class KiwoomClient:
    """The API with one key. It raises ApiError (one request's affair), Denied or StoreError (everybody's).

    `name` is what the operator calls the key; `key_digest` stands for it in the database.
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
    ) -> None:
        self.name = name
        self.key_digest = key_digest(app_key)
        self._transport = transport
        self._rate_limiter = rate_limiter
        self._credentials = (app_key, secret_key)
        self._tokens = TokenStore(database, app_key, secret_key, issue=self._issue_token)
        self._breaker = CircuitBreaker(MAX_OUTAGE)
        self._budget = RetryBudget()
        self._clock = asyncio.get_running_loop().time
        self.answers: Counter[str] = Counter()
        """Requests by what came of them: `ok`, or the name of the error."""

    @property
    def requests(self) -> int:
        """Requests sent since the last `reset_retry_budget`."""
        return self._budget.requests

    def reset_retry_budget(self) -> None:
        """A new sweep begins: it has a retry budget of its own."""
        self._budget = RetryBudget()

    async def prices(
        self, target: Target, page_key: str | None = None, *, counter: RequestCounter
    ) -> tuple[Page, datetime]:
        """One page of a target, and when it arrived. The pages of a walk come over one connection, that of `counter`.

        TokenExpired: the token died between two pages and has been renewed; nobody knows whether the key
        of the next page outlives it, so the walk is to be started over.
        """
        return await self._call(
            protocol.ask_prices(target, page_key),
            lambda reply: protocol.read_prices(reply, target.exchange),
            counter,
        )

    async def sectors(self, market: Market) -> list[Sector]:
        """The sectors of a market, as the API lists them now."""
        with RequestCounter() as trace:
            answer, _ = await self._call(
                protocol.ask_sectors(market), lambda reply: protocol.read_sectors(reply, market), trace
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
        """One page of daily bars up to `newest`, and when it arrived; TokenExpired as in `prices`."""
        return await self._call(
            protocol.ask_bars(symbol, newest, adjusted=adjusted, page_key=page_key),
            lambda reply: protocol.read_bars(reply, symbol),
            counter,
        )

    async def ask_beside(self, request: ApiRequest, read: Callable[[ApiResponse], T]) -> tuple[T, datetime]:
        """One request beside a sweep: asked once, in the lane of its api-id, and when its answer arrived.

        It spends none of the sweep's retry budget, tells the circuit breaker nothing, and waits for the token that the
        sweep gets, so its failure costs the sweep nothing. A refusal for quota pauses its own lane. CollectorError
        if it fails.
        """
        token = await self._tokens.wait_for_live()
        async with self._rate_limiter.acquire(request.api_id) as turn:
            with RequestCounter() as counter:
                counter.lease = self._transport.lease()
                try:
                    reply = await self._transport.post(request, token, turn, counter.lease)
                    answer = read(reply), datetime.now(UTC)
                except CollectorError as error:
                    counter.judge(error)
                    self.answers[type(error).__name__] += 1
                    if isinstance(error, Throttled):
                        await self._rate_limiter.on_throttled(request.api_id, error.quota)
                    raise
        self.answers["ok"] += 1
        return answer

    async def token(self, *, ignore_pause: bool = False) -> Secret:
        """The live token, for whoever only wants to know that there is one; see `TokenStore.current`."""
        return await self._tokens.current(ignore_pause=ignore_pause)

    @property
    def lacks_token(self) -> bool:
        """Whether the last try to get a token with this key failed."""
        return self._tokens.is_failing

    async def _issue_token(self) -> protocol.Token:
        with RequestCounter() as trace:
            token, _ = await self._request_with_retries(
                protocol.ask_token(*self._credentials), protocol.read_token, trace, None
            )
        return token

    async def _call(
        self, request: ApiRequest, read: Callable[[ApiResponse], T], counter: RequestCounter
    ) -> tuple[T, datetime]:
        """Ask with the live token; renew a dead one, and ask again unless a walk was under way.

        A second new one that is dead as well is everybody's affair: issuing more would help nobody. (One may
        be: it was another program's, and died before we had used it.) Of a walk that is refused between two
        pages again and again, page 1 being answered, the token is not renewed any more.
        """
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
                    raise

    async def _request_with_retries(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        counter: RequestCounter,
        token: Secret | None,
    ) -> tuple[T, datetime]:
        """Ask until there is an answer worth having, at most three times, each paying the pace."""
        for attempt in range(1, ATTEMPTS + 1):
            await self._wait_for_breaker()
            try:
                return await self._send_with_fresh_permit(request, read, counter, token)
            except (Throttled, Unavailable, Unreadable, Rejected, Denied) as error:
                if isinstance(error, Rejected | Denied) and not counter.doubt:
                    raise
                if isinstance(error, Rejected) and request.page_key is not None:
                    raise  # the walk begins anew once, over another connection
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
        """Wait for another turn as often as one was over before anything went out."""
        while True:
            with suppress(PermitExpired):
                return await self._send_once(request, read, counter, token)

    async def _send_once(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        counter: RequestCounter,
        token: Secret | None,
    ) -> tuple[T, datetime]:
        async with self._rate_limiter.acquire(request.api_id) as turn:
            self._budget.count_request()
            counter.sent += 1
            counter.lease = counter.lease or self._transport.lease()
            try:
                reply = await self._transport.post(request, token, turn, counter.lease)
                arrived = datetime.now(UTC)
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

    async def _wait_for_breaker(self) -> None:
        while (wait := self._breaker.wait(self._clock())) != 0:
            if wait is None:
                raise Unavailable(f"the API has been away for more than {MAX_OUTAGE:g} s; not asked")
            await asyncio.sleep(wait)


def _renewals(error: TokenExpired) -> int:
    """How often a token that is refused like this is renewed before the refusal is taken for another thing."""
    return RENEWALS if error.code in EXPIRED else UNSAID_RENEWALS


def _make_denied(error: TokenExpired) -> Denied:
    """A refusal that no new token has cured."""
    hint = _RIVAL if error.code in EXPIRED else error.hint
    return Denied(f"a new token is refused as well: {error}", code=error.code, text=error.text, hint=hint)
