"""A repair of one day: 2,500 listings × 78 slots, from its call to its rows.

    python -m bench repair [--rounds N]

One slot of the day is swept before, for the members and the comparison. The server hands out pages that the simulator
made before; PostgreSQL is on the same cores. A page has 900 bars, of which some 380 are of the day.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import commands
from bench.minutes import DAY
from collector import log
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.db.pool import connect
from collector.model import Target

LISTINGS, SLOTS, PAGE = 2_500, 78, 900
SWEPT = DAY + timedelta(hours=11)
_CONFIG = """
api: {base_url: "%s", requests_per_second: 0}
universes:
  board: [{market: KOSPI, sectors: ['001'], exchanges: [KRX]}]
schedules:
  intraday: {universe: board, every: 5m, during: KRX.regular}
"""


@dataclass(frozen=True, slots=True)
class _Round:
    """One repair with the counts of the database."""

    used: commands.ResourceUsage
    listings: int
    bars: int
    rows: int


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench repair", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    log.configure(level="error")
    title = f"repair of {LISTINGS:,} listings × {SLOTS} slots, CPU with the start of the program"
    columns = ("wall s", "CPU s", "CPU µs a bar served", "CPU µs a bar of the day", "peak MB", "rows")
    table = Table(*columns, title=title, title_justify="left")
    with _server() as url:
        for _ in range(chosen.rounds):
            table.add_row(*_cells(asyncio.run(_measure(url))))
    Console().print(table)


@contextmanager
def _server() -> Iterator[str]:
    command = (sys.executable, "-m", "bench.minutes")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def _cells(measured: _Round) -> tuple[str, ...]:
    used, served = measured.used, measured.listings * PAGE
    cpu = (f"{used.cpu / served * 1e6:.2f}", f"{used.cpu / measured.bars * 1e6:.2f}")
    return (f"{used.wall:.1f}", f"{used.cpu:.1f}", *cpu, f"{used.peak:.0f}", f"{measured.rows:,}")


async def _measure(url: str) -> _Round:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "bench.yaml"
        path.write_text(_CONFIG % url)
        async with commands.migrated_database(Path(home)) as address:
            context = CliContext(commands.environment(address), commands.settings(_CONFIG, url))
            async with bootstrap.open_collector(context) as collector:
                await collector.sweep(SWEPT, "board", [Target.of("KOSPI", "001", "KRX")])
            period = ("--from", f"{DAY.date()}", "--to", f"{DAY.date()}", "--config", str(path))
            used = await asyncio.to_thread(commands.run_command, address, "repair", "--quiet", *period)
            async with connect(address) as connection:
                listings, bars = await connection.fetchrow("SELECT count(*), sum(bars) FROM collector.repair")
                rows = await connection.fetchval("SELECT count(*) FROM collector.reconstructed")
    if (listings, rows) != (LISTINGS, LISTINGS * SLOTS):
        raise SystemExit(f"{listings} listings with {rows} rows, not {LISTINGS} × {SLOTS}")
    return _Round(used, listings, bars, rows)
