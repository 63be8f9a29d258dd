"""A replay of kept answers: rows a second and memory, where nothing differs and where every walk is replaced.

    python -m bench replay [--rounds N] [--slots N]

`--slots` sweeps of 001 and 101 on three venues, five minutes apart, packed as the daemon packs a day that is over. Each
replay is a process of its own and says how long it read, its start apart. PostgreSQL is on the same cores.
"""

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import commands
from bench.pipeline import spread
from collector import log
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.db.answers import AnswerStore
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import KST, Target
from kiwoom_simulator import Options, Simulator

OPEN = datetime(2026, 11, 20, 10, 0, tzinfo=KST)
TARGETS = [
    Target.of(market, sector, exchange)
    for market, sector in (("KOSPI", "001"), ("KOSDAQ", "101"))
    for exchange in ("KRX", "NXT", "CONSOLIDATED")
]
CONFIG = """
api: {base_url: "%s", requests_per_second: 0}
universes:
  all:
    - {market: KOSPI, sectors: ['001'], exchanges: [KRX, NXT, CONSOLIDATED]}
    - {market: KOSDAQ, sectors: ['101'], exchanges: [KRX, NXT, CONSOLIDATED]}
"""
_SPOIL = "UPDATE collector.walk SET digest = '\\x00'"
"""Each walk reads differently afterwards, so a replay replaces it."""


@dataclass(frozen=True, slots=True)
class _Speed:
    """Rows a second, CPU µs a row, megabytes; without the start of the program."""

    rows: float
    cpu: float
    peak: float


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench replay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=24)
    chosen = parser.parse_args(arguments)
    log.configure(level="error")
    with tempfile.TemporaryDirectory() as home:
        Console().print(asyncio.run(_measure(Path(home), chosen.rounds, chosen.slots)))


async def _measure(home: Path, rounds: int, slots: int) -> Table:
    async with commands.migrated_database(home) as address:
        rows = await collect(address, slots)
        async with bootstrap.open_database(commands.environment(address)) as database:
            await AnswerStore(database).pack_day(OPEN.date())
        title = f"replay of {slots * len(TARGETS)} walks with {rows:,} rows; median (least–most) of {rounds}"
        table = Table("", "rows a second", "CPU µs a row", "peak MB", title=title, title_justify="left")
        start = await _start(address)
        same = [await _replay(address, rows, start) for _ in range(rounds)]
        table.add_row("nothing differs", *_cells(same))
        changed = []
        for _ in range(rounds):
            async with connect(address) as connection:
                await connection.execute(_SPOIL)
            changed.append(await _replay(address, rows, start))
        table.add_row("every walk is replaced", *_cells(changed))
    return table


def _cells(runs: list[_Speed]) -> tuple[str, ...]:
    speeds = sorted(run.rows for run in runs)
    middle, least, most = speeds[len(speeds) // 2], speeds[0], speeds[-1]
    speed = f"{middle:,.0f} ({least:,.0f}–{most:,.0f})"
    return (speed, spread([run.cpu for run in runs]), spread([run.peak for run in runs]))


async def collect(address: Dsn, slots: int) -> int:
    """Sweep both boards at each slot; how many rows that were."""
    rows = 0
    for index in range(slots):
        slot = OPEN + timedelta(minutes=5 * index)
        async with Simulator(Options(quota=0, freeze=slot)) as served:
            settings = commands.settings(CONFIG, served.url)
            async with bootstrap.open_collector(
                CliContext(commands.environment(address), settings)
            ) as collector:
                sweep = await collector.sweep(slot, "all", TARGETS)
                rows += sum(outcome.rows for outcome in sweep.outcomes)
    return rows


async def _start(address: Dsn) -> float:
    """Seconds of CPU of a replay that has nothing to read."""
    absent = ("--target", "KOSPI/002/KRX")
    return (await asyncio.to_thread(commands.run_command, address, "replay", "--quiet", *absent)).cpu


async def _replay(address: Dsn, rows: int, start: float) -> _Speed:
    used = await asyncio.to_thread(commands.run_command, address, "replay", "--quiet")
    seconds = float(used.output.rpartition("read again in ")[2].split()[0])
    return _Speed(rows / seconds, (used.cpu - start) / rows * 1e6, used.peak)
