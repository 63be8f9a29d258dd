"""Provides a task group that raises the first expected error itself instead of a group."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from collector.errors import CollectorError

T = TypeVar("T")


class Group:
    """Creates the tasks of one `task_group`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[Any]] = set()

    def create_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self) -> None:
        """Wait until no task is left, tasks started meanwhile included."""
        while self._running:
            await asyncio.wait(self._running)


@asynccontextmanager
async def task_group() -> AsyncIterator[Group]:
    """Run tasks as a TaskGroup does, and raise the first CollectorError as itself.

    If several tasks fail at once, only the first error is raised. If the caller was cancelled meanwhile,
    CancelledError wins. Otherwise a retry loop could catch the error and swallow the shutdown.

    The tasks are awaited inside the TaskGroup. On Python 3.11 a TaskGroup that fails while exiting leaves the
    parent's cancel count at 1; a later `asyncio.timeout` would mistake it for an external cancellation.
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
        raise failure from None  # inside `except*`, Python before 3.11.4 would wrap it in a group again


def raise_if_cancelled() -> None:
    """Re-raise a cancellation that an error has masked."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(group: BaseExceptionGroup[CollectorError]) -> CollectorError:
    """Return the first error of a group, at any depth."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
