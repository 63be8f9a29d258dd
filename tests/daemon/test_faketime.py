"""The daemon as a process whose wall clock is stepped while it runs."""

from datetime import datetime, timedelta

import pytest

from collector.db.pool import connect
from collector.model import KST
from kiwoom_simulator import Options, Simulator
from tests.support.archive_harness import DAY, files_in, fill, rows_of
from tests.support.daemon_parts import CONFIG
from tests.support.daemon_process import started
from tests.support.fake_clock import Wall, unavailable
from tests.torture.cluster import running

EVENING = datetime(2026, 11, 20, 23, 59, 30, tzinfo=KST)
TEN = datetime(2026, 11, 23, 10, 4, 55, tzinfo=KST)
BEFORE = TEN - timedelta(minutes=4)
"""No slot is due for four minutes, so that no sweep begins before the daemon is seen to be up."""

PATIENT = 150.0
"""Seconds for what the daemon says: libfaketime reads a file at each look at a clock."""

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available"),
]


async def test_a_wall_that_is_stepped_neither_repeats_nor_forgets_a_slot(tmp_path):
    """The database is on the same machine, so that its clock is stepped as well."""
    wall, path = Wall(tmp_path, BEFORE), tmp_path / "collector.yaml"
    async with (
        running(tmp_path / "server", wall=wall) as cluster,
        cluster.database() as database,
        Simulator(Options(quota=0, now=TEN, tokens_ahead=TEN - datetime.now(KST))) as simulator,
    ):
        path.write_text(CONFIG.format(url=simulator.url, every="5m"))
        async with started(path, database, **wall.environment) as daemon:
            await daemon.said("lease.taken", seconds=PATIENT)
            wall.show(TEN)
            await daemon.said("sweep.ended", seconds=PATIENT)
            wall.show(TEN + timedelta(hours=1))
            missed = await daemon.said("slot.missed", seconds=PATIENT)
            await daemon.said("sweep.ended", times=2, seconds=PATIENT)
            wall.show(TEN + timedelta(minutes=20))
            await daemon.said("slots.ahead_of_time", seconds=PATIENT)
            await daemon.said("sweep.ended", times=3, seconds=PATIENT)
            wall.show(TEN + timedelta(hours=1, minutes=5))
            await daemon.said("sweep.ended", times=4, seconds=PATIENT)
            assert (await daemon.stopped())[0] == 0
        async with connect(database) as connection:
            found = await connection.fetchval("SELECT count(DISTINCT slot) FROM walk")
            statuses = await connection.fetch(
                "SELECT DISTINCT slot, status, remarks FROM walk WHERE rows > 0"
            )
    began = [line["slot"][11:16] for line in daemon.events("sweep.began")]
    assert missed["reason"] == "late"
    assert len(began) == len(set(began))
    assert began == ["10:05", "11:05", "10:25", "11:10"]
    assert found == 14
    marked = {row["slot"].astimezone(KST).strftime("%H:%M"): tuple(row["remarks"]) for row in statuses}
    assert marked == {"10:05": (), "11:05": ("ahead_of_time",), "10:25": (), "11:10": ()}


async def test_a_night_of_the_daemon_moves_old_days_into_files(tmp_path):
    wall, path, home = Wall(tmp_path, EVENING), tmp_path / "collector.yaml", tmp_path / "home"
    async with (
        running(tmp_path / "server", wall=wall) as cluster,
        cluster.database() as database,
        Simulator(Options(quota=0)) as simulator,
    ):
        await fill(database, DAY, DAY + timedelta(days=1))
        path.write_text(
            CONFIG.format(url=simulator.url, every="5m") + "database: {archive_after_days: 1, keep_days: 0}\n"
        )
        async with started(path, database, COLLECTOR_HOME=str(home), **wall.environment) as daemon:
            await daemon.said("lease.taken", seconds=PATIENT)
            before = await rows_of(database)
            assert files_in(home) == []
            wall.show(EVENING + timedelta(minutes=10))
            await daemon.said("archive.output", times=2, seconds=PATIENT)
            assert (await daemon.stopped())[0] == 0
        kept = await rows_of(database)
    assert files_in(home / "archive") == [f"snapshot/date={DAY}/{venue}.parquet" for venue in ("KRX", "NXT")]
    assert kept
    assert kept == [row for row in before if row in kept]
    assert len(kept) * 2 == len(before)
