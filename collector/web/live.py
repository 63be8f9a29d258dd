"""Facts of this process alone: its running sweeps and its requests.

The daemon attaches its collector while it has one. A page beside a stopped daemon has none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from collector.base.histogram import Histogram
from collector.kiwoom.client import KiwoomClient
from collector.sweep.progress import SweepProgress
from collector.sweep.sweeper import Collector

ANSWERS = ("ok", "Throttled", "Unavailable", "TokenExpired", "Rejected", "Unreadable", "Denied")
"""The results of a request: a closed set."""


class Live:
    """The daemon's side of the page."""

    def __init__(self) -> None:
        self._collector: Collector | None = None
        self._before: Counter[str] = Counter()
        self._before_by_key: Counter[str] = Counter()
        self._counts_before: Counter[str] = Counter()
        self._durations_before: defaultdict[str, Histogram] = defaultdict(Histogram)

    @contextmanager
    def attach(self, collector: Collector) -> Iterator[None]:
        """Show this collector while the block runs."""
        self._collector = collector
        try:
            yield
        finally:
            for kiwoom in collector.keys:
                self._before.update(kiwoom.answers)
                self._before_by_key[kiwoom.name] += kiwoom.answers.total()
                _add(self._durations_before, kiwoom.durations)
            self._counts_before.update(collector.counts)
            self._collector = None

    def answers(self) -> Mapping[str, int]:
        """Requests since the start of the process, by result."""
        now = self._before.copy()
        for kiwoom in self._keys():
            now.update(kiwoom.answers)
        return {name: now[name] for name in ANSWERS}

    def by_key(self) -> Mapping[str, int]:
        """Requests since the start of the process, by the name of the key."""
        now = self._before_by_key.copy()
        for kiwoom in self._keys():
            now[kiwoom.name] += kiwoom.answers.total()
        return now

    def counts(self) -> Mapping[str, int]:
        """Walks by status since the start of the process, and `rows`: the stored ones."""
        now = self._counts_before.copy()
        if self._collector:
            now.update(self._collector.counts)
        return now

    def durations(self) -> Mapping[str, Histogram]:
        """The durations of requests since the start of the process, by api-id."""
        now: defaultdict[str, Histogram] = defaultdict(Histogram)
        _add(now, self._durations_before)
        for kiwoom in self._keys():
            _add(now, kiwoom.durations)
        return now

    def _keys(self) -> Sequence[KiwoomClient]:
        return self._collector.keys if self._collector else ()

    def underway(self) -> Mapping[tuple[datetime, str], SweepProgress]:
        """The running sweeps of this process, by slot and universe."""
        return self._collector.underway if self._collector else {}


def _add(durations: defaultdict[str, Histogram], others: Mapping[str, Histogram]) -> None:
    for api_id, histogram in others.items():
        durations[api_id].add(histogram)
