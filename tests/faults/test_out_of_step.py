"""Whole sweeps and histories of a server out of step with its requests: what is certified is what was asked for."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from collector.backfill.history import HistoryReader
from collector.db.bars import MissingRange
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import Bar, Status, Target
from collector.sweep.progress import SweepProgress
from kiwoom_simulator import Simulator
from tests.support.harness import OPEN, STILL, collecting
from tests.support.postgres_server import Server
from tests.torture import judge

TARGETS = [
    Target.of(market, sector, exchange)
    for market, sectors in (("KOSPI", ("005", "006", "007", "008")), ("KOSDAQ", ("106", "139")))
    for sector in sectors
    for exchange in ("KRX", "NXT")
]
EXTENDED = pytest.mark.extended
CASES = [
    ("surplus_answer:ms=0", 1),
    ("surplus_answer:ms=1,api=au10001", 1),
    ("unasked_408:ms=0.2", 1),
    ("surplus_chunk:ms=0", 4),
    *(
        pytest.param(switch, at_once, marks=EXTENDED)
        for switch, at_once in (
            *((f"surplus_answer:ms={ms}", at_once) for ms in (5, 50) for at_once in (1, 4)),
            ("surplus_answer:ms=0", 4),
            ("surplus_answer:ms=0.2", 1),
            ("surplus_answer:ms=0.2", 4),
            ("surplus_answer:ms=1", 4),
            ("surplus_answer:ms=0.2,bytes=200", 1),
            ("surplus_answer:ms=1,every=3", 4),
            ("unasked_408:ms=0", 1),
            ("unasked_408:ms=0.2", 4),
            ("unasked_408:ms=1,status=400", 1),
            ("unasked_408:ms=1,status=200", 4),
            ("surplus_chunk:ms=1", 1),
        )
    ),
]


@pytest.mark.parametrize(("switch", "at_once"), CASES)
async def test_what_is_certified_is_no_other_requests(database: Dsn, switch: str, at_once: int) -> None:
    async with Simulator(replace(STILL, faults=(switch,))) as simulator, connect(database) as connection:
        async with collecting(database, simulator.url, *TARGETS, concurrency=at_once) as collector:
            sweep = await collector.sweep(OPEN, "all", TARGETS)
        assert await judge.altered(connection, simulator) == []
    assert [str(outcome.status) for outcome in sweep.outcomes] == [Status.COMPLETE] * len(TARGETS), sweep


SYMBOLS = ["005930", "000660", "035720", "069500", "035420", "051910"]
OLDEST, NEWEST = date(2024, 2, 21), date(2026, 11, 19)
"""Two pages of 600 days."""


async def histories(address: Dsn, *faults: str) -> list[list[Bar]]:
    """The bars of each page: long histories of a few listings, three at a time."""
    options = replace(STILL, faults=faults)
    async with Simulator(options) as simulator, collecting(address, simulator.url) as collector:
        at_once = asyncio.Semaphore(3)

        async def read(symbol: str) -> list[list[Bar]]:
            stretch = MissingRange(symbol, OLDEST, NEWEST, 1000, OLDEST)
            async with at_once:
                history = HistoryReader(collector.kiwoom, stretch, SweepProgress(), adjusted=False)
                return [list(page.bars) for page in (await history.read(NEWEST)).pages]

        return await asyncio.gather(*map(read, SYMBOLS))


@pytest.fixture(scope="session")
async def sound(server: Server, template: str) -> list[list[Bar]]:
    """The histories of a server that keeps step."""
    async with server.database(template=template) as address:
        return await histories(address)


@pytest.mark.extended
@pytest.mark.parametrize(
    "switch",
    [
        "surplus_answer:ms=0.2",
        "surplus_answer:ms=5",
        "unasked_408:ms=0.2",
    ],
)
async def test_a_history_is_no_other_listings(database: Dsn, sound: list[list[Bar]], switch: str) -> None:
    assert await histories(database, switch) == sound
    assert any(len(pages) > 1 for pages in sound)
