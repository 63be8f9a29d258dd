"""The walks of a slot, and the certification of suspect ones by an operator."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from collector.base.remark_texts import Numbers, explain
from collector.db.pool import Connection
from collector.model import Status, Target

_WALKS = """
SELECT w.target AS id, t.market, t.sector, t.exchange, w.status, w.remarks, w.error, w.pages, w.rows, w.bad,
       w.expected, (SELECT count(*) FROM collector.walked(w.slot, w.target)) AS kept
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot = $1
ORDER BY t.market, t.sector, t.exchange
"""
_NEAREST = """
SELECT w.slot, t.market, t.sector, t.exchange
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.status = 'suspect'
ORDER BY greatest(w.slot - $1, $1 - w.slot), w.slot, t.market, t.sector, t.exchange
LIMIT 5
"""
_ACCEPT = """
SELECT collector.judge_again($1, ARRAY[$2::timestamptz], 'suspect', 'complete', 'accepted', $3)
"""
_KEEP_MEMBERSHIP = "SELECT collector.keep_membership($1)"


class SlotWalk(NamedTuple):
    """A walk of the slot. `rows` is its row count in the ledger, `kept` the number of rows in the database now."""

    id: int
    target: Target
    status: Status
    reason: str
    rows: int
    kept: int


async def read_walks(connection: Connection, slot: datetime) -> list[SlotWalk]:
    """All walks of a slot, by market, sector and exchange."""
    return [
        SlotWalk(
            id=row["id"],
            target=Target.of(row["market"], row["sector"], row["exchange"]),
            status=Status(row["status"]),
            reason=row["error"]
            or explain(row["remarks"], Numbers(row["pages"], row["rows"], row["bad"], row["expected"])),
            rows=row["rows"],
            kept=row["kept"],
        )
        for row in await connection.fetch(_WALKS, slot)
    ]


async def find_nearest_suspects(connection: Connection, slot: datetime) -> list[tuple[datetime, Target]]:
    """The suspect walks nearest to a slot, at most five."""
    rows = await connection.fetch(_NEAREST, slot)
    return [(row["slot"], Target.of(row["market"], row["sector"], row["exchange"])) for row in rows]


async def accept(connection: Connection, slot: datetime, walks: Iterable[SlotWalk], by: str) -> None:
    """Turn suspect walks of a slot into complete ones, and update the membership with their rows."""
    for walk in walks:
        await connection.fetchval(_ACCEPT, walk.id, slot, by)
    await connection.execute(_KEEP_MEMBERSHIP, slot)
