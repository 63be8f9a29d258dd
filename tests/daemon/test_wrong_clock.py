"""The daemon and the commands under a clock that is not the database's: real processes, by libfaketime."""

from datetime import UTC, datetime, timedelta

import pytest

from collector.db.catalog import Registry
from kiwoom_simulator import Options, Simulator
from tests.daemon.test_accounts import ROWS, TARGETS
from tests.support.command_process import environment, run_cold
from tests.support.daemon_process import started, write
from tests.support.fake_clock import Wall, unavailable
from tests.support.harness import fetch

D, H, M = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available"),
]
EVERYTHING = "SELECT (SELECT count(*) FROM collector.snapshot), (SELECT count(*) FROM collector.walk)"
PATIENT = 150.0
"""Seconds for what a daemon says: libfaketime reads a file at each look at a clock, and slows everything down."""
OFTEN = "often: {universe: some, every: 1m, during: day}"
FUTURE = "SELECT count(*) FROM collector.walk WHERE slot > clock_timestamp()"
FAR_FUTURE = f"{FUTURE} + INTERVAL '1 minute'"
"""Beyond the difference that a disciplined clock explains: lines within it stay."""


def now() -> datetime:
    return datetime.now(UTC)


def every_minute(folder, simulator, more=""):
    """A configuration whose one schedule sweeps at every minute of the day."""
    path = write(folder, simulator, more=more)
    text = path.read_text().replace('today: {universe: some, at: "00:00", days: all, grace: 1d}', OFTEN)
    path.write_text(text)
    return path


@pytest.fixture
async def old(held):
    """Rows of 401 days ago, and a walk of a moment ago."""
    await Registry(held).register_targets(TARGETS)
    at = now() - 401 * D
    async with held.transaction("storing") as connection:
        await connection.fetchval("SELECT collector.make_days($1, 2)", at.date())
        await connection.execute(ROWS, at, 7)
        await connection.execute(
            "INSERT INTO collector.walk (slot, target, status, received_at)"
            " SELECT $1, id, 'complete', $1 FROM collector.target",
            now() - 2 * H,
        )
    return held


@pytest.mark.parametrize("shift", [456 * D, 3 * D, 9 * H, M, -9 * H, -400 * D])
async def test_a_daemon_under_a_wrong_clock_waits_and_goes_on_at_once_when_it_is_right(
    old, database, tmp_path, shift
):
    before = (await fetch(database, EVERYTHING))[0]
    wall = Wall(tmp_path, now() + shift)
    async with Simulator(Options(quota=0)) as simulator:
        path = write(tmp_path, simulator.url, more="database: {keep_days: 400}\n")
        async with started(path, database, "--force", **wall.environment) as daemon:
            said = await daemon.said("clocks.apart", seconds=PATIENT)
            assert (await fetch(database, EVERYTHING))[0] == before
            assert {arrival["api_id"] for arrival in simulator.api.book.since(0)} <= {"au10001"}
            wall.show(now())
            await daemon.said("clocks.agree", seconds=PATIENT)
            await daemon.said("sweep.ended", seconds=PATIENT)
            await daemon.said("days.will_be_dropped", seconds=PATIENT)
            assert (await daemon.stopped())[0] == 0
    assert ("ahead of" if shift > timedelta() else "behind") in said["difference"]
    assert (await fetch(database, FUTURE)) == [(0,)]
    rows, _ = (await fetch(database, EVERYTHING))[0]
    assert rows >= before[0]
    assert daemon.events("days.dropped") == []


@pytest.mark.parametrize("shift", [456 * D, 25 * H, -25 * H])
async def test_a_clock_that_is_stepped_while_the_daemon_runs_costs_no_row_and_no_slot(
    old, database, tmp_path, shift
):
    wall = Wall(tmp_path, now())
    async with Simulator(Options(quota=0)) as simulator:
        path = every_minute(tmp_path, simulator.url, "database: {keep_days: 400}\n")
        async with started(path, database, "--force", **wall.environment) as daemon:
            await daemon.said("sweep.ended", seconds=PATIENT)
            wall.show(now() + shift)
            await daemon.said("clocks.apart", seconds=PATIENT)
            assert (await fetch(database, FUTURE)) == [(0,)]
            wall.show(now())
            await daemon.said("clocks.agree", seconds=PATIENT)
            seen = len(daemon.events("sweep.ended"))
            await daemon.said("sweep.ended", times=seen + 1, seconds=PATIENT)
            assert (await daemon.stopped())[0] == 0
    assert (await fetch(database, FUTURE)) == [(0,)]
    rows = await fetch(
        database, "SELECT count(*) FROM collector.snapshot WHERE slot < now() - INTERVAL '400 days'"
    )
    assert rows == [(len(TARGETS),)]


async def test_lines_of_the_future_are_removed_with_a_word_and_sweeps_start_at_once(old, database, tmp_path):
    async with old.transaction("an earlier daemon, three days ahead") as connection:
        await connection.execute(
            "INSERT INTO collector.walk (slot, target, status, error) SELECT at, id, 'missed', 'down'"
            " FROM collector.target CROSS JOIN generate_series(now(), now() + INTERVAL '3 days', '1 minute') AS at"
        )
        await connection.execute(
            "INSERT INTO collector.accounted VALUES ('often', now() + INTERVAL '3 days')"
        )
    async with Simulator(Options(quota=0)) as simulator:
        path = every_minute(tmp_path, simulator.url)
        async with started(path, database, "--force") as daemon:
            said = await daemon.said("slots.ahead_of_time", seconds=PATIENT)
            assert (await fetch(database, FAR_FUTURE)) == [(0,)]
            await daemon.said("sweep.ended", seconds=PATIENT)
            assert (await daemon.stopped())[0] == 0
    assert said["removed"] >= 2 * 4_300
    assert said["schedules_put_back"] == 1


@pytest.mark.parametrize("shift", [456 * D, 9 * H, -9 * H])
async def test_a_command_under_a_wrong_clock_stores_nothing_and_says_by_how_much(database, tmp_path, shift):
    wall = Wall(tmp_path, now() + shift)
    async with Simulator(Options(quota=0)) as simulator:
        path = write(tmp_path, simulator.url)
        env = environment(simulator.url, database) | wall.environment
        once = await run_cold("-m", "collector", "once", "--config", str(path), env=env, cwd=tmp_path)
        check = await run_cold(
            "-m", "collector", "check", "--online", "--config", str(path), env=env, cwd=tmp_path
        )
    assert (once.code, check.code) == (2, 2)
    direction = "ahead of" if shift > timedelta() else "behind"
    assert f"{direction} the database's" in once.err
    wanted = f"{direction} the database and {'of ' if shift > timedelta() else ''}the answer's Date"
    assert wanted in check.err
    assert "base_url" not in check.err
    assert (await fetch(database, EVERYTHING)) == [(0, 0)]
