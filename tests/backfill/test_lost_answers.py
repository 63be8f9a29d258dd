"""A history whose answer was lost on its way back: it is looked up, and neither doubled nor given to another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collector.db.bars import BarStore, MissingRange
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.model import Certificate, Remark, Status
from tests.support.bar_histories import DAYS, closes, history, reading
from tests.support.harness import fetch
from tests.torture.tap import Line, tapped

SYMBOL = "000010"
BARS = history(SYMBOL, closes(DAYS))
WALKS = "SELECT status, rows FROM bar_walk"


@asynccontextmanager
async def storing(address: Dsn, *, is_heard: bool) -> AsyncIterator[BarStore]:
    """A store that is cut off once, when it stores a history: before or after the server has heard of it."""
    word = "told" if is_heard else "ask"
    cut: list[str] = []

    async def watch(step: str, number: int, _: Line) -> bool:
        if step.startswith(f"{word}: SELECT collector.enter_bars") and not cut:
            cut.append(step)
            return False
        return True

    async with tapped(address) as tap, open_pool(tap.address) as pool:
        tap.watch = watch
        yield BarStore(Database(pool, address))
    assert cut


@pytest.mark.parametrize("is_heard", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize("status", [Status.COMPLETE, Status.SUSPECT])
async def test_it_stands_in_the_ledger_once_and_counts_as_ours(
    database: Dsn, status: Status, is_heard: bool
) -> None:
    certificate = Certificate(status, () if status is Status.COMPLETE else (Remark.ABSENT_DAYS,))
    stretch = MissingRange(SYMBOL, DAYS[0], DAYS[-1], len(DAYS), DAYS[0])
    async with storing(database, is_heard=is_heard) as bars:
        entered = await bars.save_history(stretch, reading(BARS, oldest=DAYS[0]), certificate, adjusted=False)
    assert entered == len(DAYS)
    assert await fetch(database, WALKS) == [(status, len(DAYS))]
