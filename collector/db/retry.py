"""Repeats store operations after a failure, if the cause may pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from collector.db.lease import LeaseLost
from collector.errors import StoreError, StoreFailure

T = TypeVar("T")

_PAUSES = (0.2, 1.0, 3.0)
"""Seconds before the second, third and fourth attempt: a restart of the server takes some seconds."""


async def _do_nothing(_error: StoreError) -> None:
    """Prepares nothing for the next attempt."""


async def with_retries(
    work: Callable[[bool], Awaitable[T]], prepare: Callable[[StoreError], Awaitable[None]] = _do_nothing
) -> T:
    """Runs `work` up to four times; returns its result or raises its last error.

    `work` gets True from the second attempt on: the fate of the first is unknown after an error at COMMIT, so it must
    check for a committed result first (docs/decisions/0003). `prepare` runs after a failure, before the pause. A lost
    lease and a full disk do not pass, so their errors are raised at once.
    """
    for attempt, pause in enumerate(_PAUSES):
        try:
            return await work(attempt > 0)
        except LeaseLost:
            raise
        except StoreError as error:
            if error.kind is StoreFailure.DISK_FULL:
                raise
            await prepare(error)
        await asyncio.sleep(pause)
    return await work(True)
