"""How much of a quota is used, and how often the server refuses: one and three processes, near and far.

    python -m bench quota [--seconds N] [--latency MS ...] [--processes N ...]

The server keeps a strict sliding window of 5 requests a second over arrivals; half of the latency and of the
jitter lies before the arrival. Every process asks as fast as it may, with four requests in flight. A key's first
answers are spent carefully, until its round trip is known: what is used from then on stands in a column of its own.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.simulated import arrivals, simulator
from collector.base import resources
from collector.db import embedded, migrations
from collector.db.database import Database
from collector.db.pool import connect, open_pool
from collector.errors import ApiError
from collector.kiwoom.auth import key_digest
from collector.kiwoom.client import KiwoomClient, RequestCounter
from collector.kiwoom.transport import HttpTransport
from collector.model import Target
from collector.ratelimit.limiter import SharedRateLimiter
from collector.secret import Secret

QUOTA = 5
IN_FLIGHT = 4
UNKNOWN = 15.0
"""Seconds from the first request after which a round trip is certainly known, however far the server is."""
_KEY = Secret("bench")


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench quota", description=__doc__)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--latency", type=int, nargs="+", default=[20, 100, 300])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 3])
    chosen = parser.parse_args(arguments)
    title = f"a strict window of {QUOTA}/s, {chosen.seconds} s each, jitter as large as half the latency"
    table = Table(
        *("latency", "processes", "requests", "quota used", "once known", "refused"),
        title=title,
        title_justify="left",
    )
    for latency in chosen.latency:
        for processes in chosen.processes:
            table.add_row(f"{latency} ms", str(processes), *_measure(latency, processes, chosen.seconds))
    Console().print(table)


def _measure(latency: int, processes: int, seconds: int) -> tuple[str, ...]:
    with (
        tempfile.TemporaryDirectory() as home,
        simulator("--quota", str(QUOTA), "--latency", f"{latency}ms", "--jitter", f"{latency // 2}ms") as url,
    ):
        command = (sys.executable, "-m", "bench.quota", url, home, str(seconds))
        running = [subprocess.Popen(command) for _ in range(processes)]
        if any(process.wait() for process in running):
            raise SystemExit("bench quota: a process failed")
        lines = arrivals(url)
    served = [line["arrived"] for line in lines if line["answer"] == "ok"]
    refused = sum(line["answer"] == "throttled" for line in lines)
    shares = (_used(served, served[0] + later) for later in (0.0, UNKNOWN))
    return f"{len(lines)}", *shares, f"{refused} of {len(lines)}"


def _used(served: Sequence[float], since: float) -> str:
    """The share of the quota in the whole seconds from a moment on; none of them can hold more than it."""
    seconds = int(served[-1] - since)
    if seconds < 1:
        return "–"
    return f"{sum(since <= at < since + seconds for at in served) / (QUOTA * seconds):.1%}"


async def _ask(url: str, home: str, seconds: int) -> None:
    async with embedded.running(Path(home)) as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
        async with (
            open_pool(address, size=6) as pool,
            HttpTransport(url, timeout=10, user_agent="bench", connections=IN_FLIGHT) as api,
        ):
            database = Database(pool, address)
            quota = SharedRateLimiter(database, key_digest(_KEY), per_second=QUOTA)
            kiwoom = KiwoomClient(api, quota, database, app_key=_KEY, secret_key=_KEY)

            async def ask() -> None:
                while True:
                    with suppress(ApiError):
                        await kiwoom.prices(Target.of("KOSPI", "016", "KRX"), counter=RequestCounter())

            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(ask())


if __name__ == "__main__":
    where, folder, length = sys.argv[1:]
    asyncio.run(_ask(where, folder, int(length)))
