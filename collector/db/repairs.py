"""Reads and writes for a repair: missing walks, members of targets, observed quotes, reconstructed rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.db.database import Database
from collector.model import Target

_LONG = 120.0

# `status` of what the ledger holds; what it lacks is `absent`.
_MISSING = """
SELECT e.slot, e.target
FROM unnest($1::timestamptz[], $2::smallint[]) AS e (slot, target)
LEFT JOIN collector.walk AS w ON w.slot = e.slot AND w.target = e.target
WHERE w.status IS NULL OR w.status IN ('missed', 'failed')
ORDER BY e.slot, e.target
"""
# The membership that held on the day: the newest not later than it, else the oldest after it.
_MEMBERS = """
SELECT t.id AS target, m.symbols
FROM unnest($1::smallint[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT k.symbols
    FROM collector.membership AS k
    WHERE k.target = t.id
    ORDER BY k.as_of > $2, abs(k.as_of - $2)
    LIMIT 1
) AS m
"""
_DONE = """
SELECT symbol, exchange, slots
FROM collector.repair
WHERE trading_date = $1 AND outcome IN ('repaired', 'empty')
"""
_OBSERVED = """
SELECT DISTINCT ON (s.slot) s.slot, w.received_at, s.price, s.volume
FROM collector.listing AS l
JOIN collector.snapshot AS s ON s.listing = l.id
JOIN collector.target AS t ON t.id = s.target
JOIN collector.walk AS w ON w.slot = s.slot AND w.target = s.target
WHERE l.symbol = $1 AND t.exchange = $2 AND s.slot >= $3 AND s.slot < $4 AND w.status = 'complete' AND s.price > 0
ORDER BY s.slot, w.received_at
"""
_KEEP_MEMBERS = """
INSERT INTO collector.repaired_member (slot, target, symbol)
SELECT e.slot, $2, m.symbol
FROM unnest($1::timestamptz[]) AS e (slot)
CROSS JOIN unnest($3::text[]) AS m (symbol)
ON CONFLICT DO NOTHING
"""
# One statement for the rows and the line, so that a listing costs three round trips and not four. Slots that are there
# stay as they are.
_KEEP_LISTING = """
WITH kept AS (
    INSERT INTO collector.reconstructed
        (slot, symbol, exchange, price, change, rate, volume, open, high, low, source)
    SELECT r.slot, $2, $3, r.price, r.change, r.rate, r.volume, r.open, r.high, r.low, $12
    FROM unnest($13::timestamptz[], $14::integer[], $15::integer[], $16::integer[], $17::bigint[], $18::integer[],
                $19::integer[], $20::integer[])
         AS r (slot, price, change, rate, volume, open, high, low)
    ON CONFLICT DO NOTHING
)
INSERT INTO collector.repair AS r
    (trading_date, symbol, exchange, outcome, reason, bars, rows, compared, equal_prices, equal_volumes, slots)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (trading_date, exchange, symbol) DO UPDATE
SET outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, bars = EXCLUDED.bars, rows = r.rows + EXCLUDED.rows,
    compared = EXCLUDED.compared, equal_prices = EXCLUDED.equal_prices, equal_volumes = EXCLUDED.equal_volumes,
    slots = CASE WHEN EXCLUDED.outcome = 'failed' THEN r.slots
                 ELSE ARRAY(SELECT DISTINCT unnest(r.slots || EXCLUDED.slots)) END,
    repaired_at = clock_timestamp()
WHERE r.outcome = 'failed' OR EXCLUDED.outcome <> 'failed'
"""
_NO_ROWS: tuple[list[object], ...] = ([],) * 8
_MARK = """
UPDATE collector.walk AS w
SET repaired_at = clock_timestamp()
FROM collector.target AS t
WHERE w.target = t.id AND w.slot = ANY ($1::timestamptz[]) AND w.target = ANY ($2::smallint[])
  AND w.status IN ('missed', 'failed') AND w.repaired_at IS NULL
  AND EXISTS (
      SELECT
      FROM collector.repaired_member AS m
      JOIN collector.reconstructed AS r ON r.slot = m.slot AND r.symbol = m.symbol AND r.exchange = t.exchange
      WHERE m.slot = w.slot AND m.target = w.target
  )
"""
_SUMMARY = """
SELECT exchange, listings, repaired, empty, failed, rows, compared, equal_prices_percent, equal_volumes_percent,
       doubtful
FROM repair
WHERE trading_date = $1
ORDER BY exchange
"""


class MissingWalk(NamedTuple):
    """A slot and a target without stored rows."""

    slot: datetime
    target: Target


class RepairLine(NamedTuple):
    """The outcome for one listing on one exchange and day; `slots` are the settled ones."""

    trading_date: date
    symbol: str
    exchange: str
    outcome: str
    reason: str
    bars: int
    rows: int
    compared: int
    equal_prices: int
    equal_volumes: int
    slots: Sequence[datetime]


@dataclass(frozen=True)
class RepairStore:
    """The tables of a repair. `targets` gives each target its number. Errors are StoreError."""

    database: Database
    targets: Mapping[Target, int]

    async def missing(self, wanted: Sequence[MissingWalk]) -> list[MissingWalk]:
        """Those of the due walks that the ledger lacks, or holds as missed or failed."""
        names = {target_id: target for target, target_id in self.targets.items()}
        numbers = [self.targets[walk.target] for walk in wanted]
        async with self.database.connection(
            "comparing the ledger with the schedules", timeout=_LONG
        ) as connection:
            rows = await connection.fetch(_MISSING, [walk.slot for walk in wanted], numbers)
        return [MissingWalk(row["slot"], names[row["target"]]) for row in rows]

    async def members(self, targets: Sequence[Target], day: date) -> dict[Target, Sequence[str]]:
        """Returns the members of each target on a day, without targets that had no complete walk."""
        names = {self.targets[target]: target for target in targets}
        async with self.database.connection("reading memberships") as connection:
            rows = await connection.fetch(_MEMBERS, list(names), day)
        return {names[row["target"]]: row["symbols"] for row in rows}

    async def read_settled(self, day: date) -> dict[tuple[str, str], frozenset[datetime]]:
        """The slots of a day that are settled already, by symbol and exchange."""
        async with self.database.connection("reading earlier repairs", timeout=_LONG) as connection:
            rows = await connection.fetch(_DONE, day)
        return {(row["symbol"], row["exchange"]): frozenset(row["slots"]) for row in rows}

    async def read_observed(
        self, symbol: str, exchange: str, day: date
    ) -> list[tuple[datetime, datetime, int, int]]:
        """Slot, arrival, price and volume of what complete walks of a day showed of a listing."""
        async with self.database.connection("reading observed quotes") as connection:
            rows = await connection.fetch(_OBSERVED, symbol, exchange, *day_bounds(day))
        return [tuple(row) for row in rows]

    async def keep_members(self, slots: Sequence[datetime], target: Target, symbols: Sequence[str]) -> None:
        """Store the members of a target at repaired slots."""
        async with self.database.transaction("noting members of missed slots") as connection:
            await connection.execute(_KEEP_MEMBERS, slots, self.targets[target], symbols)

    async def save(self, line: RepairLine, quotes: Sequence[Sequence[object]], source: str) -> None:
        """Store a listing's rows of one day and exchange with its line, in one transaction."""
        columns = map(list, zip(*quotes, strict=True)) if quotes else _NO_ROWS
        async with self.database.transaction(f"storing the repair of {line.symbol}") as connection:
            await connection.execute(_KEEP_LISTING, *line, source, *columns)

    async def mark(self, walks: Sequence[MissingWalk]) -> int:
        """Give the ledger's lines of repaired walks their `repaired_at`; how many got it."""
        slots = list({walk.slot for walk in walks})
        numbers = list({self.targets[walk.target] for walk in walks})
        async with self.database.transaction("marking repaired walks") as connection:
            status = await connection.execute(_MARK, slots, numbers)
        return int(status.rpartition(" ")[2])

    async def summary(self, day: date) -> list[Mapping[str, object]]:
        """Returns the lines of the view `repair` for a day, one for each exchange."""
        async with self.database.connection("reading the outcome of a repair") as connection:
            return [dict(row) for row in await connection.fetch(_SUMMARY, day)]
