"""The cold tier: bytes a row, and how fast a day goes into files and comes back.

    python -m bench cold [--rows N] [--rounds N] [--folder PATH] [--s3]

A made-up day (bench/day.py) in the real tables of a private server. Each archiving and each restore is a process
of its own, as the command is, so that its peak of memory is its own; the server is on the same cores. With `--s3`
each round is done in a folder and in an object store: moto's server, a Python program on the same cores, whose
CPU stands in a column of its own.
"""

import argparse
import asyncio
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.day import DAY, ROWS, TARGETS, Walked, boards, listings, walks
from collector import config
from collector.base import resources
from collector.base.arenas import limit_arenas
from collector.db import embedded, migrations
from collector.db.database import Database
from collector.db.dsn import Dsn, parse_dsn
from collector.db.pool import connect, open_pool

Round = dict[str, float]

_TARGET = """
INSERT INTO collector.target (id, market, sector, exchange) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4)
"""
_LISTING = """
INSERT INTO collector.listing (id, symbol, name, first_seen, last_seen) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, now(), now())
"""
_WALK = """
INSERT INTO collector.walk (slot, target, status, pages, rows, page_starts, page_times)
VALUES ($1, $2, 'complete', $3, $4, $5, $6)
"""


HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ROW = struct.Struct(">h iq iq" + 9 * "ii" + "ihih").pack


def copy_bytes(walk: Walked) -> bytes:
    """A walk as the bytes of COPY (binary): 13 columns, 56 bytes of values a row."""
    slot = round((walk.slot - _EPOCH).total_seconds()) * 1_000_000
    rows = (
        _ROW(
            13, 8, slot, 8, r.volume, 4, walk.listings[r.symbol, r.name], 4, r.price or 0, 4, r.change,
            4, r.change_bp << 3 | r.sign, 4, r.ask or 0, 4, r.bid or 0, 4, r.open or 0, 4, r.high or 0,
            4, r.low or 0, 2, walk.target, 2, position,
        )
        for position, r in enumerate(walk.rows, 1)
    )  # fmt: skip
    return HEAD + b"".join(rows) + TAIL


def main(arguments: list[str]) -> None:
    """Measure, and print one table; with `--child`, do one thing and print what it took."""
    parser = argparse.ArgumentParser(prog="bench cold", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--s3", action="store_true", help="in an object store on this machine, too")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "URL", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(asyncio.run(_child(*chosen.child))))
        return
    with tempfile.TemporaryDirectory() as home:
        found, rows, size = asyncio.run(_measured(chosen, Path(home)))
    Console().print(_table(found, rows, size))


async def _measured(chosen: argparse.Namespace, home: Path) -> tuple[dict[str, list[Round]], int, int]:
    folder = str(chosen.folder or home / "cold")
    slots = max(2, round(chosen.rows / ROWS))
    found: dict[str, list[Round]] = {}
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(embedded.running(home))
        places = {"": (folder, None)}
        if chosen.s3:
            from tests.support.object_server import object_server  # noqa: PLC0415 - boto3 takes a second

            server = await stack.enter_async_context(object_server())
            os.environ.update(server.variables())
            places[", S3"] = (f"s3://{server.make_bucket()}", server)
        await _fill(address, slots)
        for _ in range(chosen.rounds):
            for name, (place, running) in places.items():
                for what in ("archive", "restore"):
                    before = running.read_cpu() if running else 0.0
                    found_round = await asyncio.to_thread(_apart, what, address, place)
                    found_round["server"] = running.read_cpu() - before if running else 0.0
                    found.setdefault(what + name, []).append(found_round)
    return found, slots * ROWS, _measure_files(Path(folder))


def _measure_files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _apart(what: str, address: Dsn, folder: str) -> Round:
    url = f"postgresql://{address.user}@/{address.database}?host={address.host}"
    command = (sys.executable, "-m", "bench", "cold", "--child", what, url, folder)
    answer: Round = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


async def _child(what: str, url: str, folder: str) -> Round:
    """One archiving or restore: its seconds, its own CPU and its peak of memory in MB."""
    from collector.archive.day_state import list_files  # noqa: PLC0415
    from collector.archive.restore import restore  # noqa: PLC0415
    from collector.archive.store import Locator  # noqa: PLC0415
    from collector.archive.write import archive  # noqa: PLC0415 - the parent does without pyarrow

    limit_arenas()
    address, locate = parse_dsn(url), Locator(config.settings(os.environ).object_access)
    async with open_pool(address, size=1) as pool:
        held, began, cpu = Database(pool, address), time.perf_counter(), time.process_time()
        if what == "archive":
            await archive(held, DAY.date(), locate(folder))
        else:
            async with held.connection("looking for files") as connection:
                files = await list_files(connection, DAY.date(), locate)
            await restore(held, DAY.date(), files, locate=locate)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "peak": _peak()}


def _peak() -> float:
    """The most memory that this process has held, in MB; `getrusage` would tell its parent's if that is more."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


async def _fill(address: Dsn, slots: int) -> None:
    known = listings()
    async with connect(address) as connection:
        await migrations.migrate(connection, address, resources.path("migrations"))
        await connection.executemany(_TARGET, [(number, *target) for number, target in TARGETS.items()])
        await connection.executemany(_LISTING, [(number, *names) for names, number in known.items()])
        await connection.execute("SELECT collector.make_days($1, 1)", DAY.date())
        for walk in walks(DAY, list(boards(known, slots)), known):
            await _enter(connection, walk)
        await connection.execute("SELECT collector.tend_day($1)", DAY.date())
        await connection.execute("CHECKPOINT")


async def _enter(connection: "asyncpg.Connection[asyncpg.Record]", walk: Walked) -> None:
    times = [walk.slot + timedelta(milliseconds=203 * page) for page in range(len(walk.starts))]

    async def source() -> AsyncIterator[bytes]:
        yield copy_bytes(walk)

    await connection.execute(
        _WALK, walk.slot, walk.target, len(walk.starts), len(walk.rows), walk.starts, times
    )
    await connection.copy_to_table("snapshot", schema_name="collector", source=source(), format="binary")


def _table(found: dict[str, list[Round]], rows: int, size: int) -> Table:
    title = f"{rows:,} rows, {size / rows:.1f} bytes a row in files; medians of {len(found['archive'])}"
    heads = ("", "rows a second", "µs CPU a row", "µs CPU a row of the object store", "peak MB")
    table = Table(*heads, title=title, title_justify="left")
    for what, rounds in found.items():
        names = ("seconds", "cpu", "server", "peak")
        seconds, cpu, server, peak = (median(each[name] for each in rounds) for name in names)
        rate, own, theirs = f"{rows / seconds:,.0f}", cpu / rows * 1e6, server / rows * 1e6
        table.add_row(what, rate, f"{own:.2f}", f"{theirs:.2f}" if server else "", f"{peak:.0f}")
    return table
