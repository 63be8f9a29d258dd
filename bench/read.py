"""How long reading from Python takes: a day of a board, and a month of the daily breadth of all sectors.

    python -m bench read [--days N]

A private PostgreSQL under `.bench/read`, filled once: 78 slots of a board of 2,564 listings, and N days (22) of
all sectors of both boards (59) with 110 listings each. The time of a question ends with the DataFrame; each is asked
five times. Beside ADBC stand asyncpg's rows and its binary COPY, which still has to be decoded.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import collector
from collector.base import resources
from collector.db import embedded, setup
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.market.sectors import bundled_sectors
from collector.model import KST, Certificate, Market, Status, Target
from tests.support.harness import reading, snapshots

HOME = Path(".bench/read")
DAY = date(2026, 11, 20)
SLOTS, LISTINGS, MEMBERS, CALLS = 78, 2564, 110, 5
BOARD = Target.of("KOSPI", "001", "KRX")
_QUERY = """
SELECT * FROM snapshot
WHERE market = 'KOSPI' AND sector = '001' AND slot >= '2026-11-20' AND slot < '2026-11-20 12:00'
"""


def main(arguments: Sequence[str]) -> None:
    """Fill what is not there yet, then measure."""
    parser = argparse.ArgumentParser(prog="bench read")
    parser.add_argument("--days", type=int, default=22)
    days = parser.parse_args(arguments).days
    rows = asyncio.run(_prepare(days))
    print(f"{rows:,} rows of a board's day; {days} days of all sectors", file=sys.stderr)
    with collector.open(home=HOME) as db:
        first = DAY - timedelta(days=days)
        _measure(
            "a day of one board into pandas",
            lambda: len(db.snapshots(DAY, market="KOSPI", sector="001").to_pandas()),
        )
        _measure(
            "a month of daily breadth of all sectors into pandas",
            lambda: len(db.sector_days(from_day=first, to_day=DAY - timedelta(days=1)).to_pandas()),
        )
        _measure("a sector's breadth of a day", lambda: len(db.breadth("KOSPI", "001", day=DAY).to_pandas()))
        _measure("the view snapshot by ADBC", lambda: len(db.sql(_QUERY).to_pandas()))
    asyncio.run(_measure_driver())


def _measure(name: str, ask: Callable[[], int]) -> None:
    seconds, rows = [], 0
    for _ in range(CALLS):
        began = time.perf_counter()
        rows = ask()
        seconds.append(time.perf_counter() - began)
    print(
        f"{name:55} {rows:>9,} rows   median {statistics.median(seconds):6.3f} s   least {min(seconds):6.3f} s"
    )


async def _measure_driver() -> None:
    async with embedded.running(HOME) as address, connect(address, statement_timeout=120) as connection:
        began = time.perf_counter()
        rows = await connection.fetch(_QUERY)
        seconds = time.perf_counter() - began
        print(f"{'the view snapshot by asyncpg, rows of Python':55} {len(rows):>9,} rows   {seconds:.3f} s")
        size = 0

        async def count(part: bytes) -> None:
            nonlocal size
            size += len(part)

        began = time.perf_counter()
        await connection.copy_from_query(_QUERY, output=count, format="binary")
        print(
            f"{'the view snapshot by COPY, not decoded':55} {size:>9,} bytes  {time.perf_counter() - began:.3f} s"
        )


async def _prepare(days: int) -> int:
    async with embedded.running(HOME) as address:
        async with connect(address, statement_timeout=600) as connection:
            await setup.prepare_database(connection, address, resources.path("migrations"))
            stored: int = await connection.fetchval(
                "SELECT COALESCE(sum(rows), 0) FROM walk WHERE sector = '001'"
            )
        if not stored:
            await _fill(address, days)
            stored = SLOTS * LISTINGS
    return stored


async def _fill(address: Dsn, days: int) -> None:
    whole = Certificate(Status.COMPLETE)
    known = [
        sector for sector in bundled_sectors().values() if not sector.index_only and sector.code != "001"
    ]
    sectors = [
        Target.of(sector.market, sector.code, "KRX")
        for sector in known
        if sector.market in (Market.KOSPI, Market.KOSDAQ)
    ]
    async with open_pool(address, size=3) as pool:
        database = Database(pool, address)
        store = SnapshotStore(database, Registry(database))
        await store.registry.open()
        for number in range(SLOTS):
            slot = datetime.combine(DAY, datetime.min.time(), KST) + timedelta(hours=9, minutes=5 * number)
            await _sweep(store, slot, {BOARD: snapshots(LISTINGS)}, whole, reading)
        for number in range(1, days + 1):
            close = datetime.combine(DAY - timedelta(days=number), datetime.min.time(), KST) + timedelta(
                hours=15, minutes=40
            )
            walks = {target: snapshots(MEMBERS, first=20 * place) for place, target in enumerate(sectors)}
            await _sweep(store, close, walks, whole, reading)


async def _sweep(
    store: SnapshotStore, slot: datetime, walks: dict, whole: Certificate, reading: Callable
) -> None:
    await store.begin_sweep(slot, "bench", list(walks))
    for target, rows in walks.items():
        await store.save_walk(reading(target, slot, rows), whole)
    await store.end_sweep(slot, "bench")
