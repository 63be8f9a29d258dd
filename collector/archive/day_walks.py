"""Reads a day's walks from the ledger: their targets, row counts, and the times of their pages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from collector.archive.columns import WalkRow
from collector.base.days import day_bounds
from collector.db.pool import Connection

# The walks of a day with rows.
_WALKS = """
SELECT w.slot, w.target, w.status, w.rows, w.page_starts, w.page_times, t.market, t.sector, t.exchange
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2 AND w.rows > 0
"""


@dataclass(frozen=True)
class StoredDay:
    """The walks with rows of one exchange on one day. Targets are in the order of their indexes in a file."""

    day: date
    exchange: str
    targets: list[tuple[str, str]]
    numbers: list[int]
    """The ids of the targets in this database."""
    walks: Sequence[WalkRow]

    @property
    def rows(self) -> int:
        return sum(walk.rows for walk in self.walks)

    def fullest(self) -> tuple[datetime, int]:
        """Returns the slot with the most rows, and their count."""
        rows: Counter[datetime] = Counter()
        for walk in self.walks:
            rows[walk.slot] += walk.rows
        return rows.most_common(1)[0]


async def list_stored(connection: Connection, day: date) -> list[StoredDay]:
    """Returns the stored walks of a day, by exchange; an exchange without rows is left out."""
    lines = await connection.fetch(_WALKS, *day_bounds(day))
    return [
        _of(day, exchange, [line for line in lines if line["exchange"] == exchange])
        for exchange in sorted({line["exchange"] for line in lines})
    ]


def _of(day: date, exchange: str, lines: Sequence[Mapping[str, Any]]) -> StoredDay:
    target_keys = sorted({(line["market"], line["sector"], line["target"]) for line in lines})
    places = {target_id: index for index, (_, _, target_id) in enumerate(target_keys)}
    return StoredDay(
        day=day,
        exchange=exchange,
        targets=[(market, sector) for market, sector, _ in target_keys],
        numbers=[target_id for _, _, target_id in target_keys],
        walks=[read_walk_row(line, places[line["target"]]) for line in lines],
    )


def read_walk_row(line: Mapping[str, Any], target_index: int) -> WalkRow:
    """The walk of a line with these columns; `target_index` is its target's place in the file or the answer."""
    return WalkRow(
        slot=line["slot"],
        target=target_index,
        status=line["status"],
        rows=line["rows"],
        starts=line["page_starts"],
        times=line["page_times"],
    )
