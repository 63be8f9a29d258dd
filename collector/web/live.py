"""What only the process itself knows: the sweeps under way in it and the requests that it has sent.

The daemon hands its collector over while it has one; a page beside a stopped daemon has none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from collector.kiwoom.client import KiwoomClient
from collector.sweep.progress import SweepProgress
from collector.sweep.sweeper import Collector

ANSWERS = ("ok", "Throttled", "Unavailable", "TokenExpired", "Rejected", "Unreadable", "Denied")
"""What can come of a request: a closed set."""


class Live:
    """The daemon's side of the page."""

    def __init__(self) -> None:
        self._collector: Collector | None = None
        self._before: Counter[str] = Counter()
        self._before_by_key: Counter[str] = Counter()

    @contextmanager
    def attach(self, collector: Collector) -> Iterator[None]:
        """This collector is the one at work while the block runs."""
        self._collector = collector
        try:
            yield
        finally:
            for kiwoom in collector.keys:
                self._before.update(kiwoom.answers)
                self._before_by_key[kiwoom.name] += kiwoom.answers.total()
            self._collector = None

    def answers(self) -> Mapping[str, int]:
        """Requests since the process began, by what came of them."""
        now = self._before.copy()
        for kiwoom in self._keys():
            now.update(kiwoom.answers)
        return {name: now[name] for name in ANSWERS}

    def by_key(self) -> Mapping[str, int]:
        """Requests since the process began, by the name of the key that they went out with."""
        now = self._before_by_key.copy()
        for kiwoom in self._keys():
            now[kiwoom.name] += kiwoom.answers.total()
        return now

    def _keys(self) -> Sequence[KiwoomClient]:
        return self._collector.keys if self._collector else ()

    def underway(self) -> Mapping[tuple[datetime, str], SweepProgress]:
        """The sweeps that run in this process, by slot and universe."""
        return self._collector.underway if self._collector else {}
