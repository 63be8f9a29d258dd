"""The daemon as a process whose wall clock is stepped while it runs."""

from datetime import datetime, timedelta

import pytest

from collector.model import KST
from collector.simulator import Options, Simulator
from tests.cold.stand import DAY, files_in, fill, rows_of
from tests.daemon.processes import started
from tests.daemon.real import CONFIG
from tests.wall import Wall, unavailable

EVENING = datetime(2026, 11, 20, 23, 59, 30, tzinfo=KST)
TEN = datetime(2026, 11, 23, 10, 4, 55, tzinfo=KST)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available"),
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


async def test_a_night_of_the_daemon_moves_old_days_into_files(database, tmp_path):
    wall, path, home = Wall(tmp_path, EVENING), tmp_path / "collector.yaml", tmp_path / "home"
    await fill(database, DAY, DAY + timedelta(days=1))
    async with Simulator(Options(quota=0)) as simulator:
        path.write_text(
            CONFIG.format(url=simulator.url, every="5m") + "database: {archive_after_days: 1, keep_days: 0}\n"
        )
        async with started(path, database, COLLECTOR_HOME=str(home), **wall.environment) as daemon:
            await daemon.said("lease.taken")
            before = await rows_of(database)
            assert files_in(home) == []
            wall.show(EVENING + timedelta(minutes=10))
            await daemon.said("archive.said", times=2)
            assert (await daemon.stopped())[0] == 0
    assert files_in(home / "archive") == [f"snapshot/date={DAY}/{venue}.parquet" for venue in ("KRX", "NXT")]
    kept = await rows_of(database)
    assert kept
    assert kept == [row for row in before if row in kept]
    assert len(kept) * 2 == len(before)
