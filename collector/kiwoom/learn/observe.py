"""Sends the requests of `collector check --learn`: some hundred, all through the rate limiter of the key.

Two trials touch a limit on purpose. The trial of the quota sends two calls at the configured rate at the same time; if
the host counts them together, it refuses one of them. The trial of the token issues a second one. A third one, which
`provokes` asks for, exceeds the quota of one call (`provoke`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from collector.errors import ApiError, Rejected, Throttled, TokenExpired, Unavailable, Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.api_facts import SCOPE
from collector.kiwoom.client import KiwoomClient, ProbeAnswer, RequestCounter
from collector.kiwoom.learn.list_findings import DISPUTED, NXT, WHOLE
from collector.kiwoom.learn.observations import LagTrial, Observations, TokenTrial
from collector.kiwoom.learn.provoke import Provoker
from collector.kiwoom.learn.quota_findings import find_scope, total_in
from collector.kiwoom.protocol import ApiRequest, ApiResponse, IndexPage
from collector.kiwoom.protocol.error_codes import KEY_WIDE
from collector.model import Exchange, Market, Page, Target
from collector.secret import Secret

T = TypeVar("T")

KEY_AGE = 61.0
"""Seconds until a next-key is used: no public source has seen one outlive a minute."""
LAG_WATCHED = 15.0
"""Seconds that ka20003 is watched; sources report a lag of up to ten."""
LONGEST = 115.0
"""Seconds after which the run ends with what it has."""
ATTEMPTS = 3
UNLIMITED_RATE = 5
"""Requests of each call sent at once if the configuration sets no limit: the documented rate of the real host."""
MOST_PAGES = 60
AGED = Target.of("KOSPI", "004", "KRX")
"""The list of the old next-key: six pages, and no other request, because a second walk might end the key."""
_ROUNDS = 2
_LAG_EVERY = 1.0


async def observe(
    kiwoom: KiwoomClient,
    rate: int,
    *,
    key_age: float = KEY_AGE,
    lag_watched: float = LAG_WATCHED,
    longest: float = LONGEST,
    provokes: bool = False,
) -> Observations:
    """Ask everything. `rate` is the configured number of requests a second, 0 without a limit.

    The run ends after `longest` seconds with what it has. Denied and StoreError end it without a result.
    """
    observer = Observer(kiwoom, Observations(rate), await kiwoom.token())
    with suppress(TimeoutError):
        async with asyncio.timeout(longest):
            await observer.run(key_age, lag_watched, provokes=provokes)
    return observer.seen


class Observer:
    """One run. Each answer goes to `seen` as soon as it is there."""

    def __init__(self, kiwoom: KiwoomClient, seen: Observations, token: Secret) -> None:
        self._kiwoom = kiwoom
        self._token = token
        self._clock = asyncio.get_running_loop().time
        self.seen = seen

    async def run(self, key_age: float, lag_watched: float, *, provokes: bool) -> None:
        await self._try_connection()
        old_key, taken = await self._first_key(AGED), self._clock()
        await self.try_quota()
        await asyncio.gather(self._walk_all(), self._ask_witnesses(), self._try_lag(lag_watched))
        if provokes:
            await self.provoke()
        await asyncio.sleep(taken + key_age - self._clock())
        await self._try_key_age(old_key, self._clock() - taken)
        await self._try_token()

    async def _ask(
        self,
        request: ApiRequest,
        read: Callable[[ApiResponse], T],
        token: Secret | None = None,
        counter: RequestCounter | None = None,
    ) -> ProbeAnswer[T]:
        """Ask again after a refusal for quota or a failure of the network; ApiError if that does not help."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._kiwoom.probe(request, read, token or self._token, counter)
            except Throttled as error:
                self.seen.refusals.append(error)
                if attempt == ATTEMPTS:
                    raise
            except (Unavailable, Unreadable):
                if attempt == ATTEMPTS:
                    raise
            else:
                return answer
        raise AssertionError("unreachable")

    async def _page(
        self,
        target: Target,
        key: str | None = None,
        token: Secret | None = None,
        counter: RequestCounter | None = None,
    ) -> Page:
        answer = await self._ask(
            protocol.ask_prices(target, key),
            lambda reply: protocol.read_prices(reply, target.exchange),
            token,
            counter,
        )
        if key is not None and counter is not None:
            self.seen.page_seconds.append(answer.seconds)
        return answer.value

    async def _first_key(self, target: Target) -> str | None:
        with suppress(ApiError):
            return (await self._page(target)).next_key
        return None

    async def _try_connection(self) -> None:
        """Ask four times on one connection: the first request pays for its opening."""
        with RequestCounter() as counter, suppress(ApiError):
            for index in range(4):
                answer = await self._ask(
                    protocol.ask_sectors(Market.KOSPI),
                    lambda reply: protocol.read_sectors(reply, Market.KOSPI),
                    counter=counter,
                )
                if index == 0:
                    self.seen.first_seconds = answer.seconds
                    self.seen.headers, self.seen.arrived = answer.headers, answer.arrived
                else:
                    self.seen.warm_seconds.append(answer.seconds)

    async def try_quota(self) -> None:
        """Send ka20002 and ka20003 at the full rate at the same time; once more at a rate that a refusal named."""
        for _ in range(_ROUNDS):
            rate = await self._rate()
            count = 2 * rate if self.seen.configured else rate
            refusals = [
                result
                for result in await asyncio.gather(
                    *(self._probe_prices() for _ in range(count)),
                    *(self._probe_counts(index) for index in range(count)),
                    return_exceptions=True,
                )
                if isinstance(result, Throttled)
            ]
            self.seen.rounds += 1
            self.seen.rounds_refused += bool(refusals)
            self.seen.asked_rate = rate
            self.seen.refusals += refusals
            if any(error.code in KEY_WIDE for error in refusals):
                await self._kiwoom.share_lanes(total_in(refusals))
                break
            if not refusals:
                break
        self.seen.granted = await self._read_granted_quota()

    async def _read_granted_quota(self) -> int | None:
        """The rate that refusals named, for ka20002 alone."""
        own = [error for error in self.seen.refusals if error.code not in KEY_WIDE]
        named = [error.quota for error in own if error.quota]
        stored = (
            (await self._kiwoom.granted_quotas()).get("ka20002") if own or not self.seen.refusals else None
        )
        return min([*named, *([stored] if stored else [])], default=None)

    async def _rate(self) -> int:
        """The rate in force: the configured one, or a lower one that the server named."""
        granted = await self._read_granted_quota()
        configured = self.seen.configured or UNLIMITED_RATE
        return min(configured, granted) if granted else configured

    async def provoke(self) -> None:
        """Exceed the quota of a call that no sweep needs, unless the host may count all calls together."""
        if find_scope(self.seen).facts.get(SCOPE) == "call":
            provoker = Provoker(self._kiwoom, self._token, await self._rate())
            self.seen.refusal = provoker.trial
            await provoker.run()

    async def _probe_prices(self) -> None:
        target = DISPUTED[0]
        await self._kiwoom.probe(
            protocol.ask_prices(target),
            lambda reply: protocol.read_prices(reply, target.exchange),
            self._token,
        )

    async def _probe_counts(self, index: int) -> None:
        board = list(WHOLE)[index % 2]
        answer = await self._kiwoom.probe(protocol.ask_indices(board), protocol.read_indices, self._token)
        self.seen.counts[board] = answer.value

    async def _walk_all(self) -> None:
        """Walk both boards and the disputed sectors, NXT, and the first pages of a size and of CONSOLIDATED."""
        for target in (*DISPUTED, *WHOLE.values(), NXT):
            await self._walk(target, MOST_PAGES)
        await self._walk(Target.of("KOSPI", "002", "KRX"), 1)
        await self._walk(Target.of("KOSPI", "001", "CONSOLIDATED"), 2)

    async def _walk(self, target: Target, most: int) -> None:
        pages: list[Page] = []
        try:
            with RequestCounter() as counter:
                while len(pages) < most and (not pages or pages[-1].next_key is not None):
                    key = pages[-1].next_key if pages else None
                    pages.append(await self._page(target, key, counter=counter))
        except (Rejected, Unreadable) as error:
            if not pages and target.exchange is not Exchange.KRX:
                self.seen.refused_exchanges[target.exchange] = str(error)
        except ApiError:
            pass
        if pages:
            self.seen.walks[target] = pages

    async def _ask_witnesses(self) -> None:
        for board in WHOLE:
            with suppress(ApiError):
                answer = await self._ask(protocol.ask_listings(board), protocol.read_listings)
                self.seen.listings[board] = answer.value
        with suppress(ApiError):
            days = (await self._ask(protocol.ask_index_days(Market.KOSPI), protocol.read_index_days)).value
            self.seen.session = days.session
        with suppress(ApiError):
            await self._ask_compressed()

    async def _ask_compressed(self) -> None:
        request = protocol.ask_sectors(Market.KOSDAQ)
        compressed = ApiRequest(request.api_id, request.path, request.body, accepts_gzip=True)
        answer = await self._ask(compressed, lambda reply: protocol.read_sectors(reply, Market.KOSDAQ))
        self.seen.gzip = any(name.lower() == "content-encoding" for name, _ in answer.headers)

    async def _try_lag(self, watched: float) -> None:
        """See when ka20003 shows the volume that ka20002 has just shown."""
        trial, first = LagTrial(), None
        with suppress(ApiError):
            target = DISPUTED[0]
            shown = sum((await self._page(target)).rows.volume) // 1_000
            begun = self._clock()
            while self._clock() - begun <= watched:
                counted = _volume(await self._counts(), target.sector)
                first = counted if first is None else first
                trial.has_moved = trial.has_moved or counted != first
                if counted >= shown and trial.seconds is None:
                    trial.seconds = self._clock() - begun
                if trial.seconds is not None and trial.has_moved:
                    break
                await asyncio.sleep(_LAG_EVERY)
            self.seen.lag = trial

    async def _counts(self) -> IndexPage:
        page = (await self._ask(protocol.ask_indices(Market.KOSPI), protocol.read_indices)).value
        self.seen.counts[Market.KOSPI] = page
        return page

    async def _try_key_age(self, key: str | None, age: float) -> None:
        if key is None:
            return
        self.seen.key_age = age
        with suppress(ApiError):
            self.seen.key_lives = await self._is_accepted(AGED, key, self._token)

    async def _try_token(self) -> None:
        """Issue a second token in the middle of a walk, and try the old one and the next-key."""
        target = WHOLE[Market.KOSDAQ]
        key = await self._first_key(target)
        newer, asked_at = await self._kiwoom.reissue_token(self._token), datetime.now(UTC)
        if (ends := self._kiwoom.token_expires_at) is not None:
            self.seen.token_life = ends - asked_at
        trial = self.seen.token = TokenTrial(is_repeated=newer == self._token)
        if trial.is_repeated:
            return
        with suppress(ApiError):
            if key is not None:
                trial.key_outlives = await self._is_accepted(target, key, newer)
        try:
            await self._ask(
                protocol.ask_sectors(Market.KOSPI), lambda reply: protocol.read_sectors(reply, Market.KOSPI)
            )
            trial.old_lives = True
        except TokenExpired:
            trial.old_lives = False
        except ApiError:
            pass

    async def _is_accepted(self, target: Target, key: str, token: Secret) -> bool:
        """Whether a next-key brings a page; ApiError if something else than the key is refused."""
        try:
            await self._page(target, key, token)
        except (Rejected, TokenExpired):
            return False
        return True


def _volume(page: IndexPage, sector: str) -> int:
    return next((level.volume // 1_000 for level in page.levels if level.sector == sector), 0)
