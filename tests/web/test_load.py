"""The page beside sweeps: however much is asked of it, the loop that they share turns on."""

import asyncio
import os
import sys
import time
from datetime import datetime, timedelta
from statistics import median

import pytest

from collector.model import KST, Target
from collector.simulator import Options, Simulator
from tests.stand import collecting
from tests.web.stage import Page, page

REQUESTS = 1000
_READER = """
import http.client, sys
host, count = sys.argv[1], int(sys.argv[2])
line = http.client.HTTPConnection(host, timeout=30)
for number in range(count):
    line.request("GET", "/")
    answer = line.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
"""


async def longest_stall(stop: asyncio.Event) -> float:
    """The longest that the loop worked without letting others have a turn, in seconds.

    In the thread's own time: what else the machine is busy with does not count.
    """
    worst = 0.0
    while not stop.is_set():
        before = time.thread_time()
        await asyncio.sleep(0.001)
        worst = max(worst, time.thread_time() - before)
    return worst


async def read_much(shown: Page, count: int) -> None:
    """Somebody in a process of their own reads the page over and over."""
    host = shown.url.removeprefix("http://")
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", _READER, host, str(count))
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
    the first leaves the quota as it found it, and takes as long as the one before.
    """
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip(f"the machine is busy with other things: its load is {os.getloadavg()[0]:.1f}")
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=KST)
    targets = [Target.of("KOSPI", f"{code:03}", "KRX") for code in (5, 6, 7, 9, 10, 11, 12, 14, 18, 19)]
    async with (
        Simulator(Options(quota=5, freeze=noon)) as simulator,
        collecting(database, simulator.url, *targets, requests_per_second=5) as collector,
        page(database) as shown,
    ):

        async def swept(number: int) -> float:
            began = time.monotonic()
            sweep = await collector.sweep(noon + timedelta(minutes=number), "all", targets)
            assert {outcome.status for outcome in sweep.outcomes} == {"complete"}
            return time.monotonic() - began

        await swept(0)
        alone = [await swept(number) for number in range(1, 6)]
        readers = asyncio.gather(*(read_much(shown, REQUESTS // 4) for _ in range(4)))
        beside = [await swept(number) for number in range(6, 11)]
        while not readers.done():
            beside.append(await swept(6 + len(beside)))
        await readers
    print(f"a sweep takes {median(alone):.3f} s alone, {median(beside):.3f} s beside {REQUESTS} requests")
    assert median(beside) - median(alone) < 0.1
