"""The pipeline beside a bare loop that only fetches the same pages: wall time, CPU a row, peak memory.

    python -m bench pipeline [--rounds N] [--in-flight N]

Both run as processes of their own, in turn, against the same server; PostgreSQL is on the same cores.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import aiohttp
from rich.console import Console
from rich.table import Table

from bench import pages
from collector import embedded, migrate, shipped
from collector.api import Api
from collector.collect import Collector
from collector.kiwoom import Kiwoom
from collector.postgres import connect, open_pool
from collector.postgres.database import Database
from collector.quota import Unlimited
from collector.registry import Registry
from collector.secret import Secret
from collector.store import Store
from collector.wire import ask_prices

LATENCY = 0.02
ROWS = pages.TARGETS * pages.PAGES * pages.ROWS


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench pipeline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=32)
    chosen = parser.parse_args(arguments)
    with _server() as url, tempfile.TemporaryDirectory() as home:
        runs: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
        for _ in range(chosen.rounds + 1):
            for who, found in runs.items():
                found.append(_child(who, url, home, chosen.in_flight))
    Console().print(_table({who: found[1:] for who, found in runs.items()}, chosen))


@contextmanager
def _server() -> Iterator[str]:
    command = (sys.executable, "-m", "bench.pages", str(LATENCY))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def _child(who: str, url: str, home: str, in_flight: int) -> dict[str, float]:
    command = (sys.executable, "-m", "bench.pipeline", who, url, home, str(in_flight))
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def _table(runs: dict[str, list[dict[str, float]]], chosen: argparse.Namespace) -> Table:
    title = (
        f"{pages.TARGETS} targets × {pages.PAGES} pages × {pages.ROWS} rows, {LATENCY * 1000:g} ms,"
        f" {chosen.in_flight} in flight, no quota; median (least–most) of {chosen.rounds}"
    )
    table = Table("", "wall s", "CPU µs a row", "peak MB", title=title, title_justify="left")
    for who, label in (("bare", "aiohttp, fetching only"), ("ours", "collector, into PostgreSQL")):
        table.add_row(label, *(_spread([run[name] for run in runs[who]]) for name in ("wall", "cpu", "rss")))
    ratios = [ours["wall"] / bare["wall"] for ours, bare in zip(runs["ours"], runs["bare"], strict=True)]
    table.add_row("ratio of wall times", _spread(ratios), "", "")
    return table


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


async def _bare(url: str, in_flight: int) -> None:
    """What nobody can do without: every page, read and thrown away."""
    at_once = asyncio.Semaphore(in_flight)
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(url, connector=connector) as session, asyncio.TaskGroup() as group:

        async def walk(body: bytes, headers: dict[str, str]) -> None:
            async with at_once:
                more: dict[str, str] = {}
                while True:
                    async with session.post("/api/dostk/sect", data=body, headers=headers | more) as answer:
                        await answer.read()
                    if answer.headers["cont-yn"] == "N":
                        return
                    more = {"cont-yn": "Y", "next-key": answer.headers["next-key"]}

        for target in pages.targets():
            request = ask_prices(target)
            group.create_task(walk(request.body, request.headers(Secret("bench"))))


async def _ours(url: str, home: str, in_flight: int) -> dict[str, float]:
    async with embedded.running(Path(home)) as address:
        async with connect(address) as connection:
            await migrate.migrate(connection, address, shipped.path("migrations"))
        async with (
            open_pool(address, size=8) as pool,
            Api(url, timeout=10, user_agent="bench", connections=in_flight + 2) as api,
        ):
            database = Database(pool, address)
            registry = Registry(database)
            await registry.open()
            keys = {"app_key": Secret("bench"), "secret_key": Secret("bench")}
            kiwoom = Kiwoom(api, Unlimited(), database, **keys)
            collector = Collector(kiwoom, Store(database, registry), {}, in_flight)
            slot = datetime.now(UTC).replace(microsecond=0)
            await kiwoom.token()
            with _measured() as found:
                sweep = await collector.sweep(slot, "bench", pages.targets())
            stored = sum(outcome.rows for outcome in sweep.outcomes)
            if stored != ROWS or not sweep.is_whole:
                raise SystemExit(f"stored {stored} rows, not {ROWS}: {sweep.outcomes[:3]}")
            return found


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    found: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found["wall"] = time.perf_counter() - wall
    found["cpu"] = (time.process_time() - cpu) / ROWS * 1e6
    found["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _child_main(who: str, url: str, home: str, in_flight: int) -> dict[str, float]:
    if who == "ours":
        return await _ours(url, home, in_flight)
    with _measured() as found:
        await _bare(url, in_flight)
    return found


if __name__ == "__main__":
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    who, url, home, in_flight = sys.argv[1:]
    print(json.dumps(asyncio.run(_child_main(who, url, home, int(in_flight)))))
