"""Walks into the real tables beside psql's \\copy of the same rows into the same tables.

    python -m bench copying [--rounds N] [--slots N]

Both in turn on one private server: first the walks as a sweep stores them, four at a time, each in one
transaction with its line in the ledger; then the same rows as one stream of text. What is measured is what a
walk's certificate, its transaction and its bytes cost on top of what PostgreSQL itself does in a row.
"""

import argparse
import asyncio
import os
import tempfile
import time
from array import array
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.day import DAY, TARGETS, Walked, boards, listings, walks
from collector.base import resources
from collector.db import embedded, migrations
from collector.db.catalog import Registry
from collector.db.copy_format import COLUMNS
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.embedded import binaries
from collector.db.pool import connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.model import Certificate, Page, PageListings, Quote, QuoteColumns, Status, WalkResult

AT_ONCE = 4
PART = f"collector.snapshot_{DAY:%Y%m%d}"
_EMPTY = f"TRUNCATE {PART}, collector.walk; CHECKPOINT"


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench copying", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=20, help="sweeps of six targets, 9,202 rows each")
    chosen = parser.parse_args(arguments)
    known = listings()
    pages: dict[tuple[str, ...], PageListings] = {}
    readings = [_reading(walk, pages) for walk in walks(DAY, list(boards(known, chosen.slots)), known)]
    ours, theirs = asyncio.run(_measure(readings, chosen.rounds))
    Console().print(_table(sum(reading.row_count for reading in readings), ours, theirs))


async def _measure(readings: Sequence[WalkResult], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each round: ours, and psql's."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as home:
        async with (
            embedded.running(Path(home)) as address,
            connect(address, statement_timeout=600) as session,
        ):
            await migrations.migrate(session, address, resources.path("migrations"))
            text = Path(home) / "rows.txt"
            async with open_pool(address, size=AT_ONCE) as pool:
                database = Database(pool, address)
                store = SnapshotStore(database, Registry(database))
                await store.begin_sweep(readings[0].slot, "bench", list(TARGETS.values()))
                for _ in range(rounds + 1):
                    await session.execute(_EMPTY)
                    ours.append(await _entered(store, readings))
                    await session.copy_from_table(
                        PART.partition(".")[2], output=text, schema_name="collector"
                    )
                    await session.execute(_EMPTY)
                    theirs.append(await _copied(address, text))
    return ours[1:], theirs[1:]


async def _entered(store: SnapshotStore, readings: Sequence[WalkResult]) -> float:
    left = iter(readings)

    async def worker() -> None:
        for reading in left:
            await store.save_walk(reading, Certificate(Status.COMPLETE))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    return time.perf_counter() - began


async def _copied(address: Dsn, text: Path) -> float:
    place = ("-h", address.host, "-p", str(address.port), "-U", address.user, "-d", address.database)
    psql = str(binaries.find(os.environ) / "psql")
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(
            psql,
            "--no-psqlrc",
            "--quiet",
            *place,
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            f"\\copy {PART} FROM '{text}'",
        )
    )
    if await process.wait():
        raise SystemExit("psql failed")
    return time.perf_counter() - began


def _reading(walk: Walked, seen: dict[tuple[str, ...], PageListings]) -> WalkResult:
    """A walk as it would have been fetched, 100 rows a page; pages that list the same share their listings."""
    starts = range(0, len(walk.rows), 100)
    pages = [Page(_columns(walk.rows[start : start + 100], seen), None) for start in starts]
    times: list[datetime] = [walk.slot + timedelta(seconds=1)] * len(pages)
    return WalkResult(TARGETS[walk.target], walk.slot, pages, walk.slot, times, len(pages))


def _columns(rows: Sequence[Quote], seen: dict[tuple[str, ...], PageListings]) -> QuoteColumns:
    symbol, name, *values = zip(*rows, strict=True)
    numbers = ([value or 0 for value in column] for column in values)
    return QuoteColumns(
        seen.setdefault(symbol, PageListings(symbol, name)), *map(array, "iiibqiiiii", numbers)
    )


def _table(rows: int, ours: Sequence[float], theirs: Sequence[float]) -> Table:
    title = f"{rows:,} rows with {len(COLUMNS)} columns and both indexes; median (least–most) of {len(ours)}"
    table = Table("", "rows a second", title=title, title_justify="left")
    table.add_row("walks, each in its transaction", _spread([rows / seconds for seconds in ours]))
    table.add_row("psql \\copy", _spread([rows / seconds for seconds in theirs]))
    ratios = [copied / entered for entered, copied in zip(ours, theirs, strict=True)]
    table.add_row("ours ÷ psql", _spread(ratios, 2))
    return table


def _spread(values: Sequence[float], digits: int = 0) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
