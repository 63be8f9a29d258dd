"""Processes that use one key: they share its token and its quota through the database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Options, Simulator
from tests.support.command_process import Ended, config, environment, run
from tests.support.harness import OPEN, STILL, fetch

CODES = ("005", "006", "007", "008", "009", "010", "011", "012")
STRICT = Options(quota=20, freeze=OPEN, latency=timedelta(milliseconds=20), jitter=timedelta(milliseconds=40))
"""Counts arrivals in any second, behind a network that bunches them up."""


async def together(
    database: Dsn, simulator: Simulator, folder: Path, count: int, **api: object
) -> list[Ended]:
    """As many sweeps at once, of sectors that no other one has."""
    commands = []
    for number in range(count):
        own = folder / str(number)
        own.mkdir(exist_ok=True)
        codes = CODES[number * len(CODES) // count : (number + 1) * len(CODES) // count]
        targets = [
            Target.of("KOSPI", code, exchange)
            for code in codes
            for exchange in ("KRX", "NXT", "CONSOLIDATED")
        ]
        config(own, *targets, **api)
        commands.append(run("once", "--quiet", env=environment(simulator.url, database), cwd=own))
    return await asyncio.gather(*commands)


async def test_three_processes_share_a_strict_quota_and_are_never_refused(
    database: Dsn, tmp_path: Path
) -> None:
    async with Simulator(STRICT) as simulator:
        for _ in range(2):
            ended = await together(database, simulator, tmp_path, 3, requests_per_second=20)
            assert [found.code for found in ended] == [0, 0, 0]
        answers = simulator.api.book.answers()
        [peak] = [arrivals for _, api_id, arrivals in simulator.api.gate.peaks() if api_id == "ka20002"]
    assert answers["au10001"] == {"ok": 1}
    assert set(answers["ka20002"]) == {"ok"}
    assert answers["ka20002"]["ok"] >= 48
    assert peak <= 20


@pytest.mark.extended
async def test_four_processes_and_a_dead_token_cost_one_issuance(database: Dsn, tmp_path: Path) -> None:
    async with Simulator(STILL) as simulator:
        assert [found.code for found in await together(database, simulator, tmp_path, 4)] == [0] * 4
        assert simulator.api.tokens.issued == 1
        simulator.api.tokens.expire()
        await asyncio.sleep(1)  # a slot is a whole second, and the first has its sweep
        assert [found.code for found in await together(database, simulator, tmp_path, 4)] == [0] * 4
        assert simulator.api.tokens.issued == 2
    assert await fetch(database, "SELECT count(*) FROM collector.token") == [(1,)]


@pytest.mark.parametrize("kills", [1, 2])
async def test_a_token_that_dies_in_mid_walk_starts_it_over_once(
    database: Dsn, tmp_path: Path, kills: int
) -> None:
    target = Target.of("KOSDAQ", "106", "KRX")
    config(tmp_path, target)
    faults = tuple(f"token_8005:page={2 + 9 * number},times=1" for number in range(kills))
    async with Simulator(Options(quota=0, freeze=OPEN, faults=faults)) as simulator:
        found = await run("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
        assert simulator.api.tokens.issued == 1 + kills
    assert found.code == kills - 1
    [[status, rows]] = await fetch(database, "SELECT status, rows FROM walk")
    assert (status, rows) == (("complete", 1116), ("failed", 0))[kills - 1]
