"""Answers that may be a moment old: however many ask, the database is asked once."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Recent:
    """The newest `size` answers; one that is being fetched is waited for, not asked for again."""

    def __init__(self, size: int = 200, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._asking: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: Hashable, age: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question, at most `age` seconds old."""
        lock = self._asking[key]
        try:
            async with lock:
                at, answer = self._kept.get(key, (float("-inf"), None))
                if self._clock() - at > age:
                    answer = await ask()
                    self._keep(key, answer)
                found: T = answer
                return found
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    def _keep(self, key: Hashable, answer: object) -> None:
        self._kept[key] = (self._clock(), answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
