"""What is kept for a moment is asked for once, and let go when the moment is over."""

import asyncio
import weakref

import pytest

from collector.web.cache import TtlCache


class Answer:
    """Something large."""


class Clock:
    """Time as the test has it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def answer() -> Answer:
    return Answer()


async def other() -> str:
    return "another"


async def test_what_nobody_may_be_given_any_more_is_let_go_when_something_else_is_kept():
    clock = Clock()
    recent = TtlCache(clock=clock)
    held = weakref.ref(await recent.get("large", 60.0, answer))
    clock.now = 59.0
    await recent.get("other", 1.0, other)
    assert held() is not None
    clock.now = 61.0
    await recent.get("other", 1.0, other)
    assert held() is None


async def test_an_answer_is_given_out_as_long_as_it_is_young_enough():
    clock = Clock()
    recent = TtlCache(clock=clock)
    first = await recent.get("key", 60.0, answer)
    clock.now = 60.0
    assert await recent.get("key", 60.0, answer) is first
    clock.now = 60.1
    assert await recent.get("key", 60.0, answer) is not first


async def test_only_the_newest_are_kept():
    recent = TtlCache(size=2, clock=Clock())
    first = weakref.ref(await recent.get(1, 60.0, answer))
    await recent.get(2, 60.0, answer)
    assert first() is not None
    await recent.get(3, 60.0, answer)
    assert first() is None


@pytest.mark.extended
async def test_many_who_ask_at_once_share_one_question():
    asked = []

    async def slow() -> int:
        asked.append(1)
        await asyncio.sleep(0)  # the others ask meanwhile
        return 4

    recent = TtlCache()
    assert await asyncio.gather(*(recent.get("key", 1.0, slow) for _ in range(5))) == [4] * 5
    assert asked == [1]
