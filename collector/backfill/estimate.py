"""Estimates a backfill before it fetches anything; the progress display uses the same figures."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil

from collector.backfill.certify_bars import PAGE_BARS
from collector.backfill.gaps import LateSlot, UnrecoverableGap
from collector.backfill.period import Period
from collector.db.bars import MissingRange
from collector.model import Baseline, Market, Sector, Target
from collector.sweep.estimate import estimate, expected_rows

BAR_BYTES, SNAPSHOT_BYTES = 107, 110
"""Bytes of one row in the database, its share of the indexes included (docs/decisions/0005 for bars)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests to send, rows and bytes to store."""

    requests: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """The gaps of a period, and the source of each part, if there is one.

    `unknown` are targets without known members; a sweep walks them first. Until then their listings are
    guessed from the sector table.
    """

    period: Period
    adjusted: bool
    unknown: tuple[Target, ...] = ()
    sweep: Cost = Cost()
    late: Sequence[tuple[LateSlot, Cost]] = ()
    missing_ranges: Mapping[str, MissingRange] = field(default_factory=dict)
    guessed: int = 0
    """Rough count of listings named only by walks still to come; `bars` includes them."""
    bars: Cost = Cost()
    lost: Sequence[UnrecoverableGap] = ()
    indices: Cost = Cost()
    flows: Cost = Cost()

    @property
    def total(self) -> Cost:
        parts = (self.sweep, self.bars, self.indices, self.flows, *(cost for _, cost in self.late))
        return Cost(
            sum(part.requests for part in parts),
            sum(part.rows for part in parts),
            sum(part.bytes for part in parts),
        )


def pages(missing_range: MissingRange, trading: Sequence[date], *, adjusted: bool) -> int:
    """Returns the requests of one listing's history; `trading` are the trading days down to the oldest
    needed.

    Adjusted prices are always read from the newest day, because they are relative to the requested day.
    """
    end = len(trading) if adjusted else bisect_left(trading, missing_range.last) + 1
    return max(1, ceil((end - bisect_left(trading, missing_range.oldest)) / PAGE_BARS))


def cost_of_bars(
    missing_ranges: Iterable[MissingRange],
    trading: Sequence[date],
    *,
    adjusted: bool,
    guessed: int,
    days: int,
) -> Cost:
    """Returns the cost of the missing histories, and of `guessed` listings without any known history."""
    known = list(missing_ranges)
    requests = sum(pages(missing_range, trading, adjusted=adjusted) for missing_range in known)
    rows = sum(missing_range.days for missing_range in known) + guessed * days
    requests += guessed * max(1, ceil(len(trading) / PAGE_BARS)) if days else 0
    return Cost(requests, rows, rows * BAR_BYTES)


def cost_of_walks(
    targets: Collection[Target], sectors: Mapping[str, Sector], known: Mapping[Target, Baseline]
) -> Cost:
    """Returns the cost of walking these targets once."""
    walk_estimate = estimate(targets, sectors, known)
    return Cost(walk_estimate.requests, walk_estimate.rows, walk_estimate.rows * SNAPSHOT_BYTES)


def guess_listings(targets: Iterable[Target], sectors: Mapping[str, Sector]) -> int:
    """Estimates the number of listings: sectors of a market overlap, so only its largest sector counts."""
    largest: dict[Market, int] = {}
    for target in targets:
        rows = expected_rows(target, sectors.get(target.sector), None)
        largest[target.market] = max(rows, largest.get(target.market, 0))
    return sum(largest.values())
