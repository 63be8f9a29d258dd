"""The quota of a key, kept in PostgreSQL, so that every program that uses the key takes turns.

`pace` has the arithmetic. Here are its places: one row each, booked ahead by whoever comes next, given back
with the moment from which the server has certainly forgotten the request. A program that dies keeps its
places no longer than a request can last. All times are the database's own clock.

Who cannot wait books ahead, and leaves word when it found no place free. Who can (`PatientQuota`) takes only
what is free at this moment, and nothing as long as such word is fresh: so it yields within one request.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Protocol

from collector import pace
from collector.errors import StoreError
from collector.postgres.database import Database
from collector.postgres.session import Connection

_DATA_CALLS, _SWEEPS = "ka", "ka20002"
_MARGIN = timedelta(seconds=5)
_POLL = 0.02
_LOOK_AHEAD = 0.02
"""Seconds before its start at which a waiter looks for the last time whether the pace is held."""
_URGENCY = timedelta(seconds=1)
"""How long word of somebody who waits counts: a window's length, in which a place of its own comes free."""
_LONGEST_WAIT = 0.25
"""Seconds after which a patient waiter looks again whatever it was told."""

_OPEN = """
WITH known AS (
    INSERT INTO collector.quota (key, api_id) VALUES ($1, $2)
    ON CONFLICT (key, api_id) DO UPDATE SET granted = COALESCE($4, collector.quota.granted)
    RETURNING granted
)
INSERT INTO collector.place (key, api_id, number)
SELECT $1, $2, number FROM known, generate_series(1, COALESCE(known.granted, $3)) AS number
ON CONFLICT DO NOTHING
"""

_BOOK = """
WITH free AS (
    SELECT p.number, GREATEST(p.free_at, q.hold_until, clock_timestamp()) AS starts, q.round_trip
    FROM collector.quota AS q
    JOIN collector.place AS p ON p.key = q.key AND p.api_id = q.api_id
    WHERE q.key = $1 AND q.api_id = $2 AND p.number <= COALESCE(q.granted, $3)
      AND (NOT p.booked OR p.free_at <= clock_timestamp())
    ORDER BY p.free_at
    LIMIT 1
    FOR UPDATE OF p SKIP LOCKED
)
UPDATE collector.place AS p
SET booked = true, free_at = free.starts + $4
FROM free
WHERE p.key = $1 AND p.api_id = $2 AND p.number = free.number
RETURNING p.number, extract(epoch FROM free.starts - clock_timestamp())::float8 AS wait, free.round_trip
"""

_FOUND = "UPDATE collector.quota SET round_trip = $3 WHERE key = $1 AND api_id = $2"

# Written a few times a second at most, however many wait.
_URGENT = """
UPDATE collector.quota
SET urgent_until = clock_timestamp() + $3::interval
WHERE key = $1 AND api_id = $2 AND urgent_until < clock_timestamp() + $3::interval / 2
"""

# A place in each lane or none at all. No row, or how many seconds until asking again may help.
_TAKE = """
WITH lane AS (
    SELECT q.api_id, GREATEST(q.hold_until, q.urgent_until) AS shut_until, spare.number, spare.free_at
    FROM collector.quota AS q
    LEFT JOIN LATERAL (
        SELECT p.number, p.free_at
        FROM collector.place AS p
        WHERE p.key = q.key AND p.api_id = q.api_id AND p.number <= COALESCE(q.granted, $3)
          AND (NOT p.booked OR p.free_at <= clock_timestamp())
        ORDER BY p.free_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS spare ON true
    WHERE q.key = $1 AND q.api_id = ANY ($2::text[])
), opening AS (
    SELECT max(GREATEST(shut_until, COALESCE(free_at, clock_timestamp() + $5))) AS at FROM lane
), taken AS (
    UPDATE collector.place AS p
    SET booked = true, free_at = clock_timestamp() + $4
    FROM lane
    WHERE p.key = $1 AND p.api_id = lane.api_id AND p.number = lane.number
      AND (SELECT at <= clock_timestamp() FROM opening)
    RETURNING p.api_id, p.number
)
SELECT extract(epoch FROM opening.at - clock_timestamp())::float8 AS wait,
       ARRAY(SELECT api_id FROM taken) AS api_ids,
       ARRAY(SELECT number FROM taken) AS numbers
FROM opening
"""

_HELD = """
SELECT GREATEST(0, extract(epoch FROM hold_until - clock_timestamp()))::float8
FROM collector.quota
WHERE key = $1 AND api_id = $2
"""

_GIVE_BACK = """
UPDATE collector.place
SET booked = false, free_at = clock_timestamp() + $4
WHERE key = $1 AND api_id = $2 AND number = $3
"""

_HOLD = """
UPDATE collector.quota
SET hold_until = GREATEST(hold_until, clock_timestamp() + $3)
WHERE key = $1 AND api_id = $2
"""

_GRANTED = (
    "SELECT api_id, granted FROM collector.quota WHERE key = $1 AND granted IS NOT NULL ORDER BY api_id"
)


class Turn:
    """One place in the window, from its start until its answer is in."""

    def __init__(self, round_trips: pace.RoundTrips) -> None:
        self._round_trips = round_trips
        self._loop = asyncio.get_running_loop()
        self._sent = self._loop.time()
        self._answered: float | None = None

    def answered(self) -> None:
        """The answer has just come in; without this call the request counts until its end."""
        self._answered = self._loop.time()
        self._round_trips.note(self._answered - self._sent)

    def free_after(self) -> timedelta:
        """How long from now until the place is free."""
        if self._answered is None:
            return pace.WINDOW
        return pace.free_after(self._loop.time() - self._answered, self._round_trips.certain())


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

    `key` is a digest of the app key; `per_second` is where to start, until the server says otherwise
    (유량=N), which is remembered. `longest` is how long one request can last.
    """

    def __init__(self, database: Database, key: str, *, per_second: int, longest: timedelta) -> None:
        self._database = database
        self._key = key
        self._per_second = per_second
        self._lease = longest + pace.WINDOW + _MARGIN
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)

    @asynccontextmanager
    async def turn(self, api_id: str) -> AsyncIterator[Turn]:
        lane = self._lanes[api_id]
        number, wait = await self._book(api_id, lane)
        turn = None
        try:
            await self._until(lane.clock() + wait, api_id, lane)
            turn = Turn(lane.round_trips)
            yield turn
        finally:
            await self.give_back(api_id, number, turn)

    async def refused(self, api_id: str, granted: int | None) -> None:
        async with self._database.session("holding the pace") as connection:
            await connection.execute(_HOLD, self._key, api_id, pace.HOLD)
            if granted is not None:
                await connection.execute(_OPEN, self._key, api_id, self._per_second, granted)

    async def granted(self) -> dict[str, int]:
        """What the server has said it grants, by api-id; empty where it never refused."""
        async with self._database.session("reading the quota") as connection:
            return {row["api_id"]: row["granted"] for row in await connection.fetch(_GRANTED, self._key)}

    def round_trips(self, api_id: str) -> pace.RoundTrips:
        """What the network is known to take for one api-id."""
        return self._lanes[api_id].round_trips

    async def take(self, api_ids: list[str]) -> tuple[float, list[tuple[str, int]]]:
        """A place in every one of these lanes if each has one to spare now, else after how many seconds to ask."""
        async with self._database.session("taking a place") as connection:
            for api_id in api_ids:
                await self._opened(connection, api_id)
            row = await connection.fetchrow(
                _TAKE, self._key, api_ids, self._per_second, self._lease, timedelta(seconds=_POLL)
            )
        return row["wait"], list(zip(row["api_ids"], row["numbers"], strict=True))

    async def _opened(self, connection: Connection, api_id: str) -> None:
        lane = self._lanes[api_id]
        if not lane.is_open:
            await connection.execute(_OPEN, self._key, api_id, self._per_second, None)
            lane.is_open = True

    async def _book(self, api_id: str, lane: "_Lane") -> tuple[int, float]:
        """Book the place that comes free first. One waiter a program asks, in order of arrival."""
        async with lane.first_in_line:
            while True:
                lane.given_back.clear()
                async with self._database.session("booking a request") as connection:
                    await self._opened(connection, api_id)
                    row = await connection.fetchrow(_BOOK, self._key, api_id, self._per_second, self._lease)
                    if row is None or row["wait"] > 0:
                        await connection.execute(_URGENT, self._key, api_id, _URGENCY)
                if row is not None:
                    lane.round_trips.prior = row["round_trip"]
                    return row["number"], row["wait"]
                await lane.until_given_back()

    async def _until(self, start: float, api_id: str, lane: "_Lane") -> None:
        """Sleep until a place's start; somebody may have been refused meanwhile, so just before it, look.

        Looking costs a round trip to the database, which would be lost to the quota if it came at the start.
        """
        while (wait := start - lane.clock()) > _LOOK_AHEAD:
            await asyncio.sleep(wait - _LOOK_AHEAD)
            start = max(start, lane.clock() + await self._held(api_id))
        if wait > 0:
            await asyncio.sleep(wait)

    async def _held(self, api_id: str) -> float:
        async with self._database.session("reading the pace") as connection:
            held: float = await connection.fetchval(_HELD, self._key, api_id)
            return held

    async def give_back(self, api_id: str, number: int, turn: Turn | None) -> None:
        """Also when cancelled, else the place would stay booked for a whole request's length.

        A failure is left to the next booking to report: the place comes free by itself, only later.
        """
        with suppress(StoreError):
            async with self._database.session("giving back a place", timeout=2) as connection:
                after = turn.free_after() if turn else pace.WINDOW
                await connection.execute(_GIVE_BACK, self._key, api_id, number, after)
                if found := self._lanes[api_id].round_trips.finding():
                    await connection.execute(_FOUND, self._key, api_id, found)
        self._lanes[api_id].given_back.set()


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
        places = await self._taken(sorted({api_id, _SWEEPS}))
        turn = Turn(self._shared.round_trips(api_id))
        try:
            yield turn
        finally:
            for lane, number in places:
                await self._shared.give_back(lane, number, turn)

    async def refused(self, api_id: str, granted: int | None) -> None:
        await self._shared.refused(api_id, granted)

    async def _taken(self, api_ids: list[str]) -> list[tuple[str, int]]:
        """A place in each lane, as soon as all of them have one that nobody else waits for."""
        async with self._first_in_line:
            while True:
                wait, places = await self._shared.take(api_ids)
                if places:
                    return places
                await asyncio.sleep(min(max(wait, 0.001), _LONGEST_WAIT))


class _Lane:
    """What one program keeps of one api-id."""

    def __init__(self) -> None:
        self.first_in_line = asyncio.Lock()
        self.given_back = asyncio.Event()
        self.round_trips = pace.RoundTrips()
        self.is_open = False
        self.clock = asyncio.get_running_loop().time

    async def until_given_back(self) -> None:
        """Until a place of this program is back, or soon, since another program's may be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await self.given_back.wait()
