"""Limits the request rate of a key across all programs, through PostgreSQL.

`window` has the arithmetic, `permits` the table. A permit is reserved a moment ahead, and released with the
time from which the server has certainly forgotten the request. See
docs/decisions/0004-the-pace-lives-in-the-database.md.

Normal callers reserve slightly ahead and set a flag if nothing is free. Background callers
(`LowPriorityRateLimiter`) take only free permits and back off while the flag is set, so they yield within one
request.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Literal, Protocol

from collector.db.database import Database
from collector.db.pool import Connection
from collector.errors import StoreError
from collector.ratelimit.caution import INITIAL, is_trial, time_after_count
from collector.ratelimit.permits import RENEWED_EVERY, Permit, PermitStore, now
from collector.ratelimit.rtt import MinRttEstimator
from collector.ratelimit.window import COOLDOWN, UNANSWERED_MARGIN, WINDOW, PermitExpired, free_after

QuotaScope = Literal["call", "key"]
"""Whether the server counts each call of the API by itself, or all calls of a key together."""

_DATA_CALLS, _SWEEPS = "ka", "ka20002"
_POLL = 0.05
"""Seconds between two queries if all permits are taken: another program may release one without notice."""
_AHEAD = (0.03, 0.09)
"""Seconds between a reservation and its start: enough for an answer of the database, and short enough that a
dying program wastes little of the quota. The time is random, so the program nearest to the database does not
always win. Measured in decision 0004."""
_LONGEST_WAIT = 0.25
"""Longest sleep in seconds of a waiter between two queries, at any estimate."""
_RELEASE_TIMEOUT = 2.0
"""Seconds for a release, also at shutdown; a lost release expires by itself after `RESERVATION_TTL`."""
_REPORTED_TRIALS = 2
"""Trials of the caution that a program collects before it reports them: each report is one more statement."""


class PermitInUse:
    """A permit in use by one request: its reservations, its send time, and the arrival time of its answer."""

    def __init__(self, rtt: MinRttEstimator, permits: Sequence[Permit] = ()) -> None:
        self._rtt = rtt
        self._permits = permits
        self._caution = max((permit.caution for permit in permits), default=INITIAL)
        self._sent_at: float | None = None
        self._answered_at: float | None = None
        self._is_complete = self._is_delayed = False

    def before_send(self) -> None:
        """Mark the request as sent; PermitExpired if it must not be sent any more.

        This is the last check before sending: a suspended process must not use a permit that has expired and
        been re-issued.
        """
        if any(permit.is_expired() for permit in self._permits):
            raise PermitExpired
        self._sent_at = now()

    def on_response(self, *, delayed: bool = False) -> None:
        """Mark the arrival of the answer; without this call the request counts until its end.

        `delayed`: the request may have reached the server later than its sending suggests. Then all that varies in
        its round trip is taken for its way there.
        """
        self._answered_at, self._is_delayed = now(), delayed
        if delayed:
            self._caution = max(self._caution, INITIAL)

    def complete(self) -> None:
        """Mark the request as answered without an error: only such a round trip is a sample, if nothing delayed it."""
        self._is_complete = True
        if self._sent_at is not None and self._answered_at is not None and not self._is_delayed:
            self._rtt.add_sample(self._answered_at - self._sent_at)

    def release_delay(self) -> timedelta | None:
        """Return the time from now until the permits are free; None if nothing was sent."""
        if self._sent_at is None:
            return None
        if self._answered_at is None:
            return WINDOW + UNANSWERED_MARGIN
        round_trip, shortest = self._answered_at - self._sent_at, self._rtt.lower_bound(self._caution)
        return free_after(now() - self._answered_at, time_after_count(round_trip, shortest, self._caution))

    def is_trial(self) -> bool:
        """Return whether the request was not refused and says something about the caution."""
        if not self._is_complete or self._sent_at is None or self._answered_at is None:
            return False
        round_trip, shortest = self._answered_at - self._sent_at, self._rtt.lower_bound(self._caution)
        return is_trial(round_trip, shortest, self._caution)


class RateLimiter(Protocol):
    """Grants permission for requests."""

    def acquire(self, api_id: str) -> AbstractAsyncContextManager[PermitInUse]:
        """Wait for a permit, hold it during the request, release it."""

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        """Pause all callers after a refusal for quota, and keep to the rate granted by the server."""

    async def granted_quotas(self) -> dict[str, int]:
        """Return the rates granted by the server, by api-id; empty if it never refused."""

    def share_lanes(self) -> None:
        """Count all data calls in one lane from now on."""


class Unlimited:
    """Grants every request at once: for a private server without a quota."""

    def acquire(self, api_id: str) -> AbstractAsyncContextManager[PermitInUse]:
        return nullcontext(PermitInUse(MinRttEstimator()))

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        await asyncio.sleep(COOLDOWN.total_seconds())

    async def granted_quotas(self) -> dict[str, int]:
        return {}

    def share_lanes(self) -> None:
        pass


class SharedRateLimiter:
    """The rate limiter of one app key, shared with every other program through the database.

    `key` is a digest of the app key; `per_second` is the ceiling. A lower rate named by the server (유량=N) is
    obeyed and stored, and a higher one is tried again after a while. `scope` says whether the server counts each
    call by itself or the key as a whole; None: not known, and each call is counted by itself.
    """

    def __init__(
        self, database: Database, key: str, *, per_second: int, scope: QuotaScope | None = None
    ) -> None:
        self.scope = scope
        self._database = database
        self._permits = PermitStore(key, per_second)
        self._api_states: defaultdict[str, _ApiState] = defaultdict(_ApiState)

    @asynccontextmanager
    async def acquire(self, api_id: str) -> AsyncIterator[PermitInUse]:
        async with self.use([await self._acquire(self._lane(api_id))]) as permit_in_use:
            yield permit_in_use

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        async with self._database.connection("holding the pace") as connection:
            await self._permits.pause(connection, self._lane(api_id), granted)

    def share_lanes(self) -> None:
        self.scope = "key"

    def lanes(self, api_id: str) -> list[str]:
        """The lanes in which a background request counts: its own and that of the sweeps, unless more is known."""
        return list(dict.fromkeys((self._lane(api_id), *(() if self.scope == "call" else (_SWEEPS,)))))

    def _lane(self, api_id: str) -> str:
        return _SWEEPS if self.scope == "key" and api_id.startswith(_DATA_CALLS) else api_id

    async def granted_quotas(self) -> dict[str, int]:
        """Return the rates granted by the server, by api-id; empty if it never refused."""
        async with self._database.connection("reading the quota") as connection:
            return await self._permits.granted_quotas(connection)

    async def try_acquire_all(self, api_ids: Sequence[str]) -> tuple[float, list[Permit]]:
        """Take a permit of each api-id if all are free now, else return the seconds until the next attempt."""
        async with self._database.connection("taking a place") as connection:
            return await self._permits.try_acquire_all(connection, api_ids)

    @asynccontextmanager
    async def use(self, permits: Sequence[Permit]) -> AsyncIterator[PermitInUse]:
        """Use these permits for a request; the first one belongs to the request's own api-id."""
        rtt = self._api_states[permits[0].api_id].rtt
        rtt.prior = permits[0].round_trip
        permit_in_use = PermitInUse(rtt, permits)
        try:
            async with background(self._keep_renewing(permits)):
                yield permit_in_use
            permit_in_use.complete()
        finally:
            await self.release(permits, permit_in_use)

    async def release(self, permits: Sequence[Permit], permit_in_use: PermitInUse | None = None) -> None:
        """Release permits, also after a cancellation, else they would stay reserved for a while.

        Without `permit_in_use` they were not used. A failure is ignored, and the next reservation reports it:
        a permit comes free by itself, only later.
        """
        with suppress(StoreError):
            async with self._database.connection(
                "giving back a place", timeout=_RELEASE_TIMEOUT
            ) as connection:
                for permit in permits:
                    after = permit_in_use.release_delay() if permit_in_use else None
                    free_at = None if after is None else now() + after.total_seconds()
                    await self._permits.release(connection, permit, free_at)
                if permit_in_use is not None:
                    await self._share_findings(connection, permits[0].api_id, permit_in_use)
        for permit in permits:
            self._api_states[permit.api_id].permit_released.set()

    async def _share_findings(self, connection: Connection, api_id: str, permit_in_use: PermitInUse) -> None:
        """Tell the other programs the shortest round trip, and that a caution was tested."""
        state = self._api_states[api_id]
        if estimate := state.rtt.shareable_estimate():
            await self._permits.save_rtt(connection, api_id, estimate)
        state.trials += permit_in_use.is_trial()
        if state.trials >= _REPORTED_TRIALS:
            trials, state.trials = state.trials, 0
            await self._permits.count_trials(connection, api_id, trials)

    async def _keep_renewing(self, permits: Sequence[Permit]) -> None:
        """Renew the permits during a long request."""
        with suppress(StoreError):
            while True:
                await asyncio.sleep(RENEWED_EVERY)
                async with self._database.connection("keeping a place") as connection:
                    for permit in permits:
                        await self._permits.renew(connection, permit)

    async def _acquire(self, api_id: str) -> Permit:
        """Reserve a permit and wait for its start."""
        permit = await self._reserve(api_id)
        try:
            await asyncio.sleep(permit.starts_local - now())
        except BaseException:
            await self.release([permit])
            raise
        return permit

    async def _reserve(self, api_id: str) -> Permit:
        """Reserve the permit that comes free first, slightly before it does.

        One waiter of a program queries at a time, in order of arrival.
        """
        state = self._api_states[api_id]
        async with state.first_in_line:
            while True:
                state.permit_released.clear()
                ahead = random.uniform(*_AHEAD)  # noqa: S311 - a random delay, no secret
                async with self._database.connection("booking a request") as connection:
                    reservation = await self._permits.reserve(connection, api_id, timedelta(seconds=ahead))
                if isinstance(reservation, Permit):
                    return reservation
                if reservation is None:
                    await state.wait_for_release()
                else:
                    await asyncio.sleep(min(reservation - ahead - now(), _LONGEST_WAIT))


class LowPriorityRateLimiter:
    """The same quota at low priority: a backfill beside a daemon.

    Sources disagree whether the server counts each api-id separately or the key as a whole. As long as that is not
    known, a request takes a permit of its own api-id and one of the sweeps' api-id, which obeys both rules. Token
    calls have normal priority: a sweep may be waiting for the token.
    """

    def __init__(self, shared: SharedRateLimiter) -> None:
        self._shared = shared
        self._first_in_line = asyncio.Lock()

    @asynccontextmanager
    async def acquire(self, api_id: str) -> AsyncIterator[PermitInUse]:
        if not api_id.startswith(_DATA_CALLS):
            async with self._shared.acquire(api_id) as permit_in_use:
                yield permit_in_use
            return
        permits = await self._acquire_all(self._shared.lanes(api_id))
        async with self._shared.use(permits) as permit_in_use:
            yield permit_in_use

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        await self._shared.on_throttled(api_id, granted)

    async def granted_quotas(self) -> dict[str, int]:
        return await self._shared.granted_quotas()

    def share_lanes(self) -> None:
        self._shared.share_lanes()

    async def _acquire_all(self, api_ids: Sequence[str]) -> list[Permit]:
        """Take a permit of each api-id, as soon as all have one without a waiting normal caller."""
        async with self._first_in_line:
            while True:
                wait, permits = await self._shared.try_acquire_all(api_ids)
                if permits:
                    return sorted(permits, key=lambda permit: api_ids.index(permit.api_id))
                await asyncio.sleep(min(max(wait, 0.001), _LONGEST_WAIT))


class _ApiState:
    """The state of one api-id in one program."""

    def __init__(self) -> None:
        self.first_in_line = asyncio.Lock()
        self.permit_released = asyncio.Event()
        self.rtt = MinRttEstimator()
        self.trials = 0

    async def wait_for_release(self) -> None:
        """Wait until a permit of this program is released, or for a short time, since another program may
        release one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self.permit_released.wait()


@asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine for as long as the block runs."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
