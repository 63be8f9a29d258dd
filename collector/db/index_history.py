"""Stores index values and flows of past days, and knows which days were asked for. Errors are StoreError."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from collector.db.database import Database
from collector.model import Exchange, Market

INDEX_BARS, FLOWS = "ka20006", "ka10051"

_MISSING = """
SELECT s.subject, array_agg(d.day ORDER BY d.day) AS days
FROM unnest($2::text[]) AS s (subject)
CROSS JOIN unnest($3::date[]) AS d (day)
WHERE NOT EXISTS (
    SELECT FROM collector.history_day AS h
    WHERE h.call = $1 AND h.subject = s.subject AND h.trading_date = d.day
)
GROUP BY s.subject
ORDER BY s.subject
"""
# A second backfill at the same time stores the same values, so the first row stays.
_SAVE_DAYS = """
INSERT INTO collector.history_day (call, subject, trading_date, rows)
SELECT $1, $2, day, rows FROM unnest($3::date[], $4::integer[]) AS n (day, rows)
ON CONFLICT DO NOTHING
"""
_SAVE_BARS = """
INSERT INTO collector.index_level (
    slot, market, sector, level, change, change_bp, sign, volume, turnover, received_at, source
)
SELECT slot, $1, $2, level, change, change_bp, sign, volume, turnover, clock_timestamp(), 'ka20006'
FROM unnest(
    $3::timestamptz[], $4::integer[], $5::integer[], $6::integer[], $7::smallint[], $8::bigint[], $9::bigint[]
) AS n (slot, level, change, change_bp, sign, volume, turnover)
ON CONFLICT DO NOTHING
"""
_SAVE_FLOWS = """
INSERT INTO collector.investor_flow AS f (trading_date, market, sector, exchange, investor, net_amount)
SELECT $1, $2, sector, $3, investor, net_amount
FROM unnest($4::text[], $5::text[], $6::bigint[]) AS n (sector, investor, net_amount)
ON CONFLICT (trading_date, sector, exchange, investor) DO UPDATE SET net_amount = EXCLUDED.net_amount
"""


class ClosingLevel(NamedTuple):
    """The closing level of one index on one day, in hundredths of a point; `slot` is the close of KRX.

    `change` and `change_bp` (basis points) are against the day before, `sign` is 2, 3 or 5; None if that day is not
    known. `volume` is in shares, `turnover` in won.
    """

    slot: datetime
    level: int
    change: int | None
    change_bp: int | None
    sign: int | None
    volume: int
    turnover: int


class IndexHistoryStore:
    """The tables of past index values and flows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missing_days(
        self, call: str, subjects: Collection[str], days: Sequence[date]
    ) -> dict[str, list[date]]:
        """The days that were not asked for, oldest first, by subject; a subject that lacks none is left out."""
        async with self._database.connection("looking up past days", timeout=60) as connection:
            rows = await connection.fetch(_MISSING, call, list(subjects), list(days))
        return {row["subject"]: row["days"] for row in rows}

    async def save_levels(
        self, market: Market, sector: str, days: Mapping[date, ClosingLevel | None]
    ) -> None:
        """Store the days of one index; None for a day without a value."""
        levels = [level for level in days.values() if level is not None]
        async with self._database.transaction("storing past index levels", timeout=60) as connection:
            if levels:
                columns = [list(column) for column in zip(*levels, strict=True)]
                await connection.execute(_SAVE_BARS, market, sector, *columns)
            rows = [int(level is not None) for level in days.values()]
            await connection.execute(_SAVE_DAYS, INDEX_BARS, sector, list(days), rows)

    async def save_flows(
        self,
        day: date,
        market: Market,
        exchange: Exchange,
        amounts: Sequence[tuple[str, str, int]],
    ) -> None:
        """Store the net purchases of one day: sector, investor, won."""
        async with self._database.transaction("storing flows of investors", timeout=60) as connection:
            if amounts:
                columns = [list(column) for column in zip(*amounts, strict=True)]
                await connection.execute(_SAVE_FLOWS, day, market, exchange, *columns)
            subject = flow_subject(market, exchange)
            await connection.execute(_SAVE_DAYS, FLOWS, subject, [day], [len(amounts)])


def flow_subject(market: Market, exchange: Exchange) -> str:
    """The name under which the days of a board and an exchange are kept."""
    return f"{market}/{exchange}"
