"""How much of a quota is used, and how often the server refuses: one and three processes, near and far.

    python -m bench quota [--seconds N] [--form NAME ...] [--processes N ...] [--at-once N]

The server keeps a strict sliding window of 5 requests a second. A form says how long its answers take and when it
counts a request: before the work, half way, or after it. Every process asks as fast as it may, with four walks of
three requests in flight, from a new database on: the time in which the limiter learns is part of the figures, and
what is used after it stands in a column of its own. The runs wait most of the time, so several of them fit on a
machine at once.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
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
PAGES = 3
"""Requests of a walk, as of a sweep over all sectors: 180 of 65 walks."""
WARMED = 2.5
"""Seconds from the opening of connections to the first request."""
LEARNED = 30.0
"""Seconds from the first request after which the limiter knows the server."""
FORMS = {
    "20": ("20 ms", "--latency=20ms --jitter=10ms"),
    "100": ("100 ms", "--latency=100ms --jitter=50ms"),
    "300": ("300 ms", "--latency=300ms --jitter=150ms"),
    "460": ("460 ± 120 ms, counts after the work", "--latency=340ms --jitter=240ms --count=after"),
    "real-before": ("real, counts at the gate", "--latency=real --count=before"),
    "real-after": ("real, counts after the work", "--latency=real --count=after"),
}
"""By name: the label, and the options of the simulator."""
_KEY = Secret("bench")


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench quota", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--form", choices=FORMS, nargs="+", default=list(FORMS))
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--at-once", type=int, default=3)
    chosen = parser.parse_args(arguments)
    title = f"a strict window of {QUOTA}/s, {chosen.seconds} s each; 20, 100, 300 ms: jitter of half, counts half way"
    table = Table(
        *("answers take", "processes", "requests", "quota used", "once learned", "refused"),
        title=title,
        title_justify="left",
    )
    runs = list(product(chosen.form, chosen.processes))
    with ThreadPoolExecutor(chosen.at_once) as workers:
        figures = workers.map(lambda run: _measure(*run, chosen.seconds), runs)
        for (form, processes), found in zip(runs, figures, strict=True):
            table.add_row(FORMS[form][0], str(processes), *found)
    Console().print(table)


def _measure(form: str, processes: int, seconds: int) -> tuple[str, ...]:
    with (
        tempfile.TemporaryDirectory() as home,
        simulator("--quota", str(QUOTA), *FORMS[form][1].split()) as url,
    ):
        command = (sys.executable, "-m", "bench.quota", url, home, str(seconds))
        running = [subprocess.Popen(command) for _ in range(processes)]
        if max(process.wait() for process in running):
            raise SystemExit("bench quota: a process failed")
        lines = arrivals(url)
    served = [line["arrived"] for line in lines if line["answer"] == "ok"]
    refused = sum(line["answer"] == "throttled" for line in lines)
    shares = (_used(served, served[0] + later) for later in (0.0, LEARNED))
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

            await kiwoom.warm(2 * IN_FLIGHT)  # as a daemon does ahead of a slot
            await asyncio.sleep(WARMED)

            async def walk() -> None:
                while True:
                    with RequestCounter() as counter:
                        for _ in range(PAGES):
                            with suppress(ApiError):
                                await kiwoom.prices(Target.of("KOSPI", "016", "KRX"), counter=counter)

            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(walk())


if __name__ == "__main__":
    where, folder, length = sys.argv[1:]
    asyncio.run(_ask(where, folder, int(length)))
