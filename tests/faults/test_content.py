"""Content that contradicts itself: stored as it came, and never certified where it cannot be told who is right."""

from dataclasses import replace

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.harness import OPEN, STILL, as_stored, collecting, fetch, stored

THREE = Target.of("KOSDAQ", "139", "KRX")
ONE = Target.of("KOSPI", "013", "KRX")


async def test_a_stock_that_comes_twice_with_two_prices_is_stored_twice_and_not_certified(
    database: Dsn,
) -> None:
    twice = replace(STILL, faults=("foreign_symbol:text=999990",))
    async with Simulator(twice) as simulator, collecting(database, simulator.url, THREE) as collector:
        await collector.sweep(OPEN, "all", [THREE])
    [[status, remarks, rows]] = await fetch(database, "SELECT status, remarks, rows FROM walk")
    prices = await fetch(database, "SELECT price FROM snapshot WHERE symbol = '999990'")
    assert (status, "duplicate_symbol" in remarks, rows) == ("suspect", True, 299)
    assert (len(prices), len(set(prices))) == (3, 3)
    assert await fetch(database, "SELECT count(*) FROM latest") == [(0,)]


async def test_prices_that_cannot_be_are_stored_as_they_came(database: Dsn) -> None:
    odd = replace(STILL, faults=("price_absurd:rows=9",))
    async with Simulator(odd) as simulator, collecting(database, simulator.url, ONE) as collector:
        assert (await collector.sweep(OPEN, "all", [ONE])).is_whole
        sound = [as_stored(row) for row in simulator.rows(ONE)]
    found = await stored(database, OPEN, ONE)
    differing = [(was, is_) for was, is_ in zip(sound, found, strict=True) if was != is_]
    assert len(differing) == 9
    wrong = await fetch(
        database,
        "SELECT count(*) FROM snapshot"
        " WHERE high < low OR price NOT BETWEEN low AND high OR price IS NULL AND volume > 0",
    )
    assert wrong == [(9,)]
