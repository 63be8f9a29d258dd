"""The page beside sweeps: however much is asked of it, the loop that they share turns on."""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest

from collector.model import KST, Target
from kiwoom_simulator import Options, Simulator
from tests.support.harness import collecting
from tests.support.web_harness import Page, page

REQUESTS = 1000
SWEEPS = 5
TENTH = 0.1
_READER = """
import http.client, sys, time
host, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
line = http.client.HTTPConnection(host, timeout=30)
for number in range(count):
    line.request("GET", "/")
    answer = line.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    time.sleep(pause)  # a reader's pace is the subject
"""


async def longest_stall(stop: asyncio.Event) -> float:
    """The longest that the loop worked without letting others have a turn, in seconds.

    In the thread's own time: what else the machine is busy with does not count.
    """
    worst = 0.0
    while not stop.is_set():
        before = time.thread_time()
        await asyncio.sleep(0.001)  # one turn of the loop
        worst = max(worst, time.thread_time() - before)
    return worst


async def read_much(shown: Page, count: int, *, seconds: float = 0.0) -> None:
    """Somebody in a process of their own reads the page over and over, at once or spread over some seconds."""
    host = shown.url.removeprefix("http://")
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _READER, host, str(count), str(seconds / count)
    )
    assert await reader.wait() == 0


@pytest.mark.slow
async def test_a_thousand_requests_keep_nobody_waiting_for_a_tenth_of_a_second(shown):
    stop = asyncio.Event()
    stall = asyncio.create_task(longest_stall(stop))
    await asyncio.gather(*(read_much(shown, REQUESTS // 4) for _ in range(4)))
    stop.set()
    assert await stall < 0.1


@pytest.mark.slow
async def test_a_thousand_requests_delay_no_sweep_by_a_tenth_of_a_second(database):
    """The sweeps share the loop with the page, as in `daemon --web`, and their pace is the quota's.

    Ten sectors of one page each at five requests a second are two windows of the quota: each sweep after
    the first leaves the quota as it found it, and takes as long as the one before. Each of those beside the
    page has a thousand requests of its own, spread over all of it, and the slowest is held against the
    slowest of those without. What else the machine does may strike one of them: then it is measured anew,
    once, and a page that delays sweeps does so again.
    """
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=KST)
    targets = [Target.of("KOSPI", f"{code:03}", "KRX") for code in (5, 6, 7, 9, 10, 11, 12, 14, 18, 19)]
    minutes = count()
    async with (
        Simulator(Options(quota=5, freeze=noon)) as simulator,
        collecting(database, simulator.url, *targets, requests_per_second=5) as collector,
        page(database) as shown,
    ):

        async def swept() -> float:
            began = time.monotonic()
            sweep = await collector.sweep(noon + timedelta(minutes=next(minutes)), "all", targets)
            assert {outcome.status for outcome in sweep.outcomes} == {"complete"}
            return time.monotonic() - began

        async def compared() -> tuple[list[float], list[float]]:
            await swept()
            alone = [await swept() for _ in range(SWEEPS)]
            beside, readers = [], []
            for _ in range(SWEEPS):
                readers += [
                    asyncio.create_task(read_much(shown, REQUESTS // 4, seconds=1.5)) for _ in range(4)
                ]
                beside.append(await swept())
            await asyncio.gather(*readers)
            return alone, beside

        alone, beside = first = await compared()
        if max(beside) - max(alone) >= TENTH:
            alone, beside = await compared()
    told = f"seconds a sweep: alone {listed(alone)}, beside {REQUESTS} requests each {listed(beside)}"
    if beside is not first[1]:
        told += f"; before that: alone {listed(first[0])}, beside {listed(first[1])}"
    print(told)
    if max(alone) - min(alone) > TENTH:
        pytest.skip(f"the machine is busy with other things: {told}")
    assert max(beside) - max(alone) < TENTH, told


def listed(found: Sequence[float]) -> str:
    return " ".join(f"{each:.3f}" for each in found)
