"""The clock of another process: moved while it runs, for all that tells the time of day and nothing else."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.model import KST
from tests.support import fake_clock, moved_clock
from tests.support.fake_clock import Wall

pytestmark = pytest.mark.skipif(
    bool(fake_clock.unavailable()), reason=fake_clock.unavailable() or "available"
)

AHEAD = timedelta(days=400)
SHOW = """
import sys, time
from datetime import datetime
for _ in sys.stdin:
    seconds = time.clock_gettime(time.CLOCK_REALTIME)
    print(time.time(), seconds, datetime.now().timestamp(), time.mktime(time.localtime()), time.monotonic(), flush=True)
"""


@pytest.fixture
def shown(tmp_path: Path):
    """Sets the clock of a process, and asks it for all that it shows."""
    clock = Wall(tmp_path, datetime.now(UTC))
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW],
        env=clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(by: timedelta) -> list[float]:
        clock.show(datetime.now(UTC) + by)
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]

    yield ask
    process.communicate()


@pytest.mark.parametrize("by", [AHEAD, -AHEAD, timedelta(0)], ids=["ahead", "back", "right"])
def test_every_clock_of_the_wall_is_moved_and_the_monotonic_one_is_not(shown, by: timedelta) -> None:
    *walls, monotonic = shown(by)
    for seconds in walls:
        assert abs(seconds - time.time() - by.total_seconds()) < 3600
    assert abs(monotonic - time.monotonic()) < 3600


def test_it_is_stepped_while_the_process_runs(shown) -> None:
    first, second, third = (shown(by)[0] for by in (AHEAD, timedelta(0), AHEAD))
    assert second < first - AHEAD.total_seconds() / 2
    assert third > first


@pytest.mark.skipif(bool(moved_clock.unavailable()), reason=moved_clock.unavailable() or "available")
@pytest.mark.parametrize("inner", [None, -AHEAD])
def test_a_command_is_moved_with_all_that_it_starts_and_a_clock_of_its_own_adds_up(
    tmp_path: Path, inner: timedelta | None
) -> None:
    at = datetime(2031, 1, 3, 10, 0, tzinfo=KST)
    words = [*moved_clock.moved(tmp_path / "moved", at), "env", "-i"]
    if inner:
        clock = Wall(tmp_path, datetime.now(UTC) + inner)
        words += [f"{name}={value}" for name, value in clock.environment.items()]
    show = "import time; print(time.time(), time.monotonic())"
    shown = subprocess.run([*words, sys.executable, "-c", show], capture_output=True, text=True, check=True)
    wall, monotonic = map(float, shown.stdout.split())
    assert abs(wall - (at + (inner or timedelta(0))).timestamp()) < 3600
    assert abs(monotonic - time.monotonic()) < 3600


def test_it_is_our_own_where_there_is_a_compiler() -> None:
    assert (fake_clock.compiled() is not None) == (fake_clock.COMPILER is not None)
