"""The queries of one walk: its line, its undecoded rows and its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from collector.web.queries.read_only import ReadOnlyDatabase

_WALK = """
SELECT w.status, w.pages, w.rows, w.remarks, w.error, w.attempts, w.requested_at, w.received_at, w.committed_at,
       w.page_times, w.bad, w.expected, w.corroboration, w.repaired_at
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
       NULLIF(s.high, 0) AS high, NULLIF(s.low, 0) AS low, s.rate & 7 AS sign
FROM collector.snapshot AS s
JOIN collector.listing AS l ON l.id = s.listing
WHERE s.slot = $1 AND s.target = $2
ORDER BY s.position
"""

_WITNESSES = """
SELECT source, verdict, detail, members, traded, advancers, unchanged, decliners, volume, asked_at
FROM collector.witness
WHERE slot = $1 AND target = $2
ORDER BY source
"""
_HISTORY = """
SELECT judged_at AS changed_at, verdict AS cause, judged_by AS author, status, NULL::integer AS rows, remarks,
       NULL AS error
FROM collector.judgement
WHERE slot = $1 AND target = $2
UNION ALL
SELECT replayed_at, 'replay', program, status, rows, remarks, error
FROM collector.replay
WHERE slot = $1 AND target = $2
ORDER BY changed_at
"""
_RECONSTRUCTED = """
SELECT r.symbol,
       (SELECT l.name FROM collector.listing AS l WHERE l.symbol = r.symbol ORDER BY l.last_seen DESC LIMIT 1) AS name,
       r.price, r.change, ((r.rate >> 3) * 0.01)::numeric(9, 2) AS change_percent, r.volume, r.open, r.high, r.low,
       r.source, r.reconstructed_at
FROM collector.repaired_member AS m
JOIN collector.target AS t ON t.id = m.target
JOIN collector.reconstructed AS r ON r.slot = m.slot AND r.exchange = t.exchange AND r.symbol = m.symbol
WHERE m.slot = $1 AND m.target = $2
ORDER BY r.symbol
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
    corroboration: str
    repaired_at: datetime | None


class Bad(NamedTuple):
    """An undecoded row."""

    page: int
    raw: str
    reason: str
    symbol: str


class WitnessLine(NamedTuple):
    """The answer of a second source on a walk. Counts are those of the source."""

    source: str
    verdict: str
    detail: str
    members: int | None
    traded: int | None
    advancers: int | None
    unchanged: int | None
    decliners: int | None
    volume: int | None
    asked_at: datetime


class HistoryLine(NamedTuple):
    """A change of a ledger line: its instant, cause and author, and the line as it was before."""

    changed_at: datetime
    cause: str
    author: str
    status: str
    rows: int | None
    remarks: Sequence[str]
    error: str | None


class ReconstructedQuote(NamedTuple):
    """A listing at a missed slot, computed from minute bars."""

    symbol: str
    name: str | None
    price: int
    change: int
    change_percent: object
    volume: int | None
    open: int | None
    high: int | None
    low: int | None
    source: str
    reconstructed_at: datetime


@dataclass(frozen=True)
class WalkRecord:
    """Everything that the ledger knows of a walk."""

    line: WalkLine
    bad: Sequence[Bad]
    witnesses: Sequence[WitnessLine]
    history: Sequence[HistoryLine]
    reconstructed: Sequence[ReconstructedQuote]


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
    sign: int
    """1 at the upper limit, 2 higher, 3 unchanged, 4 at the lower limit, 5 lower; 0 without a sign."""


class WalkQueries(ReadOnlyDatabase):
    """The queries of one walk."""

    async def walk(self, slot: datetime, target: int) -> WalkRecord | None:
        """A walk; None if the ledger has no line."""
        async with self.connection("reading a walk") as connection:
            row = await connection.fetchrow(_WALK, slot, target)
            if row is None:
                return None
            line = WalkLine(*row)
            bad = await connection.fetch(_QUARANTINED, slot, target)
            witnesses = await connection.fetch(_WITNESSES, slot, target)
            history = await connection.fetch(_HISTORY, slot, target)
            rows = await connection.fetch(_RECONSTRUCTED, slot, target) if line.repaired_at else []
        return WalkRecord(
            line,
            [Bad(*row) for row in bad],
            [WitnessLine(*row) for row in witnesses],
            [HistoryLine(*row) for row in history],
            [ReconstructedQuote(*row) for row in rows],
        )

    async def members(self, slot: datetime, target: int) -> list[Member]:
        async with self.connection("reading the members") as connection:
            return [Member(*row) for row in await connection.fetch(_MEMBERS, slot, target)]
