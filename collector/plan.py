"""What a sweep will cost, before it is made: rows, requests, seconds at the quota."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from collector.certify import PAGE_ROWS
from collector.model import Exchange, Known, Sector, Target

_UNCOUNTED = 60
"""Rows to expect of a sector that nobody counted: about what an industry of either board holds."""
_ON_NXT = 0.14
"""The part of all listings that trades on NXT (about 606 of 4,298; public clients counted)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Targets, and the rows and requests to expect of them."""

    targets: int
    rows: int
    requests: int

    def seconds(self, per_second: int) -> float:
        """How long the requests take at a quota; 0 where there is none."""
        return self.requests / per_second if per_second else 0.0


def expected_rows(target: Target, sector: Sector | None, known: Known | None) -> int:
    """Rows of one walk: what the last complete one had, else what the sector table says, else a guess."""
    if known is not None and known.rows is not None:
        return known.rows
    if sector is None:
        return _UNCOUNTED
    if sector.index_only:
        return 0
    members = _UNCOUNTED if sector.members is None else sector.members
    return round(members * _ON_NXT) if target.exchange is Exchange.NXT else members


def pages(rows: int) -> int:
    """Requests that a walk of so many rows takes; an empty one takes one as well."""
    return max(1, ceil(rows / PAGE_ROWS))


def estimate(
    targets: Iterable[Target], sectors: Mapping[str, Sector], known: Mapping[Target, Known]
) -> Estimate:
    """What one sweep over the targets comes to."""
    rows = [expected_rows(target, sectors.get(target.sector), known.get(target)) for target in targets]
    return Estimate(len(rows), sum(rows), sum(map(pages, rows)))
