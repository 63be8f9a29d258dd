"""The page beside sweeps: however much is asked of it, the loop that they share turns on."""

import asyncio
import sys
import time

import pytest

from tests.web.stage import Page

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
