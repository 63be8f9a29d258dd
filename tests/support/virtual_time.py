"""Virtual time: an event loop that never waits, and a wall clock on top of it that can be stepped."""

import asyncio
import selectors
from bisect import bisect_right
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any


class _Selector(selectors.SelectSelector):
    """Where the loop would wait, its time goes on instead; waiting for nothing at all is a deadlock."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits, and nothing will ever happen")
        self.seconds += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still while anything runs."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # Late in a year a float has no nanoseconds left, and a timer that is due in one would never come.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.seconds


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class VirtualClock:
    """A wall that shows `start` when the loop begins, and is stepped at given seconds of the loop's time."""

    def __init__(self, start: datetime, steps: Sequence[tuple[float, timedelta]] = ()) -> None:
        self.start = start
        self._loop = asyncio.get_running_loop()
        self._at = [at for at, _ in steps]
        self._shifts = [timedelta(), *accumulate(by for _, by in steps)]

    def now(self) -> datetime:
        place = bisect_right(self._at, self._loop.time())
        return self.start + timedelta(seconds=self._loop.time()) + self._shifts[place]

    async def sleep_until(self, at: datetime, unless: asyncio.Event) -> None:
        while (now := self.now()) < at and not unless.is_set():
            place = bisect_right(self._at, self._loop.time())
            left = (at - now).total_seconds()
            if place < len(self._at):
                left = min(left, self._at[place] - self._loop.time())
            try:
                async with asyncio.timeout(max(left, 1e-6)):
                    await unless.wait()
            except TimeoutError:
                if self.now() < now - timedelta(seconds=1):
                    return
