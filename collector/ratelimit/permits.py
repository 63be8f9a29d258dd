"""The places of a quota in PostgreSQL: one row each, booked ahead, kept while in use, and given back.

A booking lasts two seconds from its start and is renewed while its request is under way. So a program that
dies, or is frozen, keeps its places hardly longer than the server remembers its requests. Whose booking a place
has is told by its end: who was frozen finds another one there, and leaves it alone.

All times in the tables are the database's clock. One that was set back makes nobody wait for longer than a
window: what lies farther ahead than a booking can is not believed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from collector.db.pool import Connection
from collector.log import logger
from collector.ratelimit.clock_offset import ClockOffset
from collector.ratelimit.window import COOLDOWN, UNANSWERED_MARGIN, WINDOW

RESERVATION_TTL = timedelta(seconds=2)
"""How long a booking lasts from its start, unless it is renewed."""
RENEWED_EVERY = 0.4
"""Seconds between two renewals."""
SEND_DEADLINE = 0.5
"""Seconds after its start, or its last renewal, until which a request may be sent: later it might arrive
within a second of whoever has the place next. Who was held up for so long has to book again."""
_FARTHEST = timedelta(seconds=10)
"""No booking ends later than this from now."""
_REOPEN = 5.0
"""Seconds after which places that do not come free are made again, if there are none."""
_PRIORITY_TTL = timedelta(seconds=0.35)
"""How long word of somebody who waits counts from its start on: by then it asks for its next page."""
_LONGEST_PRIORITY = timedelta(seconds=4)
_LONGEST_FREE = WINDOW + UNANSWERED_MARGIN
"""How far ahead a place that is given back may come free."""
_POLL = timedelta(seconds=0.05)
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

RETESTED_EVERY = timedelta(hours=1)
"""How long a rate that the server named is kept before twice as much is tried. Where the server still grants no
more, that costs one refused request an hour, 1.3 seconds each; where it does, five a second are back in three hours."""
_LOOKED_AT_EVERY = 60.0
"""Seconds between two looks at whether a retest is due: a sweep books hundreds of requests."""

# As many places as are configured; a lower rate leaves the last ones alone.
_ENSURE_ROWS = """
WITH known AS (
    INSERT INTO collector.quota (key, api_id) VALUES ($1, $2)
    ON CONFLICT (key, api_id) DO NOTHING
)
INSERT INTO collector.place (key, api_id, number)
SELECT $1, $2, number FROM generate_series(1, $3) AS number
ON CONFLICT DO NOTHING
"""

# What the server grants is kept only where it is less than what is configured: that is the ceiling.
_LEARN = """
UPDATE collector.quota
SET granted = CASE WHEN $4::integer < $3 THEN $4 END,
    granted_at = CASE WHEN $4::integer < $3 THEN clock_timestamp() END
WHERE key = $1 AND api_id = $2
"""

# Of several programs that look at the same moment, one raises it: the others find it raised. A time that lies ahead of
# the clock is not believed.
_RETEST = """
UPDATE collector.quota
SET granted = CASE WHEN granted * 2 < $3 THEN granted * 2 END,
    granted_at = CASE WHEN granted * 2 < $3 THEN clock_timestamp() END
WHERE key = $1 AND api_id = $2 AND granted IS NOT NULL
  AND (granted_at <= clock_timestamp() - $4::interval OR granted_at > clock_timestamp() + $4::interval)
RETURNING COALESCE(granted, $3) AS granted
"""

_FORGET = """
UPDATE collector.quota
SET granted = NULL, granted_at = NULL
WHERE granted IS NOT NULL AND ($1::text[] IS NULL OR key = ANY ($1::text[]))
RETURNING key, api_id
"""

# The place that comes free first, booked if that is soon; else when to ask again, without a number. Where a time
# cannot be believed, nothing would come nearer by waiting, so it is booked as far ahead as it may be.
_RESERVE = """
WITH free AS (
    SELECT p.number, q.round_trip,
           GREATEST(LEAST(p.free_at, clock_timestamp() + $4),
                    LEAST(q.hold_until, clock_timestamp() + $5), clock_timestamp()) AS starts,
           p.free_at > clock_timestamp() + $4 OR q.hold_until > clock_timestamp() + $5 AS is_absurd
    FROM collector.quota AS q
    JOIN collector.place AS p ON p.key = q.key AND p.api_id = q.api_id
    WHERE q.key = $1 AND q.api_id = $2 AND p.number <= LEAST(q.granted, $3)
      AND (NOT p.booked OR p.free_at <= clock_timestamp() OR p.free_at > clock_timestamp() + $7)
    ORDER BY p.free_at
    LIMIT 1
    FOR UPDATE OF p SKIP LOCKED
), taken AS (
    UPDATE collector.place AS p
    SET booked = true, free_at = free.starts + $6
    FROM free
    WHERE p.key = $1 AND p.api_id = $2 AND p.number = free.number
      AND (free.starts <= clock_timestamp() + $8 OR free.is_absurd)
    RETURNING p.number, p.free_at
)
SELECT taken.number, extract(epoch FROM free.starts)::float8 AS starts, taken.free_at AS ends, free.round_trip,
       extract(epoch FROM clock_timestamp())::float8 AS now
FROM free
LEFT JOIN taken ON true
"""

# Written only where it makes a difference.
_SET_PRIORITY = """
UPDATE collector.quota
SET urgent_until = GREATEST(to_timestamp($3), clock_timestamp()) + $4::interval
WHERE key = $1 AND api_id = $2
  AND (urgent_until < GREATEST(to_timestamp($3), clock_timestamp()) + $4::interval / 2
       OR urgent_until > clock_timestamp() + $5::interval)
"""
# A place in each lane or none at all. No place, or how many seconds until asking again may help.
_TRY_ACQUIRE_ALL = """
WITH lane AS (
    SELECT q.api_id, q.round_trip, spare.number, spare.free_at,
           GREATEST(LEAST(q.hold_until, clock_timestamp() + $6),
                    LEAST(q.urgent_until, clock_timestamp() + $7)) AS shut_until
    FROM collector.quota AS q
    LEFT JOIN LATERAL (
        SELECT p.number, LEAST(p.free_at, clock_timestamp() + $5) AS free_at
        FROM collector.place AS p
        WHERE p.key = q.key AND p.api_id = q.api_id AND p.number <= LEAST(q.granted, $3)
          AND (NOT p.booked OR p.free_at <= clock_timestamp() OR p.free_at > clock_timestamp() + $9)
        ORDER BY p.free_at
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS spare ON true
    WHERE q.key = $1 AND q.api_id = ANY ($2::text[])
), opening AS (
    SELECT max(GREATEST(shut_until, COALESCE(free_at, clock_timestamp() + $8))) AS at FROM lane
), taken AS (
    UPDATE collector.place AS p
    SET booked = true, free_at = clock_timestamp() + $4
    FROM lane
    WHERE p.key = $1 AND p.api_id = lane.api_id AND p.number = lane.number
      AND (SELECT at <= clock_timestamp() FROM opening)
    RETURNING p.api_id, p.number, p.free_at, lane.round_trip
)
SELECT extract(epoch FROM opening.at)::float8 AS opens, extract(epoch FROM clock_timestamp())::float8 AS now,
       taken.api_id, taken.number, taken.free_at AS ends, taken.round_trip
FROM opening
LEFT JOIN taken ON true
"""

_RENEW = """
UPDATE collector.place
SET free_at = clock_timestamp() + $5
WHERE key = $1 AND api_id = $2 AND number = $3 AND booked AND free_at = $4
RETURNING free_at AS ends, extract(epoch FROM clock_timestamp())::float8 AS now
"""

_RELEASE = """
UPDATE collector.place
SET booked = false, free_at = LEAST(to_timestamp($5), clock_timestamp() + $6)
WHERE key = $1 AND api_id = $2 AND number = $3 AND booked AND free_at = $4
RETURNING extract(epoch FROM clock_timestamp())::float8 AS now
"""

_PAUSE = """
UPDATE collector.quota
SET hold_until = clock_timestamp() + $3
WHERE key = $1 AND api_id = $2
"""

# What is quicker counts at once, what is slower little by little: so rare quick ones are long remembered.
_SAVE_RTT = """
UPDATE collector.quota
SET round_trip = LEAST($3::float8, round_trip * 1.01)
WHERE key = $1 AND api_id = $2
"""

_GRANTED = (
    "SELECT api_id, granted FROM collector.quota WHERE key = $1 AND granted IS NOT NULL ORDER BY api_id"
)


async def forget(connection: Connection, keys: Sequence[str] | None) -> list[tuple[str, str]]:
    """Forget what the server said it grants, of these keys or of all: the (key, api-id) that were changed."""
    return [(row["key"], row["api_id"]) for row in await connection.fetch(_FORGET, keys)]


def now() -> float:
    """Seconds by a clock of ours that is never set, and goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Permit:
    """A booking: from `starts_local` (ours, and the database's clock) on a request may be sent."""

    api_id: str
    permit_id: int
    starts_local: float
    starts_db: float
    until: float
    """The last moment (ours) at which it may be sent, unless it is renewed."""
    ends: datetime
    """Its end there, which is told apart from any other booking's."""
    round_trip: float | None = None
    """The smallest that all programs have found."""

    def is_expired(self) -> bool:
        """Whether its start has passed for so long that somebody else may have it by now."""
        return now() > self.until


class PermitStore:
    """The places of one key. `per_second` is how many there are at most; the server may say that it grants less."""

    def __init__(self, key: str, per_second: int) -> None:
        self._key = key
        self._per_second = per_second
        self._looked_at: dict[str, float] = {}
        self._clock_offset = ClockOffset()

    async def reserve(self, connection: Connection, api_id: str, ahead: timedelta) -> Permit | float | None:
        """The place that comes free first if that is soon, else when it does (ours); None if all are booked.

        Whoever can wait learns that somebody cannot.
        """
        await self._ensure_rows(connection, api_id)
        row = await self._fetch_with_clock(
            connection,
            _RESERVE,
            api_id,
            self._per_second,
            _LONGEST_FREE,
            COOLDOWN,
            RESERVATION_TTL,
            _FARTHEST,
            ahead,
        )
        if row is None or row["starts"] > row["now"]:
            starts = row["starts"] if row else None
            await connection.execute(
                _SET_PRIORITY, self._key, api_id, starts, _PRIORITY_TTL, _LONGEST_PRIORITY
            )
        if row is None:
            self._reopen_later([api_id])
            return None
        if row["number"] is None:
            return self._clock_offset.to_local(row["starts"])
        return self._make_permit(api_id, row["starts"], row)

    async def try_acquire_all(
        self, connection: Connection, api_ids: Sequence[str]
    ) -> tuple[float, list[Permit]]:
        """A place in each lane if all have one to spare now; else none, and after how many seconds to ask again."""
        for api_id in api_ids:
            await self._ensure_rows(connection, api_id)
        limits = (_LONGEST_FREE, COOLDOWN, _LONGEST_PRIORITY, _POLL, _FARTHEST)
        sent = now()
        rows = await connection.fetch(
            _TRY_ACQUIRE_ALL, self._key, api_ids, self._per_second, RESERVATION_TTL, *limits
        )
        self._clock_offset.add_sample(sent, rows[0]["now"], now())
        places = [
            self._make_permit(row["api_id"], row["now"], row) for row in rows if row["number"] is not None
        ]
        if not places:
            self._reopen_later(api_ids)
        return rows[0]["opens"] - rows[0]["now"], places

    async def renew(self, connection: Connection, permit: Permit) -> None:
        """Have it for another while, if it is still ours."""
        row = await self._fetch_with_clock(
            connection, _RENEW, permit.api_id, permit.permit_id, permit.ends, RESERVATION_TTL
        )
        if row is not None:
            permit.ends = row["ends"]
            permit.until = self._clock_offset.to_local_earliest(row["now"]) + SEND_DEADLINE

    async def release(self, connection: Connection, permit: Permit, free_at: float | None) -> None:
        """Free from `free_at` (ours) on; None: it was not used. Nothing happens if it is not ours any more."""
        there = permit.starts_db if free_at is None else self._clock_offset.to_remote(free_at)
        await self._fetch_with_clock(
            connection, _RELEASE, permit.api_id, permit.permit_id, permit.ends, there, _LONGEST_FREE
        )

    async def pause(self, connection: Connection, api_id: str, granted: int | None) -> None:
        """Nobody starts for a while; `granted` is what the server says it grants, if it does."""
        await connection.execute(_PAUSE, self._key, api_id, COOLDOWN)
        if granted is not None and granted > 0:
            await connection.execute(_LEARN, self._key, api_id, self._per_second, granted)

    async def save_rtt(self, connection: Connection, api_id: str, round_trip: float) -> None:
        """What a round trip takes at least, for everybody."""
        await connection.execute(_SAVE_RTT, self._key, api_id, round_trip)

    async def granted_quotas(self, connection: Connection) -> dict[str, int]:
        """What the server has said it grants, by api-id, where that is less than what is configured."""
        return {row["api_id"]: row["granted"] for row in await connection.fetch(_GRANTED, self._key)}

    async def _ensure_rows(self, connection: Connection, api_id: str) -> None:
        """Have the places there, and see now and then whether a higher rate is to be tried again."""
        if now() - self._looked_at.get(api_id, float("-inf")) < _LOOKED_AT_EVERY:
            return
        await connection.execute(_ENSURE_ROWS, self._key, api_id, self._per_second)
        raised = await connection.fetchval(_RETEST, self._key, api_id, self._per_second, RETESTED_EVERY)
        if raised is not None:
            logger.info("quota.retested", api_id=api_id, requests_per_second=raised)
        self._looked_at[api_id] = now()

    def _reopen_later(self, api_ids: Sequence[str]) -> None:
        """None is free: all are booked, or a database that fell back to an older state has none at all."""
        for api_id in api_ids:
            if now() - self._looked_at.get(api_id, now()) > _REOPEN:
                del self._looked_at[api_id]

    async def _fetch_with_clock(self, connection: Connection, query: str, *arguments: object) -> Any:
        """The row of a query, which also tells what the database's clock shows."""
        sent = now()
        row = await connection.fetchrow(query, self._key, *arguments)
        if row is not None:
            self._clock_offset.add_sample(sent, row["now"], now())
        return row

    def _make_permit(self, api_id: str, starts: float, row: Any) -> Permit:
        until = self._clock_offset.to_local_earliest(starts) + SEND_DEADLINE
        return Permit(
            api_id,
            row["number"],
            self._clock_offset.to_local(starts),
            starts,
            until,
            row["ends"],
            row["round_trip"],
        )
