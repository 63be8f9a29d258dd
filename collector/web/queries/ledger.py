"""The queries of the ledger: days, slots, sweeps and their outcomes."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple

from collector.db.catalog import Registry
from collector.model import Sector, Target
from collector.web.queries.read_only import ReadOnlyDatabase

_TARGETS = "SELECT id, market, sector, exchange FROM collector.target"
_AROUND = """
SELECT (SELECT max(slot) FROM collector.walk WHERE slot < $1) AS before,
       (SELECT min(slot) FROM collector.walk WHERE slot >= $2) AS after
"""
_COUNTS = """
SELECT w.slot, t.market, t.exchange, w.status, count(*) AS targets,
       count(*) FILTER (WHERE w.corroboration = 'corroborated') AS corroborated,
       count(*) FILTER (WHERE w.corroboration = 'contradicted') AS contradicted,
       count(w.repaired_at) AS repaired
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2
GROUP BY w.slot, t.market, t.exchange, w.status
"""
_CELLS = """
SELECT slot, target, status, corroboration, repaired_at IS NOT NULL AS is_repaired
FROM collector.walk
WHERE slot >= $1 AND slot < $2 AND (target = ANY ($3::smallint[]) OR slot = ANY ($4::timestamptz[]))
"""
_SWEEPS = """
SELECT slot, universe, started_at, ended_at
FROM collector.sweep
WHERE slot >= $1 AND slot < $2
ORDER BY slot, universe
"""
_SLOT = """
SELECT t.market, t.sector, t.exchange, w.status, w.pages, w.rows, w.remarks, w.error, w.attempts,
       w.corroboration, w.repaired_at
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot = $1
"""

_SOURCE = "SELECT kind FROM collector.origin"
_ARCHIVED = """
SELECT exchange, rows
FROM collector.archive
WHERE day = $1 AND restored_at IS NULL
ORDER BY exchange
"""
_NEIGHBOURS = """
SELECT (SELECT max(slot) FROM collector.walk WHERE target = $1 AND slot < $2) AS before,
       (SELECT min(slot) FROM collector.walk WHERE target = $1 AND slot >= $3) AS after
"""
# `status <> 'complete'` repeats the condition of the index walk_incomplete, without which it is not used.
_FAILURES = """
SELECT w.slot, t.market, t.sector, t.exchange, w.status, w.remarks, w.error, w.attempts
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2 AND w.status <> 'complete' AND w.status = ANY ($3::text[])
ORDER BY w.slot DESC, t.market, t.sector, t.exchange
LIMIT $4
"""
_FAILURE_COUNTS = """
SELECT status, count(*)
FROM collector.walk
WHERE slot >= $1 AND slot < $2 AND status <> 'complete'
GROUP BY status
"""


class StatusTotal(NamedTuple):
    """Number of targets of a market on an exchange with one status at a slot."""

    slot: datetime
    market: str
    exchange: str
    status: str
    targets: int
    corroborated: int = 0
    contradicted: int = 0
    repaired: int = 0


class Cell(NamedTuple):
    """The status of one target at a slot."""

    slot: datetime
    target: int
    status: str
    corroboration: str = "unchecked"
    is_repaired: bool = False


class SweepLine(NamedTuple):
    """A sweep in the ledger. `ended_at` is None if it is under way or was broken off."""

    slot: datetime
    universe: str
    started_at: datetime
    ended_at: datetime | None


class ArchivedRows(NamedTuple):
    """The rows of a day and an exchange that are in a file."""

    exchange: str
    rows: int


class Failure(NamedTuple):
    """A line of the ledger that is not complete."""

    slot: datetime
    market: str
    sector: str
    exchange: str
    status: str
    remarks: Sequence[str]
    error: str | None
    attempts: int


class SlotLine(NamedTuple):
    """One target of a slot. `status` is a state of the grid if the ledger has no line."""

    market: str
    sector: str
    exchange: str
    status: str
    pages: int
    rows: int
    remarks: Sequence[str]
    error: str | None
    attempts: int
    corroboration: str = "unchecked"
    repaired_at: datetime | None = None


class LedgerQueries(ReadOnlyDatabase):
    """The queries of the ledger."""

    async def targets(self) -> dict[int, Target]:
        async with self.connection("reading the targets") as connection:
            rows = await connection.fetch(_TARGETS)
        return {row["id"]: Target.of(row["market"], row["sector"], row["exchange"]) for row in rows}

    async def sectors(self) -> dict[str, Sector]:
        return await Registry(self.database).sectors()

    async def around(self, start: datetime, end: datetime) -> tuple[datetime | None, datetime | None]:
        """The newest slot of the ledger before `start`, and the oldest from `end` on."""
        async with self.connection("looking for days") as connection:
            row = await connection.fetchrow(_AROUND, start, end)
        return row["before"], row["after"]

    async def counts(self, start: datetime, end: datetime) -> list[StatusTotal]:
        async with self.connection("counting a day") as connection:
            return [StatusTotal(*row) for row in await connection.fetch(_COUNTS, start, end)]

    async def cells(
        self, start: datetime, end: datetime, targets: Collection[int], slots: Collection[datetime]
    ) -> list[Cell]:
        """The day's lines of these targets, and all lines of these slots."""
        async with self.connection("reading a day") as connection:
            rows = await connection.fetch(_CELLS, start, end, list(targets), list(slots))
        return [Cell(*row) for row in rows]

    async def sweeps(self, start: datetime, end: datetime) -> list[SweepLine]:
        async with self.connection("reading the sweeps") as connection:
            return [SweepLine(*row) for row in await connection.fetch(_SWEEPS, start, end)]

    async def slot(self, slot: datetime) -> list[SlotLine]:
        async with self.connection("reading a slot") as connection:
            return [SlotLine(*row) for row in await connection.fetch(_SLOT, slot)]

    async def source(self) -> str | None:
        """The source of the data: `real`, `mock` or `ours` (the simulator); None in an empty database."""
        async with self.connection("reading the source of the data") as connection:
            kind: str | None = await connection.fetchval(_SOURCE)
        return kind

    async def read_archived(self, day: date) -> list[ArchivedRows]:
        """The exchanges of which the rows of a day are in files."""
        async with self.connection("looking for archived rows") as connection:
            return [ArchivedRows(*row) for row in await connection.fetch(_ARCHIVED, day)]

    async def neighbours(
        self, target: int, start: datetime, end: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """The newest slot of a target before `start`, and its oldest slot from `end` on."""
        async with self.connection("looking for the next slots") as connection:
            row = await connection.fetchrow(_NEIGHBOURS, target, start, end)
        return row["before"], row["after"]

    async def failures(
        self, start: datetime, end: datetime, statuses: Collection[str], limit: int
    ) -> tuple[list[Failure], dict[str, int]]:
        """The newest lines with these statuses, and the counts of every status but `complete`."""
        async with self.connection("reading the failures") as connection:
            rows = await connection.fetch(_FAILURES, start, end, list(statuses), limit)
            counts = await connection.fetch(_FAILURE_COUNTS, start, end)
        return [Failure(*row) for row in rows], {row["status"]: row["count"] for row in counts}
