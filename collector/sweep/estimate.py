"""What a sweep will cost, before it is made: rows, requests, seconds at the quota, and whether it fits."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from collector.model import Baseline, Exchange, Sector, Target
from collector.sweep.certify import PAGE_ROWS

BYTES_A_ROW = 95
"""What a row takes on the disk, its share of indexes and ledger included (measured with 30 million rows)."""
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


def expected_rows(target: Target, sector: Sector | None, known: Baseline | None) -> int:
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
    targets: Iterable[Target], sectors: Mapping[str, Sector], known: Mapping[Target, Baseline]
) -> Estimate:
    """What one sweep over the targets comes to."""
    rows = [expected_rows(target, sectors.get(target.sector), known.get(target)) for target in targets]
    return Estimate(len(rows), sum(rows), sum(map(pages, rows)))


class Due(NamedTuple):
    """A sweep that a schedule asks for."""

    at: datetime
    schedule: str


class Completion(NamedTuple):
    """When that sweep will have ended."""

    due: Due
    at: datetime


class Overrun(NamedTuple):
    """A sweep that will not have ended when the next one of its schedule falls due."""

    due: Due
    ends: datetime
    next_at: datetime


@dataclass
class _Running:
    due: Due
    left: float
    """Requests still to be sent."""


def list_completions(
    due: Sequence[Due], requests: Mapping[str, int], per_second: int
) -> Iterator[Completion]:
    """When sweeps will end that share a quota evenly while they run at the same time, the first one first.

    `due` is in time order; `requests` is by schedule; a quota of 0 is none at all.
    """
    coming = deque(due)
    running: list[_Running] = []
    while coming or running:
        if not running:
            now = coming[0].at
        while coming and coming[0].at <= now:
            begun = coming.popleft()
            running.append(_Running(begun, requests[begun.schedule] if per_second else 0))
        first = min(running, key=lambda sweep: sweep.left)
        ready = now + timedelta(seconds=first.left * len(running) / per_second if per_second else 0)
        until = min(ready, coming[0].at) if coming else ready
        sent = (until - now).total_seconds() * per_second / len(running)
        for sweep in running:
            sweep.left -= sent
        now = until
        if until == ready:
            running.remove(first)
            yield Completion(first.due, now)


def find_overrun(due: Sequence[Due], requests: Mapping[str, int], per_second: int) -> Overrun | None:
    """The first sweep that will not have ended at the next slot of its schedule, None if all will have."""
    following: dict[Due, datetime] = {}
    last: dict[str, Due] = {}
    for slot in due:
        if slot.schedule in last:
            following[last[slot.schedule]] = slot.at
        last[slot.schedule] = slot
    for end in list_completions(due, requests, per_second):
        next_at = following.get(end.due)
        if next_at is not None and end.at > next_at:
            return Overrun(end.due, end.at, next_at)
    return None


def megabytes(rows: int, sweeps: int) -> float:
    """What so many sweeps of so many rows take on the disk, in millions of bytes."""
    return rows * sweeps * BYTES_A_ROW / 1e6
