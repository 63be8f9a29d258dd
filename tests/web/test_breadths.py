"""How sectors stand is read once, and a walk that is forgotten while others are read is told all the same."""

from collections.abc import AsyncIterator

import pytest

from collector.db.database import Database
from collector.db.pool import open_pool
from collector.web.breadth_cache import BreadthCache
from collector.web.queries import Queries
from tests.support.harness import fetch
from tests.support.web_harness import KRX, Page, slot


@pytest.fixture
async def questions(shown: Page) -> AsyncIterator[Queries]:
    async with open_pool(shown.address, size=1) as pool:
        yield Queries(Database(pool, shown.address))


async def numbers(questions: Queries) -> dict[object, int]:
    return {target: number for number, target in (await questions.targets()).items()}


@pytest.mark.parametrize("kept", [1, 2, 40_000])
async def test_a_course_is_whole_however_little_is_remembered(shown, questions, kept):
    breadths, number = BreadthCache(kept), (await numbers(questions))[KRX]
    slots = [slot(at) for at in range(3)]
    assert [one.slot for one in await breadths.course(questions, number, slots[:1])] == slots[:1]
    told = await breadths.course(questions, number, slots)
    held = await fetch(
        shown.address,
        "SELECT slot, members, traded, advancers, decliners FROM breadth('KOSPI', '001', 'KRX', '2026-11-20')"
        " ORDER BY slot LIMIT 3",
    )
    assert [(one.slot, one.members, one.traded, one.up, one.down) for one in told] == held


@pytest.mark.parametrize("kept", [1, 2, 40_000])
async def test_the_newest_are_all_told_however_little_is_remembered(questions, kept):
    breadths = BreadthCache(kept)
    slots = {number: slot(at) for at, number in enumerate((await numbers(questions)).values()) if at < 3}
    found = [await breadths.newest(questions, slots) for _ in range(2)]
    assert [{target: one.slot for target, one in each.items()} for each in found] == [slots, slots]
