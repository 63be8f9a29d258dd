"""The two that the pipeline's measurement compares, each a process of its own with nothing else in it."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from collector import log
from collector.base import resources
from collector.cli.main import tune_garbage_collection
from collector.db import embedded, migrations
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.pool import connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.kiwoom.client import KiwoomClient
from collector.kiwoom.protocol import ask_prices
from collector.kiwoom.transport import HttpTransport
from collector.model import Exchange, Market, Target
from collector.ratelimit.limiter import Unlimited
from collector.secret import Secret
from collector.sweep.sweeper import Collector

TARGETS, PAGES, ROWS = 300, 3, 100
EXPECTED = TARGETS * PAGES * ROWS


def targets() -> list[Target]:
    """The targets that the server of pages knows; their sectors are made up."""
    return [Target(Market.KRX100, f"{number:03}", Exchange.KRX) for number in range(TARGETS)]


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

        for target in targets():
            request = ask_prices(target)
            group.create_task(walk(request.body, request.headers(Secret("bench"))))


@asynccontextmanager
async def collecting(
    url: str, home: Path, in_flight: int, *, keeps: bool = False, secret: str = "bench"
) -> AsyncIterator[Collector]:
    """The program as it is wired, without a quota, with a private PostgreSQL in `home`.

    A secret of twelve characters and more is looked for in each answer.
    """
    async with embedded.running(home) as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
        async with (
            open_pool(address, size=8) as pool,
            HttpTransport(url, timeout=10, user_agent="bench", connections=in_flight + 2) as api,
        ):
            database = Database(pool, address)
            registry = Registry(database)
            await registry.open()
            keys: dict[str, Any] = {"app_key": Secret(secret), "secret_key": Secret(secret)}
            kiwoom = KiwoomClient(api, Unlimited(), database, **keys)
            yield Collector(kiwoom, SnapshotStore(database, registry), {}, in_flight, keeps_answers=keeps)


async def _ours(url: str, home: str, in_flight: int, *, keeps: bool = False) -> dict[str, float]:
    async with collecting(url, Path(home), in_flight, keeps=keeps) as collector:
        slot = datetime.now(UTC).replace(microsecond=0)
        # The first sweep of all meets every listing for the first time; those after it are what a day is made of.
        await collector.sweep(slot - timedelta(seconds=1), "bench", targets())
        with _measured() as found:
            sweep = await collector.sweep(slot, "bench", targets())
        stored = sum(outcome.rows for outcome in sweep.outcomes)
        if stored != EXPECTED or not sweep.is_whole:
            raise SystemExit(f"stored {stored} rows, not {EXPECTED}: {sweep.outcomes[:3]}")
        return found


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    found: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield found
    found["wall"] = time.perf_counter() - wall
    found["cpu"] = (time.process_time() - cpu) / EXPECTED * 1e6
    found["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _child_main(who: str, url: str, home: str, in_flight: int) -> dict[str, float]:
    if who in ("ours", "kept"):
        return await _ours(url, home, in_flight, keeps=who == "kept")
    await _bare(url, in_flight)
    with _measured() as found:
        await _bare(url, in_flight)
    return found


if __name__ == "__main__":
    tune_garbage_collection()
    log.configure(level="error")
    who, url, home, in_flight = sys.argv[1:]
    print(json.dumps(asyncio.run(_child_main(who, url, home, int(in_flight)))))
