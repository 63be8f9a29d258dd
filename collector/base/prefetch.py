"""Splits work into parts of about one size and prepares the next part during the work on the current one.

The server and the program thus work in parallel.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def split_evenly(sized: Iterable[tuple[T, float]], most: int) -> list[list[T]]:
    """Split items into runs of about `most` rows each, all of about the same size.

    `sized` yields each item with its number of rows, in order. The item that fills a run belongs to it, so a
    run may be larger than `most`.
    """
    things = list(sized)
    whole = sum(rows for _, rows in things)
    count = max(1, -(-int(whole) // most))
    parts: list[list[T]] = [[] for _ in range(count)]
    total = 0.0
    for thing, rows in things:
        parts[min(int(total * count / whole) if whole else 0, count - 1)].append(thing)
        total += rows
    return [part for part in parts if part]


async def prefetch(makers: Sequence[Callable[[], Awaitable[T]]]) -> AsyncGenerator[T, None]:
    """Yield the result of each maker, in order. Only the next one is prepared during the work on the current
    one."""
    coming: asyncio.Future[T] | None = None
    try:
        for index, make in enumerate(makers, 1):
            made = await (coming or make())
            coming = asyncio.ensure_future(makers[index]()) if index < len(makers) else None
            yield made
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            with suppress(asyncio.CancelledError):
                await coming


async def to_thread_uninterrupted(work: Callable[..., T], *arguments: Any) -> T:
    """Run work in a thread and wait for its end even if cancelled, so its resources stay valid until then."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
