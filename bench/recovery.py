"""Kept answers: their bytes a row, as they came and packed, and the CPU that keeping costs a sweep.

    python -m bench recovery [--rounds N] [--slots N]

A sweep with and without keeping, in turn; then `--slots` sweeps of 001 and 101, packed. `python -m bench replay` and
`python -m bench repair` measure the commands.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import commands
from bench.pipeline import child, server, spread
from bench.replay import OPEN, collect
from collector import log
from collector.cli import bootstrap
from collector.db.answers import AnswerStore
from collector.db.pool import connect


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench recovery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=24)
    chosen = parser.parse_args(arguments)
    log.configure(level="error")
    table = Table("measure", "figure", title="kept answers", title_justify="left")
    _keeping(table, chosen.rounds)
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(_packing(table, Path(home), chosen.slots))
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


async def _packing(table: Table, home: Path, slots: int) -> None:
    size = "SELECT sum(octet_length(answers)) FROM collector.raw_walk"
    async with commands.migrated_database(home) as address:
        rows = await collect(address, slots)
        async with connect(address) as connection:
            plain = await connection.fetchval(size)
        begun = time.process_time()
        async with bootstrap.open_database(commands.environment(address)) as database:
            await AnswerStore(database).pack_day(OPEN.date())
        packing = time.process_time() - begun
        async with connect(address) as connection:
            packed = await connection.fetchval(size)
    table.add_row("bytes a row as they came", f"{plain / rows:.1f}")
    table.add_row("bytes a row, packed", f"{packed / rows:.1f}")
    table.add_row("CPU µs a row of packing", f"{packing / rows * 1e6:.2f}")
