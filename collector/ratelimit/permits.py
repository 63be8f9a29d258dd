"""Stores the permits of a quota in PostgreSQL: one row each, reserved ahead, renewed while in use, and released.

A reservation lasts two seconds from its start and is renewed during its request. A program that dies or is
suspended thus holds its permits hardly longer than the server remembers its requests. A reservation is
identified by its expiry time: a process that was suspended sees a different one and does not release it.

All times in the tables are the database's clock. Times further ahead than any reservation can be are ignored,
so a clock set back delays nobody by more than one window. See
docs/decisions/0004-the-pace-lives-in-the-database.md.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from collector.db.pool import Connection
from collector.log import logger
from collector.ratelimit import caution
from collector.ratelimit.clock_offset import ClockOffset
from collector.ratelimit.window import COOLDOWN, UNANSWERED_MARGIN, WINDOW

RESERVATION_TTL = timedelta(seconds=2)
"""Life of a reservation from its start or its last renewal."""
RENEWED_EVERY = 0.4
"""Seconds between two renewals."""
SEND_DEADLINE = 0.5
"""Seconds after its start, or its last renewal, in which a request may be sent. A later request might arrive
within a second of the permit's next user, so it needs a new reservation."""
_LATEST_END = timedelta(seconds=10)
"""Latest possible end of a reservation from now; a later one is taken for a clock error."""
_REOPEN = 5.0
"""Seconds without a free permit after which missing permits are created again."""
_PRIORITY_TTL = timedelta(seconds=0.35)
"""Life of the priority flag of a waiting normal caller, from its start on: about one request, after which the
caller asks for its next page and sets the flag again."""
_LONGEST_PRIORITY = timedelta(seconds=4)
"""Latest believable end of the priority flag from now; a later one is a clock error."""
_LONGEST_FREE = WINDOW + UNANSWERED_MARGIN
"""Latest time from now at which a released permit comes free."""
_POLL = timedelta(seconds=0.05)
"""Wait of a background caller if no row is free."""
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

RETESTED_EVERY = timedelta(hours=1)
"""Time before a rate named by the server is doubled as a test. If the server still grants no more, that costs
one refused request an hour and a pause of 1.3 seconds; otherwise a rate of five a second is back in three
hours."""
_CHECKED_EVERY = 60.0
"""Seconds between two checks for a due test: a sweep makes hundreds of reservations."""

# Creates as many permits as are configured. A lower granted rate leaves the last ones unused.
_ENSURE_ROWS = """
WITH known AS (
    INSERT INTO collector.quota (key, api_id) VALUES ($1, $2)
    ON CONFLICT (key, api_id) DO NOTHING
)
INSERT INTO collector.place (key, api_id, number)
SELECT $1, $2, number FROM generate_series(1, $3) AS number
ON CONFLICT DO NOTHING
"""

# A granted rate is stored only if it is below the configured one, which is the ceiling.
_LEARN = """
UPDATE collector.quota
SET granted = CASE WHEN $4::integer < $3 THEN $4 END,
    granted_at = CASE WHEN $4::integer < $3 THEN clock_timestamp() END
WHERE key = $1 AND api_id = $2
"""

# If several programs check at the same moment, one of them raises the rate: the others then find granted_at
# just set. A granted_at ahead of the clock is a clock error and counts as old.
_RETEST = """
UPDATE collector.quota
SET granted = CASE WHEN granted * 2 < $3 THEN granted * 2 END,
    granted_at = CASE WHEN granted * 2 < $3 THEN clock_timestamp() END
WHERE key = $1 AND api_id = $2 AND granted IS NOT NULL
  AND (granted_at <= clock_timestamp() - $4::interval OR granted_at > clock_timestamp() + $4::interval)
RETURNING COALESCE(granted, $3) AS granted
"""

# $1 IS NULL forgets the rates of all keys.
_FORGET = """
UPDATE collector.quota
SET granted = NULL, granted_at = NULL
WHERE granted IS NOT NULL AND ($1::text[] IS NULL OR key = ANY ($1::text[]))
RETURNING key, api_id
"""

# Reserves the permit that comes free first if its start is within $8 (`ahead`); else returns its start
# without a number. SKIP LOCKED lets concurrent programs take different rows. If a stored time is further
# ahead than any reservation can be (is_absurd), waiting would bring it no nearer, so the permit is reserved
# at the latest possible start.
_RESERVE = """
WITH free AS (
    SELECT p.number, q.round_trip, q.caution,
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
SELECT taken.number, extract(epoch FROM free.starts)::float8 AS starts, taken.free_at AS ends,
       free.round_trip, free.caution,
       extract(epoch FROM clock_timestamp())::float8 AS now
FROM free
LEFT JOIN taken ON true
"""

# Sets the priority flag. The row is written only if the flag changes by more than half its life: most calls
# then cost no write.
_SET_PRIORITY = """
UPDATE collector.quota
SET urgent_until = GREATEST(to_timestamp($3), clock_timestamp()) + $4::interval
WHERE key = $1 AND api_id = $2
  AND (urgent_until < GREATEST(to_timestamp($3), clock_timestamp()) + $4::interval / 2
       OR urgent_until > clock_timestamp() + $5::interval)
"""
# Takes one permit of each api-id or none, in one statement: two statements could leave one api-id reserved in
# vain. `opening` is the time at which all of them may be free; $7 and $6 limit the priority flag and the
# pause to believable times, $9 does so for reservations, and $8 is the wait if no row is free.
_TRY_ACQUIRE_ALL = """
WITH state AS (
    SELECT q.api_id, q.round_trip, q.caution, spare.number, spare.free_at,
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
    SELECT max(GREATEST(shut_until, COALESCE(free_at, clock_timestamp() + $8))) AS at FROM state
), taken AS (
    UPDATE collector.place AS p
    SET booked = true, free_at = clock_timestamp() + $4
    FROM state
    WHERE p.key = $1 AND p.api_id = state.api_id AND p.number = state.number
      AND (SELECT at <= clock_timestamp() FROM opening)
    RETURNING p.api_id, p.number, p.free_at, state.round_trip, state.caution
)
SELECT extract(epoch FROM opening.at)::float8 AS opens, extract(epoch FROM clock_timestamp())::float8 AS now,
       taken.api_id, taken.number, taken.free_at AS ends, taken.round_trip, taken.caution
FROM opening
LEFT JOIN taken ON true
"""

# booked and free_at identify the reservation: an expired and re-issued permit is not renewed.
_RENEW = """
UPDATE collector.place
SET free_at = clock_timestamp() + $5
WHERE key = $1 AND api_id = $2 AND number = $3 AND booked AND free_at = $4
RETURNING free_at AS ends, extract(epoch FROM clock_timestamp())::float8 AS now
"""

# As in _RENEW, only the own reservation is released. LEAST bounds a release time after a clock step.
_RELEASE = """
UPDATE collector.place
SET booked = false, free_at = LEAST(to_timestamp($5), clock_timestamp() + $6)
WHERE key = $1 AND api_id = $2 AND number = $3 AND booked AND free_at = $4
RETURNING extract(epoch FROM clock_timestamp())::float8 AS now
"""

# The pause is overwritten, not extended: the newest refusal counts. The caution grows with the first refusal of a
# pause: the others are of requests that were already under way. A refusal that names a rate below the one in use ($4
# is below granted and $5) has another cause. The factor is $6, but $7 if the refusal before came within the
# time $8, and the result is within $9 and $10.
_PAUSE = """
UPDATE collector.quota
SET hold_until = clock_timestamp() + $3,
    caution = CASE WHEN is_first THEN LEAST(GREATEST(caution * factor, $9::float8), $10::float8) ELSE caution END,
    refused_at = CASE WHEN is_first THEN clock_timestamp() ELSE refused_at END,
    trials = 0
FROM (
    SELECT COALESCE($4::integer >= LEAST(granted, $5::integer), true)
           AND (q.hold_until <= clock_timestamp() OR q.hold_until > clock_timestamp() + $3) AS is_first,
           CASE WHEN q.refused_at > clock_timestamp() - $8::interval
                THEN $7::float8 ELSE $6::float8 END AS factor
    FROM collector.quota AS q
    WHERE key = $1 AND api_id = $2
    FOR UPDATE
) AS refusal
WHERE key = $1 AND api_id = $2
"""

# Counts requests that tested the caution without a refusal. Enough of them shrink it: $4 of them by $5 if there was
# no refusal within the time $8 ($10 of them at a caution of $11 or more), otherwise $6 by $7. A refusal ahead of the
# clock is a clock error.
_COUNT_TRIALS = """
UPDATE collector.quota
SET trials = CASE WHEN is_enough THEN 0 ELSE trials + $3 END,
    caution = CASE WHEN is_enough THEN GREATEST(caution / step, $9::float8) ELSE caution END
FROM (
    SELECT trials + $3 >= CASE WHEN NOT is_calm THEN $6::integer WHEN is_full THEN $10::integer ELSE $4::integer
                          END AS is_enough,
           CASE WHEN is_calm THEN $5::float8 ELSE $7::float8 END AS step
    FROM (
        SELECT q.trials, q.caution >= $11::float8 AS is_full,
               refused_at IS NULL OR refused_at <= clock_timestamp() - $8::interval
               OR refused_at > clock_timestamp() + $8::interval AS is_calm
        FROM collector.quota AS q
        WHERE key = $1 AND api_id = $2
        FOR UPDATE
    ) AS history
) AS judgement
WHERE key = $1 AND api_id = $2
"""

# A smaller round trip counts at once, a larger one raises the value by at most 5 % per call: rare quick
# answers are remembered for a while.
_SAVE_RTT = """
UPDATE collector.quota
SET round_trip = LEAST($3::float8, round_trip * 1.05)
WHERE key = $1 AND api_id = $2
"""

_GRANTED = (
    "SELECT api_id, granted FROM collector.quota WHERE key = $1 AND granted IS NOT NULL ORDER BY api_id"
)


async def forget(connection: Connection, keys: Sequence[str] | None) -> list[tuple[str, str]]:
    """Forget the rates granted by the server, of these keys or of all; return the changed (key, api-id)
    pairs."""
    return [(row["key"], row["api_id"]) for row in await connection.fetch(_FORGET, keys)]


def now() -> float:
    """Return seconds of a local clock that is never set and continues during suspension of the machine."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Permit:
    """A reserved permit: a request may be sent from `starts_local` (local clock; `starts_db` is the same by
    the database's clock)."""

    api_id: str
    permit_id: int
    starts_local: float
    starts_db: float
    until: float
    """The last local time for sending, unless the reservation is renewed."""
    ends: datetime
    """Its expiry by the database's clock, which identifies the reservation."""
    round_trip: float | None = None
    """The smallest round trip of all programs, in seconds."""
    caution: float = caution.INITIAL
    """The share of the rest of a round trip that is taken for the time before the count."""

    def is_expired(self) -> bool:
        """Whether its send time has passed, so another program may have it by now."""
        return now() > self.until


class PermitStore:
    """The permits of one key. `per_second` is their number; the server may grant fewer."""

    def __init__(self, key: str, per_second: int) -> None:
        self._key = key
        self._per_second = per_second
        self._checked_at: dict[str, float] = {}
        self._clock_offset = ClockOffset()

    async def reserve(self, connection: Connection, api_id: str, ahead: timedelta) -> Permit | float | None:
        """Reserve the permit that comes free first if its start is near; else return its start (local), None
        if all are taken.

        In the latter cases the priority flag is set for background callers.
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
            _LATEST_END,
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
        """Take a permit of each api-id if all are free now; else none, with the seconds until the next
        attempt."""
        for api_id in api_ids:
            await self._ensure_rows(connection, api_id)
        limits = (_LONGEST_FREE, COOLDOWN, _LONGEST_PRIORITY, _POLL, _LATEST_END)
        sent = now()
        rows = await connection.fetch(
            _TRY_ACQUIRE_ALL, self._key, api_ids, self._per_second, RESERVATION_TTL, *limits
        )
        self._clock_offset.add_sample(sent, rows[0]["now"], now())
        permits = [
            self._make_permit(row["api_id"], row["now"], row) for row in rows if row["number"] is not None
        ]
        if not permits:
            self._reopen_later(api_ids)
        return rows[0]["opens"] - rows[0]["now"], permits

    async def renew(self, connection: Connection, permit: Permit) -> None:
        """Renew a reservation if it still exists."""
        row = await self._fetch_with_clock(
            connection, _RENEW, permit.api_id, permit.permit_id, permit.ends, RESERVATION_TTL
        )
        if row is not None:
            permit.ends = row["ends"]
            permit.until = self._clock_offset.to_local_earliest(row["now"]) + SEND_DEADLINE

    async def release(self, connection: Connection, permit: Permit, free_at: float | None) -> None:
        """Release a permit from `free_at` (local) on; None: it was not used. No effect if the reservation has
        expired."""
        remote = permit.starts_db if free_at is None else self._clock_offset.to_remote(free_at)
        await self._fetch_with_clock(
            connection, _RELEASE, permit.api_id, permit.permit_id, permit.ends, remote, _LONGEST_FREE
        )

    async def pause(self, connection: Connection, api_id: str, granted: int | None) -> None:
        """Pause all callers for `COOLDOWN`; store `granted`, the rate named by the server, if there is one."""
        growth = (caution.GROWTH, caution.GROWTH_SOON, caution.SOON, caution.LEAST_REFUSED, caution.MOST)
        await connection.execute(_PAUSE, self._key, api_id, COOLDOWN, granted, self._per_second, *growth)
        if granted is not None and granted > 0:
            await connection.execute(_LEARN, self._key, api_id, self._per_second, granted)

    async def save_rtt(self, connection: Connection, api_id: str, round_trip: float) -> None:
        """Store the smallest round trip in seconds, for all programs."""
        await connection.execute(_SAVE_RTT, self._key, api_id, round_trip)

    async def count_trials(self, connection: Connection, api_id: str, trials: int) -> None:
        """Count requests that tested the caution without a refusal; enough of them shrink it."""
        full = (caution.TRIALS_OF_FULL, caution.INITIAL)
        rules = (caution.TRIALS_AT_FIRST, caution.STEP_AT_FIRST, caution.TRIALS, caution.STEP)
        await connection.execute(
            _COUNT_TRIALS, self._key, api_id, trials, *rules, caution.CALM_AFTER, caution.LEAST, *full
        )

    async def granted_quotas(self, connection: Connection) -> dict[str, int]:
        """Return the rates granted by the server, by api-id, if below the configured rate."""
        return {row["api_id"]: row["granted"] for row in await connection.fetch(_GRANTED, self._key)}

    async def _ensure_rows(self, connection: Connection, api_id: str) -> None:
        """Create the permits, and check now and then whether to test a higher rate."""
        if now() - self._checked_at.get(api_id, float("-inf")) < _CHECKED_EVERY:
            return
        await connection.execute(_ENSURE_ROWS, self._key, api_id, self._per_second)
        raised = await connection.fetchval(_RETEST, self._key, api_id, self._per_second, RETESTED_EVERY)
        if raised is not None:
            logger.info("quota.retested", api_id=api_id, requests_per_second=raised)
        self._checked_at[api_id] = now()

    def _reopen_later(self, api_ids: Sequence[str]) -> None:
        """Let the next reservation create missing permits: all are taken, or a database restored to an older
        state has none."""
        for api_id in api_ids:
            if now() - self._checked_at.get(api_id, now()) > _REOPEN:
                del self._checked_at[api_id]

    async def _fetch_with_clock(self, connection: Connection, query: str, *arguments: object) -> Any:
        """Fetch the row of a query and add its database time as a clock sample."""
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
            row["caution"],
        )
