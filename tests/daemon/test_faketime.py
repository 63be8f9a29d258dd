"""The daemon as a process whose wall clock is stepped while it runs."""

from datetime import datetime, timedelta

import pytest

from collector.model import KST
from collector.simulator import Options, Simulator
from tests.daemon.processes import started
from tests.daemon.real import CONFIG
from tests.wall import LIBRARY, Wall

TEN = datetime(2026, 11, 23, 10, 4, 55, tzinfo=KST)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
]


async def test_a_wall_that_is_stepped_neither_repeats_nor_forgets_a_slot(held, database, tmp_path):
    wall, path = Wall(tmp_path, TEN), tmp_path / "collector.yaml"
    async with Simulator(Options(quota=0)) as simulator:
        path.write_text(CONFIG.format(url=simulator.url, every="5m"))
        async with started(path, database, **wall.environment) as daemon:
            await daemon.said("lease.taken")
            wall.show(TEN)
            await daemon.said("sweep.ended")
            wall.show(TEN + timedelta(hours=1))
            missed = await daemon.said("slot.missed")
            await daemon.said("sweep.ended", times=2)
            wall.show(TEN + timedelta(minutes=20))
            await daemon.said("clock.stepped_back")
            await daemon.said("sweep.ended", times=3)
            wall.show(TEN + timedelta(hours=1, minutes=5))
            await daemon.said("sweep.ended", times=4)
            assert (await daemon.stopped())[0] == 0
    began = [line["slot"][11:16] for line in daemon.events("sweep.began")]
    assert missed["reason"] == "late"
    assert len(began) == len(set(began))
    assert began == ["10:05", "11:05", "10:25", "11:10"]
    async with held.session("looking") as connection:
        found = await connection.fetchval("SELECT count(DISTINCT slot) FROM walk")
    assert found == 14
