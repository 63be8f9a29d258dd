"""The quota of a key, kept in PostgreSQL, so that every program that uses the key takes turns.

`pace` has the arithmetic, `places` the places: booked a moment ahead by whoever comes next, given back with the
moment from which the server has certainly forgotten the request.

Who cannot wait books a little ahead, and leaves word when it found no place free. Who can (`PatientQuota`) takes
only what is free at this moment, and nothing as long as such word is fresh: so it yields within one request.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol

from collector import pace
from collector.errors import StoreError
from collector.places import KEPT_EVERY, Place, Places, now
from collector.postgres.database import Database

_DATA_CALLS, _SWEEPS = "ka", "ka20002"
_POLL = 0.05
_AHEAD = (0.03, 0.09)
"""Seconds before its start at which a place is booked: enough for an answer of the database, and little for
whoever dies to take along. Each time another number, so that who is nearer to the database does not always win."""
_LONGEST_WAIT = 0.25
"""Seconds after which a waiter looks again whatever it was told."""
_GOODBYE = 2.0


class Turn:
    """One request's time: its places in the window, when it left, and when its answer was in."""

    def __init__(self, round_trips: pace.RoundTrips, places: Sequence[Place] = ()) -> None:
        self._round_trips = round_trips
        self._places = places
        self._left: float | None = None
        self._answered: float | None = None

    def leave(self) -> None:
        """The request goes out with the next instruction; Missed if it may not any more.

        Nothing but this stands between a program that was frozen, or waited for a connection, and a place that
        has been somebody else's since.
        """
        if any(place.is_void() for place in self._places):
            raise pace.Missed
        self._left = now()

    def answered(self) -> None:
        """The answer has just come in; without this call the request counts until its end."""
        self._answered = now()
        if self._left is not None:
            self._round_trips.note(self._answered - self._left)

    def free_after(self) -> timedelta | None:
        """How long from now until its places are free; None if nothing went out."""
        if self._left is None:
            return None
        if self._answered is None:
            return pace.WINDOW + pace.ASTRAY
        return pace.free_after(now() - self._answered, self._round_trips.certain())


class Quota(Protocol):
    """Who may ask, and when."""

    @asynccontextmanager
    def turn(self, api_id: str) -> AsyncIterator[Turn]:
        """Wait for a place, hold it while the request is under way, give it back."""

    async def refused(self, api_id: str, granted: int | None) -> None:
        """The server refused for quota: hold everybody, and keep to what it says it grants."""


class Unlimited:
    """No quota: for a server of one's own that keeps none."""

    @asynccontextmanager
    async def turn(self, api_id: str) -> AsyncIterator[Turn]:
        yield Turn(pace.RoundTrips())

    async def refused(self, api_id: str, granted: int | None) -> None:
        await asyncio.sleep(pace.HOLD.total_seconds())


class SharedQuota:
    """The quota of one app key, shared with every other program through the database.

    `key` is a digest of the app key; `per_second` is the ceiling. A lower rate that the server names (유량=N) is
    kept to and remembered, and tried again upwards after a while.
    """

    def __init__(self, database: Database, key: str, *, per_second: int) -> None:
        self._database = database
        self._places = Places(key, per_second)
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)

    @asynccontextmanager
    async def turn(self, api_id: str) -> AsyncIterator[Turn]:
        async with self.used([await self._come(api_id)]) as turn:
            yield turn

    async def refused(self, api_id: str, granted: int | None) -> None:
        async with self._database.session("holding the pace") as connection:
            await self._places.hold(connection, api_id, granted)

    async def granted(self) -> dict[str, int]:
        """What the server has said it grants, by api-id; empty where it never refused."""
        async with self._database.session("reading the quota") as connection:
            return await self._places.granted(connection)

    async def take(self, api_ids: Sequence[str]) -> tuple[float, list[Place]]:
        """A place in every one of these lanes if each has one to spare now, else after how many seconds to ask."""
        async with self._database.session("taking a place") as connection:
            return await self._places.take(connection, api_ids)

    @asynccontextmanager
    async def used(self, places: Sequence[Place]) -> AsyncIterator[Turn]:
        """A request that takes these places, the first of which is in its own lane."""
        round_trips = self._lanes[places[0].api_id].round_trips
        round_trips.prior = places[0].round_trip
        turn = Turn(round_trips, places)
        try:
            async with _beside(self._keep(places)):
                yield turn
        finally:
            await self.give_back(places, turn)

    async def give_back(self, places: Sequence[Place], turn: Turn | None = None) -> None:
        """Also when cancelled, else they would stay booked for a while; without a turn, they were not used.

        A failure is left to the next booking to report: a place comes free by itself, only later.
        """
        with suppress(StoreError):
            async with self._database.session("giving back a place", timeout=_GOODBYE) as connection:
                for place in places:
                    after = turn.free_after() if turn else None
                    free_at = None if after is None else now() + after.total_seconds()
                    await self._places.give_back(connection, place, free_at)
                if turn and (found := self._lanes[places[0].api_id].round_trips.finding()):
                    await self._places.found(connection, places[0].api_id, found)
        for place in places:
            self._lanes[place.api_id].given_back.set()

    async def _keep(self, places: Sequence[Place]) -> None:
        """Have them stay ours while a request is under way that takes long."""
        with suppress(StoreError):
            while True:
                await asyncio.sleep(KEPT_EVERY)
                async with self._database.session("keeping a place") as connection:
                    for place in places:
                        await self._places.keep(connection, place)

    async def _come(self, api_id: str) -> Place:
        """A place whose start has come."""
        place = await self._book(api_id)
        try:
            await asyncio.sleep(place.starts - now())
        except BaseException:
            await self.give_back([place])
            raise
        return place

    async def _book(self, api_id: str) -> Place:
        """Book the place that comes free first, a little before it does.

        One waiter a program asks, in order of arrival.
        """
        lane = self._lanes[api_id]
        async with lane.first_in_line:
            while True:
                lane.given_back.clear()
                ahead = random.uniform(*_AHEAD)  # noqa: S311 - a lot, no secret
                async with self._database.session("booking a request") as connection:
                    found = await self._places.book(connection, api_id, timedelta(seconds=ahead))
                if isinstance(found, Place):
                    return found
                if found is None:
                    await lane.until_given_back()
                else:
                    await asyncio.sleep(min(found - ahead - now(), _LONGEST_WAIT))


class PatientQuota:
    """The same quota for whoever can wait: a backfill beside a daemon.

    Whether the server counts each api-id for itself or the key as a whole, sources disagree. So a request
    takes a place in its own lane and one in that of the sweeps, and both readings are kept to. Tokens are
    asked for as everybody does: a sweep may be waiting for one.
    """

    def __init__(self, shared: SharedQuota) -> None:
        self._shared = shared
        self._first_in_line = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, api_id: str) -> AsyncIterator[Turn]:
        if not api_id.startswith(_DATA_CALLS):
            async with self._shared.turn(api_id) as turn:
                yield turn
            return
        places = await self._taken(list(dict.fromkeys((api_id, _SWEEPS))))
        async with self._shared.used(places) as turn:
            yield turn

    async def refused(self, api_id: str, granted: int | None) -> None:
        await self._shared.refused(api_id, granted)

    async def _taken(self, api_ids: Sequence[str]) -> list[Place]:
        """A place in each lane, as soon as all of them have one that nobody else waits for."""
        async with self._first_in_line:
            while True:
                wait, places = await self._shared.take(api_ids)
                if places:
                    return sorted(places, key=lambda place: api_ids.index(place.api_id))
                await asyncio.sleep(min(max(wait, 0.001), _LONGEST_WAIT))


class _Lane:
    """What one program keeps of one api-id."""

    def __init__(self) -> None:
        self.first_in_line = asyncio.Lock()
        self.given_back = asyncio.Event()
        self.round_trips = pace.RoundTrips()

    async def until_given_back(self) -> None:
        """Until a place of this program is back, or soon, since another program's may be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self.given_back.wait()


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have something done for as long as the block runs."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
