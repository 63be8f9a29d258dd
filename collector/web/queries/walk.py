"""The queries of one walk: its line, its undecoded rows and its rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from collector.web.queries.read_only import ReadOnlyDatabase

_WALK = """
SELECT w.status, w.pages, w.rows, w.remarks, w.error, w.attempts, w.requested_at, w.received_at, w.committed_at,
       w.page_times, w.bad, w.expected
FROM collector.walk AS w
WHERE w.slot = $1 AND w.target = $2
"""
_QUARANTINED = """
SELECT page, raw, reason, symbol
FROM collector.quarantine
WHERE slot = $1 AND target = $2
ORDER BY page
LIMIT 50
"""
_MEMBERS = """
SELECT s.position, l.symbol, l.name, NULLIF(s.price, 0) AS price, s.change,
       ((s.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent, s.volume,
       NULLIF(s.ask, 0) AS ask, NULLIF(s.bid, 0) AS bid, NULLIF(s.open, 0) AS open,
       NULLIF(s.high, 0) AS high, NULLIF(s.low, 0) AS low
FROM collector.snapshot AS s
JOIN collector.listing AS l ON l.id = s.listing
WHERE s.slot = $1 AND s.target = $2
ORDER BY s.position
"""


class WalkLine(NamedTuple):
    """A walk's line in the ledger."""

    status: str
    pages: int
    rows: int
    remarks: Sequence[str]
    error: str | None
    attempts: int
    requested_at: datetime | None
    received_at: datetime | None
    committed_at: datetime
    page_times: Sequence[datetime]
    bad: int
    expected: int | None


class Bad(NamedTuple):
    """An undecoded row."""

    page: int
    raw: str
    reason: str
    symbol: str


class Member(NamedTuple):
    """One listing of a sector."""

    position: int
    symbol: str
    name: str
    price: int | None
    change: int
    change_percent: object
    volume: int
    ask: int | None
    bid: int | None
    open: int | None
    high: int | None
    low: int | None


class WalkQueries(ReadOnlyDatabase):
    """The queries of one walk."""

    async def walk(self, slot: datetime, target: int) -> tuple[WalkLine, list[Bad]] | None:
        """A walk with its quarantined rows; None if the ledger has no line."""
        async with self.connection("reading a walk") as connection:
            row = await connection.fetchrow(_WALK, slot, target)
            bad = await connection.fetch(_QUARANTINED, slot, target)
        return (WalkLine(*row), [Bad(*bad_row) for bad_row in bad]) if row else None

    async def members(self, slot: datetime, target: int) -> list[Member]:
        async with self.connection("reading the members") as connection:
            return [Member(*row) for row in await connection.fetch(_MEMBERS, slot, target)]
