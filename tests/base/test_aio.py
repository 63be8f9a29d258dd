"""Tasks that work together: one failure comes out, and nothing of it stays."""

import asyncio
from contextlib import suppress

import pytest

from collector.base.aio import task_group
from collector.errors import ApiError, CollectorError, StoreError


async def failing(error: Exception, after: asyncio.Event) -> None:
    await after.wait()
    raise error


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@pytest.mark.parametrize("error", [StoreError("away"), ApiError("no")], ids=["database", "API"])
async def test_a_failure_comes_out_as_what_it_is(error: CollectorError) -> None:
    async def whole() -> None:
        now = asyncio.Event()
        async with task_group() as group:
            group.create_task(failing(error, now))
            group.create_task(asyncio.sleep(3600))  # until it is cancelled
            now.set()

    with pytest.raises(type(error)) as caught:
        await whole()
    assert caught.value is error


async def test_a_failure_within_groups_of_groups_comes_out() -> None:
    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing(StoreError("away"), now))

    now = asyncio.Event()
    now.set()
    with pytest.raises(StoreError, match="away"):
        async with task_group() as group:
            group.create_task(inner())


async def test_a_bug_stays_a_group_with_its_traceback() -> None:
    now = asyncio.Event()
    now.set()
    with pytest.raises(ExceptionGroup) as caught:
        async with task_group() as group:
            group.create_task(failing(ZeroDivisionError(), now))
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("others", [0, 2])
async def test_a_task_that_fails_while_the_others_are_waited_for_leaves_no_cancellation(others: int) -> None:
    async def whole(now: asyncio.Event) -> None:
        async with task_group() as group:
            group.create_task(failing(StoreError("away"), now))
            for _ in range(others):
                group.create_task(asyncio.sleep(3600))  # until it is cancelled

    now = asyncio.Event()
    asyncio.get_running_loop().call_soon(now.set)
    with pytest.raises(StoreError):
        await whole(now)
    assert cancellations() == 0


async def test_a_time_limit_after_a_failure_is_a_time_limit() -> None:
    now = asyncio.Event()
    asyncio.get_running_loop().call_soon(now.set)
    with pytest.raises(StoreError):
        async with task_group() as group:
            group.create_task(failing(StoreError("away"), now))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(3600)  # until it is cancelled


async def test_a_cancellation_from_outside_ends_it_also_when_a_task_fails_of_it() -> None:
    """Else who tries again after an error would go on, although it was told to stop."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(3600)  # until it is cancelled
        except asyncio.CancelledError:
            raise StoreError("away") from None

    async def whole() -> None:
        with suppress(StoreError):
            async with task_group() as group:
                group.create_task(stubborn())

    task = asyncio.ensure_future(whole())
    await asyncio.sleep(0)  # one turn of the loop
    await asyncio.sleep(0)  # one turn of the loop
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_tasks_that_tasks_begin_are_waited_for() -> None:
    done: list[str] = []

    async def late() -> None:
        done.append("late")

    async def early() -> None:
        await asyncio.sleep(0)  # one turn of the loop
        group.create_task(late())

    async with task_group() as group:
        group.create_task(early())
    assert done == ["late"]
