"""A backfill of two years: wall time, the client's CPU a bar, its peak memory.

    python -m bench backfill [--rounds N] [--simulator]

2,500 listings, 490 trading days, no quota, PostgreSQL on the same cores. The server hands out pages made
beforehand; with --simulator it is the simulator, which draws each bar when it is asked for.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from bench import bars
from collector.base import resources
from collector.db import embedded, migrations
from collector.db.dsn import Dsn
from collector.db.pool import connect

DAYS = 490
_CONFIG = """
api: {base_url: "%s", requests_per_second: 0}
universes:
  board: [{market: KOSPI, sectors: [001], exchanges: [KRX]}]
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One backfill: seconds, microseconds of the client's CPU a bar (its start included), and megabytes."""

    bars: int
    wall: float
    cpu: float
    peak: float


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench backfill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--simulator", action="store_true")
    chosen = parser.parse_args(arguments)
    serve = ("collector", "simulate", "--port", "0", "--quota", "0", "--until-eof")
    command = serve if chosen.simulator else ("bench.bars",)
    table = Table("bars", "wall s", "CPU µs a bar", "peak MB", title=f"{DAYS} days", title_justify="left")
    with _server(command) as url:
        for _ in range(chosen.rounds):
            run = asyncio.run(_round(url))
            table.add_row(f"{run.bars:,}", f"{run.wall:.1f}", f"{run.cpu:.2f}", f"{run.peak:.0f}")
    Console().print(table)


@contextmanager
def _server(command: tuple[str, ...]) -> Iterator[str]:
    full = (sys.executable, "-m", *command)
    with subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.stdin.close()


async def _round(url: str) -> Run:
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "bench.yaml"
        config.write_text(_CONFIG % url)
        async with embedded.running(Path(home)) as address:
            async with connect(address) as connection:
                await migrations.migrate(connection, address, resources.path("migrations"))
            run = await asyncio.to_thread(_client, address, config)
            async with connect(address) as connection:
                count = await connection.fetchval("SELECT count(*) FROM bar")
    if run.bars != count:
        raise SystemExit(f"the client says {run.bars} bars, the database holds {count}")
    return run


def _client(address: Dsn, config: Path) -> Run:
    """The command in a process of its own, whose end tells what it used."""
    newest, *_, oldest = bars.days(DAYS)
    place = f"postgresql://{address.user}@/{address.database}?host={quote(address.host, safe='')}"
    keys = {"KIWOOM_APP_KEY": "bench", "KIWOOM_SECRET_KEY": "bench", "COLLECTOR_CONFIG": str(config)}
    command = (sys.executable, "-m", "collector", "backfill", "--from", str(oldest), "--to", str(newest))
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=os.environ | keys | {"DATABASE_URL": f"{place}&port={address.port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"the backfill ended with {os.waitstatus_to_exitcode(status)}: {said}")
    stored = int(said.rpartition("listings with ")[2].split()[0].replace(",", ""))
    cpu = used.ru_utime + used.ru_stime
    return Run(stored, time.perf_counter() - begun, cpu / stored * 1e6, used.ru_maxrss / 1024)
