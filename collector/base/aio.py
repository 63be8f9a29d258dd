"""A group of tasks that fails as one of them did."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from collector.errors import CollectorError

T = TypeVar("T")


class Group:
    """Where `task_group` is told what to run."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[Any]] = set()

    def create_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self) -> None:
        """Until no task is left, those included that come meanwhile."""
        while self._running:
            await asyncio.wait(self._running)


@asynccontextmanager
async def task_group() -> AsyncIterator[Group]:
    """Run tasks as a TaskGroup does; the first CollectorError comes out as what it is.

    Those that fell in the same moment say the same. Cancelled while a task fails, it ends as cancelled: whoever wants
    it to stop is not answered by an error that another try might be made after.

    The tasks are waited for inside the TaskGroup: one that fails while it waits at its own end has the parent
    cancelled, and that is never taken back (Python 3.11); a time limit of later on takes it for somebody's wish.
    """
    failure: CollectorError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            group = Group(tasks)
            yield group
            await group.end()
    except* CollectorError as caught:
        failure = _first(caught)
    if failure is not None:
        raise_if_cancelled()
        raise failure from None  # within `except*` Python before 3.11.4 would make a group of it once more


def raise_if_cancelled() -> None:
    """What is cancelled while it fails may tell of the failure alone: a wish to stop wins over an error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(group: BaseExceptionGroup[CollectorError]) -> CollectorError:
    """One of a group, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
