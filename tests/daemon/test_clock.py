"""The wall clock, in virtual time where it can be: reached, stepped, interrupted."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from collector.daemon import SystemClock
from tests.support.virtual_time import VirtualClock, run

START = datetime(2026, 11, 23, tzinfo=UTC)


class Wall(SystemClock):
    """The system's clock on a wall that the test turns."""

    def __init__(self, *steps: tuple[float, timedelta]) -> None:
        self._wall = VirtualClock(START, steps)
        self.glances = 0

    def now(self) -> datetime:
        self.glances += 1
        return self._wall.now()


def reached(at: datetime, *steps: tuple[float, timedelta]) -> tuple[float, datetime, int]:
    """Seconds that it took, what the wall showed then, and how often it was read."""

    async def wait():
        wall = Wall(*steps)
        await wall.sleep_until(at, asyncio.Event())
        return asyncio.get_running_loop().time(), wall._wall.now(), wall.glances

    return run(wait())


def test_it_is_reached_to_the_millisecond():
    seconds, shown, _ = reached(START + timedelta(seconds=300))
    assert (round(seconds, 3), shown) == (300, START + timedelta(seconds=300))


def test_the_wall_is_read_every_second():
    assert reached(START + timedelta(seconds=300))[2] >= 300


def test_a_wall_that_is_set_forward_is_noticed_within_a_second():
    seconds, _, _ = reached(START + timedelta(hours=2), (10, timedelta(hours=3)))
    assert seconds <= 11


def test_a_wall_that_is_set_back_is_noticed_within_a_second():
    seconds, shown, _ = reached(START + timedelta(hours=2), (10, timedelta(hours=-3)))
    assert seconds <= 11
    assert shown < START


@pytest.mark.parametrize("milliseconds", [-900, -20, 20, 900])
def test_a_clock_that_is_disciplined_is_waited_out(milliseconds):
    seconds, shown, _ = reached(START + timedelta(seconds=60), (10, timedelta(milliseconds=milliseconds)))
    assert shown >= START + timedelta(seconds=60)
    assert seconds == pytest.approx(60 - milliseconds / 1000, abs=0.01)


def test_what_has_been_is_reached_at_once():
    assert reached(START - timedelta(days=1))[0] == 0


async def test_it_can_be_told_to_stop_waiting():
    told = asyncio.Event()
    told.set()
    async with asyncio.timeout(600):
        await SystemClock().sleep_until(datetime.now(UTC) + timedelta(hours=1), told)
