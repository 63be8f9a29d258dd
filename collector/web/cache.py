"""Answers with a maximum age. Concurrent requests for the same key share one query."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class TtlCache:
    """The newest `size` answers, none older than its age. A request waits for a query already under way."""

    def __init__(self, size: int = 200, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._asking: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: Hashable, age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer for a key, at most `age` seconds old. Always pass the same age for a key."""
        lock = self._asking[key]
        try:
            async with lock:
                until, answer = self._kept.get(key, (float("-inf"), None))
                if self._clock() > until:
                    answer = await ask()
                    self._keep(key, self._clock() + age, answer)
                value: T = answer
                return value
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    def _keep(self, key: Hashable, until: float, answer: object) -> None:
        now = self._clock()
        for old in [old for old, (end, _) in self._kept.items() if end < now]:
            del self._kept[old]
        self._kept[key] = (until, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
