"""Recovery: bytes of kept answers, what keeping costs a sweep, how fast answers are read again and slots repaired.

    python -m bench recovery [--rounds N] [--slots N] [--sector CODE]

A sweep with and without keeping, in turn; then `--slots` sweeps of 001 and 101, packed, and replayed in a process of
its own, each walk replaced; then one day of a sector repaired in a process of its own, beside the simulator.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from bench.pipeline import child, server, spread
from bench.simulated import simulator
from collector import config as configuration
from collector import log
from collector.base import resources
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.config import Environment
from collector.db import embedded, migrations
from collector.db.answers import AnswerStore
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.model import KST, Target
from collector.secret import Secret
from kiwoom_simulator import Options, Simulator

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
_CONFIG = """
api: {base_url: "%s", requests_per_second: 0}
universes:
  all:
    - {market: KOSPI, sectors: ['%s'], exchanges: [KRX]}
schedules:
  intraday: {universe: all, every: 5m, during: KRX.regular}
"""


@dataclass(frozen=True, slots=True)
class _Used:
    """What a command took: seconds, seconds of CPU, megabytes, and what it said."""

    wall: float
    cpu: float
    peak: float
    said: str


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench recovery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=12)
    parser.add_argument("--sector", default="013")
    chosen = parser.parse_args(arguments)
    log.configure(level="error")
    table = Table("measure", "figure", title="recovery", title_justify="left")
    _keeping(table, chosen.rounds)
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(_recovering(table, Path(home), chosen.slots, chosen.sector))
    Console().print(table)


def _keeping(table: Table, rounds: int) -> None:
    with server() as url, tempfile.TemporaryDirectory() as home:
        runs: dict[str, list[float]] = {"ours": [], "kept": []}
        for _ in range(rounds + 1):
            for who, figures in runs.items():
                figures.append(child(who, url, home, 32)["cpu"])
    ratios = [kept / plain for kept, plain in zip(runs["kept"][1:], runs["ours"][1:], strict=True)]
    table.add_row("CPU µs a row of a sweep without keeping", spread(runs["ours"][1:]))
    table.add_row("CPU µs a row of a sweep with keeping", spread(runs["kept"][1:]))
    table.add_row("ratio of the medians", f"{median(runs['kept'][1:]) / median(runs['ours'][1:]):.2f}")
    table.add_row("ratio, round by round", spread(ratios))


async def _recovering(table: Table, home: Path, slots: int, sector: str) -> None:
    async with embedded.running(home) as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
        rows = await _collect(address, slots)
        await _replay(table, address, rows)
        await _repair(table, address, home, sector)


async def _collect(address: Dsn, slots: int) -> int:
    """Sweep both boards at each slot; how many rows that were."""
    targets = [Target.of("KOSPI", "001", "KRX"), Target.of("KOSDAQ", "101", "KRX")]
    rows = 0
    for number in range(slots):
        slot = OPEN + timedelta(minutes=5 * number)
        async with Simulator(Options(quota=0, freeze=slot)) as served:
            context = CliContext(_environment(address), _settings(served.url, "001"))
            async with bootstrap.open_collector(context) as collector:
                sweep = await collector.sweep(slot, "all", targets)
                rows += sum(outcome.rows for outcome in sweep.outcomes)
    return rows


async def _replay(table: Table, address: Dsn, rows: int) -> None:
    size = "SELECT sum(octet_length(answers)) FROM collector.raw_walk"
    async with connect(address) as connection:
        plain = await connection.fetchval(size)
    begun = time.process_time()
    async with bootstrap.open_database(_environment(address)) as database:
        await AnswerStore(database).pack_day(OPEN.date())
    packing = time.process_time() - begun
    async with connect(address) as connection:
        packed = await connection.fetchval(size)
        await connection.execute("UPDATE collector.walk SET digest = '\\x00'")
    table.add_row("bytes a row while the day lasts", f"{plain / rows:.1f}")
    table.add_row("bytes a row, packed", f"{packed / rows:.1f}")
    table.add_row("CPU µs a row of packing", f"{packing / rows * 1e6:.2f}")
    same = await asyncio.to_thread(_command, address, "replay", "--quiet", "--dry-run")
    used = await asyncio.to_thread(_command, address, "replay", "--quiet")
    seconds = float(used.said.rpartition("read again in ")[2].split()[0])
    table.add_row("replay that replaces: rows a second", f"{rows / seconds:,.0f} of {rows:,}")
    table.add_row("replay that replaces: peak MB", f"{used.peak:.0f}")
    seconds = float(same.said.rpartition("read again in ")[2].split()[0])
    table.add_row("replay --dry-run: rows a second", f"{rows / seconds:,.0f}")


async def _repair(table: Table, address: Dsn, home: Path, sector: str) -> None:
    target = Target.of("KOSPI", sector, "KRX")
    async with Simulator(Options(quota=0, freeze=OPEN)) as served:
        context = CliContext(_environment(address), _settings(served.url, sector))
        async with bootstrap.open_collector(context) as collector:
            await collector.sweep(OPEN, "all", [target])
    used = await asyncio.to_thread(_repaired, address, home, sector)
    async with connect(address) as connection:
        bars, listings = await connection.fetchrow("SELECT sum(bars), count(*) FROM collector.repair")
        made = await connection.fetchval("SELECT count(*) FROM collector.reconstructed")
    table.add_row("repair: listings, bars of the day, rows", f"{listings:,}, {bars:,}, {made:,}")
    table.add_row("repair: CPU µs a bar of the day, start included", f"{used.cpu / bars * 1e6:.1f}")
    table.add_row("repair: wall s, the simulator's work included", f"{used.wall:.1f}")
    table.add_row("repair: peak MB", f"{used.peak:.0f}")


def _repaired(address: Dsn, home: Path, sector: str) -> _Used:
    """The repair of the day, beside a simulator in a process of its own."""
    with simulator("--quota", "0", "--freeze", SUNDAY.isoformat()) as url:
        path = home / "bench.yaml"
        path.write_text(_CONFIG % (url, sector))
        days = ("--from", f"{OPEN.date()}", "--to", f"{OPEN.date()}", "--config", str(path))
        return _command(address, "repair", *days)


def _environment(address: Dsn) -> Environment:
    return Environment(
        app_key=Secret("bench"), secret_key=Secret("bench"), database_url=Secret(_url(address))
    )


def _settings(url: str, sector: str) -> configuration.Config:
    return configuration.parse((_CONFIG % (url, sector)).encode(), "bench.yaml", base_url=url)


def _url(address: Dsn) -> str:
    host = quote(address.host, safe="")
    return f"postgresql://{address.user}@/{address.database}?host={host}&port={address.port}"


def _command(address: Dsn, *arguments: str) -> _Used:
    """A command in a process of its own, whose end tells what it used."""
    keys = {"KIWOOM_APP_KEY": "bench", "KIWOOM_SECRET_KEY": "bench", "DATABASE_URL": _url(address)}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | keys}
    begun = time.perf_counter()
    process = subprocess.Popen((sys.executable, "-m", "collector", *arguments), **options)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{arguments[0]} ended with {os.waitstatus_to_exitcode(status)}: {said}")
    return _Used(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)
