"""Parts of about one size, and the next on its way while one is worked on: the server and we work side by side."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def split_evenly(sized: Iterable[tuple[T, float]], most: int) -> list[list[T]]:
    """Cut things into as few runs as hold about `most` rows each, all of about the same size.

    `sized` is each thing with its rows, in order. A run ends with the thing that fills it, which may go over.
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
    """What each of `makers` makes, in order; the next is being made while one is worked on, and no further one."""
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
    """Beside the event loop. Waited for to its end even when cancelled: nobody pulls away what it works on."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
