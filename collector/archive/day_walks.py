"""What the ledger knows of a day's rows: whose they are, how many, and when each page of them came."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from collector.archive.columns import WalkRow
from collector.db.pool import Connection
from collector.model import KST

_WALKS = """
SELECT w.slot, w.target, w.status, w.rows, w.page_starts, w.page_times, t.market, t.sector, t.exchange
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot >= $1 AND w.slot < $2 AND w.rows > 0
"""


@dataclass(frozen=True)
class StoredDay:
    """The walks of one exchange on one day that stored rows. Targets are in the order of their places in a file."""

    day: date
    exchange: str
    targets: list[tuple[str, str]]
    numbers: list[int]
    """The targets' numbers in this database."""
    walks: Sequence[WalkRow]

    @property
    def rows(self) -> int:
        return sum(walk.rows for walk in self.walks)

    def fullest(self) -> tuple[datetime, int]:
        """The slot with the most rows, and how many."""
        rows: Counter[datetime] = Counter()
        for walk in self.walks:
            rows[walk.slot] += walk.rows
        return rows.most_common(1)[0]


def bounds(day: date) -> tuple[datetime, datetime]:
    """The first instant of a day of Korea, and that of the next."""
    start = datetime.combine(day, time(), KST)
    return start, start + timedelta(days=1)


async def list_stored(connection: Connection, day: date) -> list[StoredDay]:
    """What is stored of a day, by exchange; an exchange that has no rows is not there."""
    lines = await connection.fetch(_WALKS, *bounds(day))
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
        walks=[_walk(line, places[line["target"]]) for line in lines],
    )


def _walk(line: Mapping[str, Any], target_index: int) -> WalkRow:
    return WalkRow(
        slot=line["slot"],
        target=target_index,
        status=line["status"],
        rows=line["rows"],
        starts=line["page_starts"],
        times=line["page_times"],
    )
