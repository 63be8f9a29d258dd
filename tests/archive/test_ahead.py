"""Parts of one size, and the next one on its way."""

import asyncio
from contextlib import aclosing
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.base.prefetch import prefetch, split_evenly, to_thread_uninterrupted

SIZES = st.lists(st.integers(0, 50), max_size=60)


@given(SIZES, st.integers(1, 200))
def test_parts_hold_everything_in_order_and_about_as_much_each(sizes: list[int], most: int) -> None:
    parts = split_evenly(enumerate(sizes), most)
    assert [thing for part in parts for thing in part] == list(range(len(sizes)))
    assert all(parts)
    assert len(parts) <= max(1, -(-sum(sizes) // most))
    held = [sum(sizes[thing] for thing in part) for part in parts]
    assert all(rows < most + max(sizes) for rows in held)


async def test_the_next_is_made_while_one_is_worked_on_and_no_further_one() -> None:
    begun: list[int] = []

    async def make(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)  # one turn of the loop
        return number

    seen = []
    async with aclosing(prefetch([partial(make, number) for number in range(4)])) as made:
        async for number in made:
            await asyncio.sleep(0)  # one turn of the loop
            seen.append((number, list(begun)))
    assert seen == [(0, [0, 1]), (1, [0, 1, 2]), (2, [0, 1, 2, 3]), (3, [0, 1, 2, 3])]


async def test_who_stops_early_leaves_nothing_running() -> None:
    stopped = asyncio.Event()

    async def first() -> int:
        return 1

    async def endless() -> int:
        try:
            await asyncio.sleep(3600)  # until it is cancelled
        finally:
            stopped.set()
        return 2

    async with aclosing(prefetch([first, endless])) as made:
        async for _ in made:
            await asyncio.sleep(0)  # one turn of the loop
            break
    assert stopped.is_set()


async def test_work_aside_is_waited_for_even_when_cancelled() -> None:
    loop, begun, done = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result()  # it is cancelled meanwhile
        loop.call_soon_threadsafe(done.set)

    task = asyncio.ensure_future(to_thread_uninterrupted(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
