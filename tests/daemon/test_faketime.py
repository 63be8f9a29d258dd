"""The daemon as a process whose wall clock is stepped while it runs."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.model import KST
from collector.simulator import Options, Simulator
from tests.daemon.processes import started
from tests.daemon.real import CONFIG

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
TEN = datetime(2026, 11, 23, 10, 4, 55, tzinfo=KST)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
]


class Wall:
    """The clock on the wall of the process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"

    def show(self, at: datetime) -> None:
        self._file.write_text(f"{at.timestamp() - time.time():+.3f}")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


async def test_a_wall_that_is_stepped_neither_repeats_nor_forgets_a_slot(held, database, tmp_path):
    wall, path = Wall(tmp_path), tmp_path / "collector.yaml"
    wall.show(TEN)
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
