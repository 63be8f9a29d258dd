"""How much of a quota is used, and how often the server refuses: one and three processes, near and far.

    python -m bench quota [--seconds N] [--latency MS ...] [--processes N ...]

The server keeps a strict sliding window of 5 requests a second over arrivals; half of the latency and of the
jitter lies before the arrival. Every process asks as fast as it may, with four requests in flight.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.simulated import arrivals, simulator
from collector import embedded, migrate, shipped
from collector.api import Api
from collector.errors import ApiError
from collector.kiwoom import Kiwoom, Trace
from collector.model import Target
from collector.postgres import connect, open_pool
from collector.postgres.database import Database
from collector.quota import SharedQuota
from collector.secret import Secret
from collector.token import key_digest

QUOTA = 5
IN_FLIGHT = 4
_KEY = Secret("bench")


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench quota", description=__doc__)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--latency", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 3])
    chosen = parser.parse_args(arguments)
    title = f"a strict window of {QUOTA}/s, {chosen.seconds} s each, jitter as large as half the latency"
    table = Table(
        "latency", "processes", "requests", "quota used", "refused", title=title, title_justify="left"
    )
    for latency in chosen.latency:
        for processes in chosen.processes:
            table.add_row(f"{latency} ms", str(processes), *_measure(latency, processes, chosen.seconds))
    Console().print(table)


def _measure(latency: int, processes: int, seconds: int) -> tuple[str, str, str]:
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
    # The first second may carry a whole window at once; from then on, N a second is all there is.
    used = (len(served) - QUOTA) / (QUOTA * (served[-1] - served[0]))
    return f"{len(lines)}", f"{used:.1%}", f"{refused} of {len(lines)}"


async def _ask(url: str, home: str, seconds: int) -> None:
    async with embedded.running(Path(home)) as address:
        async with connect(address) as connection:
            await migrate.migrate(connection, address, shipped.path("migrations"))
        async with (
            open_pool(address, size=6) as pool,
            Api(url, timeout=10, user_agent="bench", connections=IN_FLIGHT) as api,
        ):
            database = Database(pool, address)
            quota = SharedQuota(database, key_digest(_KEY), per_second=QUOTA)
            kiwoom = Kiwoom(api, quota, database, app_key=_KEY, secret_key=_KEY)

            async def ask() -> None:
                while True:
                    with suppress(ApiError):
                        await kiwoom.prices(Target.of("KOSPI", "016", "KRX"), trace=Trace())

            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    for _ in range(IN_FLIGHT):
                        group.create_task(ask())


if __name__ == "__main__":
    where, folder, length = sys.argv[1:]
    asyncio.run(_ask(where, folder, int(length)))
