"""The quota of a key, kept in PostgreSQL, so that every program that uses the key takes turns.

`pace` has the arithmetic, `places` the places: booked a moment ahead by whoever comes next, given back with the
moment from which the server has certainly forgotten the request.

Who cannot wait books a little ahead, and leaves word when it found no place free. Who can
(`LowPriorityRateLimiter`) takes
only what is free at this moment, and nothing as long as such word is fresh: so it yields within one request.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol

from collector.db.database import Database
from collector.errors import StoreError
from collector.ratelimit.permits import RENEWED_EVERY, Permit, PermitStore, now
from collector.ratelimit.rtt import MinRttEstimator
from collector.ratelimit.window import COOLDOWN, UNANSWERED_MARGIN, WINDOW, PermitExpired, free_after

_DATA_CALLS, _SWEEPS = "ka", "ka20002"
_POLL = 0.05
_AHEAD = (0.03, 0.09)
"""Seconds before its start at which a place is booked: enough for an answer of the database, and little for
whoever dies to take along. Each time another number, so that who is nearer to the database does not always win."""
_LONGEST_WAIT = 0.25
"""Seconds after which a waiter looks again whatever it was told."""
_GOODBYE = 2.0


class PermitInUse:
    """One request's time: its places in the window, when it left, and when its answer was in."""

    def __init__(self, rtt: MinRttEstimator, permits: Sequence[Permit] = ()) -> None:
        self._rtt = rtt
        self._permits = permits
        self._sent_at: float | None = None
        self._answered_at: float | None = None

    def before_send(self) -> None:
        """The request goes out with the next instruction; Missed if it may not any more.

        Nothing but this stands between a program that was frozen, or waited for a connection, and a place that
        has been somebody else's since.
        """
        if any(permit.is_expired() for permit in self._permits):
            raise PermitExpired
        self._sent_at = now()

    def on_response(self) -> None:
        """The answer has just come in; without this call the request counts until its end."""
        self._answered_at = now()
        if self._sent_at is not None:
            self._rtt.add_sample(self._answered_at - self._sent_at)

    def release_delay(self) -> timedelta | None:
        """How long from now until its places are free; None if nothing went out."""
        if self._sent_at is None:
            return None
        if self._answered_at is None:
            return WINDOW + UNANSWERED_MARGIN
        return free_after(now() - self._answered_at, self._rtt.lower_bound())


class RateLimiter(Protocol):
    """Who may ask, and when."""

    @asynccontextmanager
    def acquire(self, api_id: str) -> AsyncIterator[PermitInUse]:
        """Wait for a place, hold it while the request is under way, give it back."""

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        """The server refused for quota: hold everybody, and keep to what it says it grants."""


class Unlimited:
    """No quota: for a server of one's own that keeps none."""

    @asynccontextmanager
    async def acquire(self, api_id: str) -> AsyncIterator[PermitInUse]:
        yield PermitInUse(MinRttEstimator())

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        await asyncio.sleep(COOLDOWN.total_seconds())


class SharedRateLimiter:
    """The quota of one app key, shared with every other program through the database.

    `key` is a digest of the app key; `per_second` is the ceiling. A lower rate that the server names (유량=N) is
    kept to and remembered, and tried again upwards after a while.
    """

    def __init__(self, database: Database, key: str, *, per_second: int) -> None:
        self._database = database
        self._permits = PermitStore(key, per_second)
        self._api_states: defaultdict[str, _ApiState] = defaultdict(_ApiState)

    @asynccontextmanager
    async def acquire(self, api_id: str) -> AsyncIterator[PermitInUse]:
        async with self.use([await self._acquire(api_id)]) as permit_in_use:
            yield permit_in_use

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        async with self._database.connection("holding the pace") as connection:
            await self._permits.pause(connection, api_id, granted)

    async def granted_quotas(self) -> dict[str, int]:
        """What the server has said it grants, by api-id; empty where it never refused."""
        async with self._database.connection("reading the quota") as connection:
            return await self._permits.granted_quotas(connection)

    async def try_acquire_all(self, api_ids: Sequence[str]) -> tuple[float, list[Permit]]:
        """A place in every one of these lanes if each has one to spare now, else after how many seconds to ask."""
        async with self._database.connection("taking a place") as connection:
            return await self._permits.try_acquire_all(connection, api_ids)

    @asynccontextmanager
    async def use(self, permits: Sequence[Permit]) -> AsyncIterator[PermitInUse]:
        """A request that takes these places, the first of which is in its own lane."""
        rtt = self._api_states[permits[0].api_id].rtt
        rtt.prior = permits[0].round_trip
        permit_in_use = PermitInUse(rtt, permits)
        try:
            async with background(self._keep_renewing(permits)):
                yield permit_in_use
        finally:
            await self.release(permits, permit_in_use)

    async def release(self, permits: Sequence[Permit], permit_in_use: PermitInUse | None = None) -> None:
        """Also when cancelled, else they would stay booked for a while; without a turn, they were not used.

        A failure is left to the next booking to report: a place comes free by itself, only later.
        """
        with suppress(StoreError):
            async with self._database.connection("giving back a place", timeout=_GOODBYE) as connection:
                for permit in permits:
                    after = permit_in_use.release_delay() if permit_in_use else None
                    free_at = None if after is None else now() + after.total_seconds()
                    await self._permits.release(connection, permit, free_at)
                if permit_in_use and (
                    estimate := self._api_states[permits[0].api_id].rtt.shareable_estimate()
                ):
                    await self._permits.save_rtt(connection, permits[0].api_id, estimate)
        for permit in permits:
            self._api_states[permit.api_id].permit_released.set()

    async def _keep_renewing(self, permits: Sequence[Permit]) -> None:
        """Have them stay ours while a request is under way that takes long."""
        with suppress(StoreError):
            while True:
                await asyncio.sleep(RENEWED_EVERY)
                async with self._database.connection("keeping a place") as connection:
                    for permit in permits:
                        await self._permits.renew(connection, permit)

    async def _acquire(self, api_id: str) -> Permit:
        """A place whose start has come."""
        permit = await self._reserve(api_id)
        try:
            await asyncio.sleep(permit.starts_local - now())
        except BaseException:
            await self.release([permit])
            raise
        return permit

    async def _reserve(self, api_id: str) -> Permit:
        """Book the place that comes free first, a little before it does.

        One waiter a program asks, in order of arrival.
        """
        state = self._api_states[api_id]
        async with state.first_in_line:
            while True:
                state.permit_released.clear()
                ahead = random.uniform(*_AHEAD)  # noqa: S311 - a lot, no secret
                async with self._database.connection("booking a request") as connection:
                    reservation = await self._permits.reserve(connection, api_id, timedelta(seconds=ahead))
                if isinstance(reservation, Permit):
                    return reservation
                if reservation is None:
                    await state.wait_for_release()
                else:
                    await asyncio.sleep(min(reservation - ahead - now(), _LONGEST_WAIT))


class LowPriorityRateLimiter:
    """The same quota for whoever can wait: a backfill beside a daemon.

    Whether the server counts each api-id for itself or the key as a whole, sources disagree. So a request
    takes a place in its own lane and one in that of the sweeps, and both readings are kept to. Tokens are
    asked for as everybody does: a sweep may be waiting for one.
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
        permits = await self._acquire_all(list(dict.fromkeys((api_id, _SWEEPS))))
        async with self._shared.use(permits) as permit_in_use:
            yield permit_in_use

    async def on_throttled(self, api_id: str, granted: int | None) -> None:
        await self._shared.on_throttled(api_id, granted)

    async def _acquire_all(self, api_ids: Sequence[str]) -> list[Permit]:
        """A place in each lane, as soon as all of them have one that nobody else waits for."""
        async with self._first_in_line:
            while True:
                wait, permits = await self._shared.try_acquire_all(api_ids)
                if permits:
                    return sorted(permits, key=lambda permit: api_ids.index(permit.api_id))
                await asyncio.sleep(min(max(wait, 0.001), _LONGEST_WAIT))


class _ApiState:
    """What one program keeps of one api-id."""

    def __init__(self) -> None:
        self.first_in_line = asyncio.Lock()
        self.permit_released = asyncio.Event()
        self.rtt = MinRttEstimator()

    async def wait_for_release(self) -> None:
        """Until a place of this program is back, or soon, since another program's may be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self.permit_released.wait()


@asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have something done for as long as the block runs."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
