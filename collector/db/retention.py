"""Drops old days: three clocks must agree, an announcement stands for a day, and two days a night go at most.

ka20002 has no past, so a dropped day is lost. Hence each step is slow on purpose, and the database function
`collector.drop_old_day` checks every request once more.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from collector.db.clocks import ClockReadings, read_clocks, why_kept, why_unsure
from collector.db.database import Database
from collector.db.outlook import ANNOUNCED_FOR, MOST, first_kept
from collector.db.pool import Connection
from collector.log import logger
from collector.market.calendar import kst

_LOCKED_OUT = 3
"""Days locked by readers in a row; then the rest waits for the next night, since each attempt makes other
readers wait for a second.
"""
_NAMED = 10
"""Days named in a log line."""

# Days older than $1, with or without rows.
_DUE = "SELECT day, has_rows FROM collector.days_before($1)"
# The announcement and the days dropped in the last 20 hours, so in this night. The outer join gives a row
# without an announcement too.
_READ_FACTS = """
SELECT r.keep_days, r.announced_at,
       (SELECT count(*) FROM collector.dropped_day AS d WHERE d.dropped_at > clock_timestamp() - INTERVAL '20 hours')
           AS dropped
FROM (SELECT 1) AS one
LEFT JOIN collector.retention AS r ON true
"""
# Stores the announcement; returns its time.
_ANNOUNCE = "SELECT collector.announce_retention($1, $2)"
# Cancels the announcement.
_CANCEL = "DELETE FROM collector.retention RETURNING keep_days"
# Drops one day, if the database agrees; returns SQLSTATE and reason of a refusal.
_DROP = "SELECT state, trouble FROM collector.drop_old_day($1, $2, $3)"
# The files of an archived day.
_ARCHIVED_FILES = "SELECT file, digest, rows FROM collector.archive WHERE day = $1 ORDER BY exchange"
# The rows of one day in Korean time. The bounds are computed once, so only this day's partition is read.
_COUNT_ROWS = """
SELECT count(*) FROM collector.snapshot
WHERE slot >= $1::date::timestamp AT TIME ZONE INTERVAL '9 hours'
  AND slot < ($1::date + 1)::timestamp AT TIME ZONE INTERVAL '9 hours'
"""
_LOCKED = "55P03"
"""The SQLSTATE of a lock not granted: a reader holds the day."""
_LONG = 120.0
"""Seconds for a query over all old days."""

Prove = Callable[[date, Sequence[tuple[str, str]]], Awaitable[str]]
"""Reads a day's files as `restore` does, each with its recorded digest; returns why they are not whole, or ""."""


class Step(StrEnum):
    """The next step of retention."""

    NOTHING = "nothing"
    KEEP = "keep"
    ANNOUNCE = "announce"
    WAIT = "wait"
    DROP = "drop"


class Day(NamedTuple):
    """A day past its keeping; without rows only its quarantine is left."""

    day: date
    has_rows: bool


@dataclass(frozen=True)
class RetentionFacts:
    """All facts for the decision. `dropped` counts the days dropped in this night."""

    clocks: ClockReadings
    due: Sequence[Day]
    keep_days: int
    announced_for: int | None
    """The `keep_days` of the announcement, None without one."""
    announced_at: datetime | None
    dropped: int


def decide(facts: RetentionFacts) -> tuple[Step, str]:
    """Decides the next step, with a reason. An announcement is harmless, so it does not wait for a new walk."""
    if not facts.due or facts.dropped >= MOST:
        return Step.NOTHING, ""
    if reason := why_unsure(facts.clocks):
        return Step.KEEP, reason
    if facts.announced_at is None or facts.announced_for != facts.keep_days:
        return Step.ANNOUNCE, ""
    if facts.clocks.database - facts.announced_at < ANNOUNCED_FOR:
        return Step.WAIT, ""
    reason = why_kept(facts.clocks)
    return (Step.KEEP, reason) if reason else (Step.DROP, "")


class Retention:
    """Carries out the decisions; only the leader may. `is_news` returns True if a warning was not logged yet."""

    def __init__(self, database: Database, is_news: Callable[[str, str], bool]) -> None:
        self._database = database
        self._is_news = is_news

    async def why_kept(self, host: datetime, before: date) -> str:
        """Explains why days before a date must stay, "" if they may go or there are none."""
        async with self._database.connection("comparing the clocks", timeout=_LONG) as connection:
            due = [row for row in await connection.fetch(_DUE, before) if row["has_rows"]]
            reason = why_kept(await read_clocks(connection, host)) if due else ""
        self._warn_once(reason, len(due))
        return reason

    async def enforce(self, host: datetime, keep_days: int, prove: Prove | None) -> None:
        """Takes the next step for days older than `keep_days` days; 0 cancels the announcement.

        With `prove`, only days with whole files may go; it is None if days are not archived.
        """
        if not keep_days:
            await self._cancel()
            return
        first = first_kept(kst(host).date(), keep_days)
        async with self._database.connection("looking for old days", timeout=_LONG) as connection:
            facts = await _read_facts(connection, host, keep_days, first)
        step, reason = decide(facts)
        self._warn_once(reason, len(facts.due))
        if step is Step.NOTHING and facts.announced_for not in (None, keep_days):
            await self._cancel()
        if step in (Step.ANNOUNCE, Step.WAIT):
            await self._announce(facts, first)
        elif step is Step.DROP:
            await self._drop(facts, host, prove)

    def _warn_once(self, reason: str, days: int) -> None:
        if self._is_news("days.kept", reason) and reason:
            logger.warning("days.kept", reason=reason, days=days)

    async def _cancel(self) -> None:
        async with self._database.transaction("cancelling an announcement") as connection:
            keep_days = await connection.fetchval(_CANCEL)
        if keep_days is not None:
            logger.warning("days.not_dropped_any_more", keep_days=keep_days)

    async def _announce(self, facts: RetentionFacts, first: date) -> None:
        async with self._database.transaction("announcing a drop") as connection:
            at: datetime = await connection.fetchval(_ANNOUNCE, facts.keep_days, first)
        days = [item.day.isoformat() for item in facts.due]
        logger.warning(
            "days.will_be_dropped",
            keep_days=facts.keep_days,
            before=first.isoformat(),
            not_before=(at + ANNOUNCED_FOR).isoformat(),
            days=len(days),
            first=days[:_NAMED],
            hint="set database.keep_days to 0 to keep them for ever",
        )

    async def _drop(self, facts: RetentionFacts, host: datetime, prove: Prove | None) -> None:
        """Drops the oldest possible days, and logs reasons for the others."""
        dropped: list[str] = []
        kept: dict[str, str] = {}
        locked = 0
        for item in facts.due:
            if len(dropped) + facts.dropped >= MOST or locked >= _LOCKED_OUT:
                break
            trouble = await self._why_unproved(item, prove) if prove else ""
            state = ""
            if not trouble:
                state, trouble = await self._try(item.day, host, facts.keep_days)
            locked = locked + 1 if state == _LOCKED else 0
            if trouble:
                kept[item.day.isoformat()] = trouble
            else:
                dropped.append(item.day.isoformat())
        if dropped:
            logger.warning("days.dropped", days=dropped, keep_days=facts.keep_days)
        if kept:
            logger.warning("days.not_dropped", days=len(kept), reasons=dict(list(kept.items())[:_NAMED]))

    async def _try(self, day: date, host: datetime, keep_days: int) -> tuple[str, str]:
        """Drops one day in its own transaction; returns SQLSTATE and reason of a failure, or "" twice."""
        async with self._database.transaction(f"dropping {day}") as connection:
            row = await connection.fetchrow(_DROP, day, host, keep_days)
        return (row["state"], row["trouble"]) if row else ("", "")

    async def _why_unproved(self, item: Day, prove: Prove) -> str:
        """Explains why a day does not count as archived, "" if its files hold the same rows as the database."""
        if not item.has_rows:
            return ""
        async with self._database.connection("comparing a day with its files", timeout=_LONG) as connection:
            noted = await connection.fetch(_ARCHIVED_FILES, item.day)
            rows = await connection.fetchval(_COUNT_ROWS, item.day)
        filed = sum(row["rows"] for row in noted)
        if not noted:
            return "it is not in files"
        if filed != rows:
            return f"the database holds {rows:,} rows of it, and its files {filed:,}"
        return await prove(item.day, [(row["file"], row["digest"]) for row in noted])


async def _read_facts(connection: Connection, host: datetime, keep_days: int, first: date) -> RetentionFacts:
    due = [Day(*row) for row in await connection.fetch(_DUE, first)]
    row = await connection.fetchrow(_READ_FACTS)
    return RetentionFacts(
        await read_clocks(connection, host),
        due,
        keep_days,
        row["keep_days"],
        row["announced_at"],
        row["dropped"],
    )
