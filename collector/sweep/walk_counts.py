"""Counts a walk and a sector in the same figures, so that they can be compared."""

from datetime import datetime
from typing import NamedTuple

from collector.market.membership import check_listings
from collector.model import QuoteColumns, WalkResult

PAGE_ROWS = 100


class WalkCounts(NamedTuple):
    """A walk as its rows count it. `volume` is in shares; `unread` are rows that do not decode."""

    members: frozenset[str]
    rows: int
    unread: int
    traded: int
    advancers: int
    unchanged: int
    decliners: int
    volume: int
    ends_full: bool
    """Whether the last page is full, as that of a list cut at a page border is."""


class SectorCounts(NamedTuple):
    """One sector in an answer of ka20003, and when the answer arrived. `volume` is in shares."""

    members: int
    traded: int
    advancers: int
    unchanged: int
    decliners: int
    volume: int
    received_at: datetime


def count_walk(reading: WalkResult) -> WalkCounts:
    """Count the rows of a walk. A row has traded if its volume is not 0; signs 1 and 2 advance, 4 and 5 decline."""
    counts = [0] * 6
    volume = 0
    for page in reading.pages:
        signs = _traded_signs(page.rows)
        for sign in range(1, 6):
            counts[sign] += signs.count(sign)
        volume += sum(page.rows.volume)
    unread = [row.symbol for page in reading.pages for row in page.bad]
    listed = check_listings(reading)
    sizes = [page.size for page in reading.pages if page.size]
    return WalkCounts(
        members=listed.members.union(filter(None, unread)) if unread else listed.members,
        rows=len(listed.symbols) + len(unread),
        unread=len(unread),
        traded=sum(counts),
        advancers=counts[1] + counts[2],
        unchanged=counts[3],
        decliners=counts[4] + counts[5],
        volume=volume,
        ends_full=bool(sizes) and sizes[-1] >= PAGE_ROWS,
    )


def _traded_signs(rows: QuoteColumns) -> bytes:
    """The signs of the rows that have traded, one byte each: bytes are counted at the speed of C."""
    if 0 not in rows.volume:
        return bytes(rows.sign.tolist())
    return bytes(sign for sign, shares in zip(rows.sign, rows.volume, strict=True) if shares)
