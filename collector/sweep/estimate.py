"""Estimates a sweep before it runs: rows, requests, seconds at the rate limit, and overruns."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from collector.model import Baseline, Exchange, Sector, Target
from collector.sweep.certify import PAGE_ROWS

BYTES_A_ROW = 95
"""Bytes of a row on disk, its share of indexes and ledger included (measured with 30 million rows)."""
_UNCOUNTED = 60
"""Rows expected of a sector without a count: about the size of an industry sector of either board."""
_ON_NXT = 0.14
"""Share of all listings traded on NXT (about 606 of 4,298, counted by public clients)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The targets of a sweep, with the expected rows and requests."""

    targets: int
    rows: int
    requests: int

    def seconds(self, per_second: int) -> float:
        """Returns the seconds needed for the requests at a rate; 0 without a limit."""
        return self.requests / per_second if per_second else 0.0


def expected_rows(target: Target, sector: Sector | None, known: Baseline | None) -> int:
    """Returns the expected rows of one walk: from the last complete walk, else the sector table, else a guess."""
    if known is not None and known.rows is not None:
        return known.rows
    if sector is None:
        return _UNCOUNTED
    if sector.index_only:
        return 0
    members = _UNCOUNTED if sector.members is None else sector.members
    return round(members * _ON_NXT) if target.exchange is Exchange.NXT else members


def count_pages(rows: int) -> int:
    """Returns the requests needed for a number of rows; an empty list takes one too."""
    return max(1, ceil(rows / PAGE_ROWS))


def estimate(
    targets: Iterable[Target], sectors: Mapping[str, Sector], known: Mapping[Target, Baseline]
) -> Estimate:
    """Estimates one sweep over the targets."""
    rows = [expected_rows(target, sectors.get(target.sector), known.get(target)) for target in targets]
    return Estimate(len(rows), sum(rows), sum(map(count_pages, rows)))


def sort_walks(
    targets: Iterable[Target], sectors: Mapping[str, Sector], known: Mapping[Target, Baseline]
) -> list[Target]:
    """Returns the targets in the order of their walks: the longest first, but one of the shortest before all.

    The pages of a walk are read one after another, so a long walk begun late would end alone, below the rate limit.
    The short one has rows, and its rows are stored within a second. Walks of equal length keep their order.
    """
    rows = {
        target: expected_rows(target, sectors.get(target.sector), known.get(target)) for target in targets
    }
    walks = sorted(rows, key=lambda target: count_pages(rows[target]), reverse=True)
    shortest = min(
        (target for target in rows if rows[target]),
        key=lambda target: count_pages(rows[target]),
        default=None,
    )
    return walks if shortest is None else [shortest, *(target for target in walks if target != shortest)]


class Due(NamedTuple):
    """A sweep demanded by a schedule."""

    at: datetime
    schedule: str


class Completion(NamedTuple):
    """The estimated end of a due sweep."""

    due: Due
    at: datetime


class Overrun(NamedTuple):
    """A sweep still running at the next slot of its schedule."""

    due: Due
    ends: datetime
    next_at: datetime


@dataclass
class _Running:
    due: Due
    left: float
    """Requests still to send."""


def list_completions(
    due: Sequence[Due], requests: Mapping[str, int], per_second: int
) -> Iterator[Completion]:
    """Yields the ends of sweeps in time order; sweeps running at the same time share the rate evenly.

    `due` is in time order, `requests` is by schedule, a rate of 0 means no limit.
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
    """Returns the first sweep still running at the next slot of its schedule, None if all end in time."""
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
    """Returns the disk space of sweeps in millions of bytes; `rows` are those of one sweep."""
    return rows * sweeps * BYTES_A_ROW / 1e6
