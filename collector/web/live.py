"""What only the process itself knows: the sweeps under way in it and the requests that it has sent.

The daemon hands its collector over while it has one; a page beside a stopped daemon has none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from collector.collect import Collector, Tally

ANSWERS = ("ok", "Throttled", "Unavailable", "TokenExpired", "Rejected", "Unreadable", "Denied")
"""What can come of a request: a closed set."""


class Live:
    """The daemon's side of the page."""

    def __init__(self) -> None:
        self._collector: Collector | None = None
        self._before: Counter[str] = Counter()

    @contextmanager
    def attached(self, collector: Collector) -> Iterator[None]:
        """This collector is the one at work while the block runs."""
        self._collector = collector
        try:
            yield
        finally:
            self._before.update(collector.kiwoom.answers)
            self._collector = None

    def answers(self) -> Mapping[str, int]:
        """Requests since the process began, by what came of them."""
        now: Mapping[str, int] = self._collector.kiwoom.answers if self._collector else {}
        return {name: self._before[name] + now.get(name, 0) for name in ANSWERS}

    def underway(self) -> Mapping[tuple[datetime, str], Tally]:
        """The sweeps that run in this process, by slot and universe."""
        return self._collector.underway if self._collector else {}
