"""What second sources cost a sweep: CPU of the client, and the moments at which its own pages are asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median, quantiles

from rich.table import Table

from bench import commands, simulated
from bench.pipeline import spread
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.cli.schedule import read_calendar
from collector.db.dsn import Dsn
from collector.kiwoom.connections import REST
from collector.model import KST, Target
from collector.sweep.sweeper import Collector
from collector.sweep.witness import WitnessDesk

OPEN = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
CONFIG = """
api: {base_url: "%s", requests_per_second: RATE}
universes:
  all:
    - {market: KOSPI, sectors: all, exchanges: [KRX]}
    - {market: KOSDAQ, sectors: all, exchanges: [KRX]}
"""
QUOTA = 5
_SLOTS = count()


@asynccontextmanager
async def _open(
    address: Dsn, url: str, rate: int
) -> AsyncIterator[tuple[Collector, WitnessDesk | None, list[Target]]]:
    """A collector without second sources, what asks them, and the targets of both boards."""
    settings = replace(commands.settings(CONFIG.replace("RATE", str(rate)), url), witness="on")
    context = CliContext(commands.environment(address), settings)
    async with bootstrap.open_collector(context) as plain:
        _, targets = context.targets(None, plain.sectors)
        yield plain, bootstrap.make_witness(plain, settings, read_calendar(Path("collector.yaml"))), targets


async def measure_cpu(table: Table, home: Path, rounds: int) -> None:
    """CPU of the client for a sweep of 65 sectors over HTTP into PostgreSQL, with and without, in turn."""
    runs: dict[bool, list[float]] = {False: [], True: []}
    pages: dict[bool, set[int]] = {False: set(), True: set()}
    with simulated.simulator("--quota", "0", "--freeze", OPEN.isoformat()) as url:
        async with commands.migrated_database(home) as address, _open(address, url, 0) as opened:
            plain, desk, targets = opened
            for index in range(2 * (rounds + 2)):
                is_witnessed = bool(index % 2)
                sweeper = replace(plain, witness=desk if is_witnessed else None)
                begun = time.process_time()
                sweep = await sweeper.sweep(OPEN + timedelta(minutes=index), "all", targets)
                runs[is_witnessed].append(time.process_time() - begun)
                pages[is_witnessed].add(sweep.requests)
    plain_runs, witnessed = runs[False][2:], runs[True][2:]
    ratios = [one / other for one, other in zip(witnessed, plain_runs, strict=True)]
    table.add_row("CPU seconds of a sweep of 65 sectors without second sources", spread(plain_runs))
    table.add_row("CPU seconds with them (lists known)", spread(witnessed))
    table.add_row("ratio of the medians", f"{median(witnessed) / median(plain_runs):.3f}")
    table.add_row("ratio, round by round", spread(ratios))
    table.add_row("CPU seconds of a sweep that asks for both lists, the first one", f"{runs[True][0]:.3f}")
    table.add_row("requests of the sweep's own pages, without and with", f"{pages[False]} and {pages[True]}")


async def measure_delay(table: Table, home: Path, pairs: int) -> None:
    """The moments at which the pages of a sweep reach the server, with and without, in turn, at the real durations.

    In each second pair the sweep with second sources comes first. One program sweeps all pairs, as a daemon does; then
    each sweep of half as many pairs has a program of its own, with new connections and lists from the database.
    """
    options = ("--latency", "real", "--freeze", OPEN.isoformat())
    with simulated.simulator(*options) as url:
        async with commands.migrated_database(home) as address:
            async with _open(address, url, QUOTA) as (plain, desk, targets):
                for is_witnessed in (False, True):  # learn the round trips, and ask for the lists
                    await _note_arrivals(plain, desk if is_witnessed else None, targets, url)
                runs = [
                    {
                        side: await _note_arrivals(plain, desk if side else None, targets, url)
                        for side in _order(pair)
                    }
                    for pair in range(pairs)
                ]
            _add_delay(table, "one program", runs)
            runs = []
            for pair in range(pairs // 2):
                run = {}
                for side in _order(pair):
                    async with _open(address, url, QUOTA) as (plain, desk, targets):
                        run[side] = await _note_arrivals(plain, desk if side else None, targets, url)
                runs.append(run)
            _add_delay(table, "a new program for each sweep", runs)


def _order(pair: int) -> tuple[bool, bool]:
    return (True, False) if pair % 2 else (False, True)


async def _note_arrivals(
    plain: Collector, desk: WitnessDesk | None, targets: Sequence[Target], url: str
) -> list[float]:
    """Seconds from the start of a sweep to the arrival of each of its pages at the server, in order.

    Both processes read the same monotonic clock of the machine.
    """
    sweeper = replace(plain, witness=desk)
    await asyncio.sleep(REST)  # the connections of the sweep before rest
    await sweeper.warm(len(targets))
    begun = time.monotonic()
    await sweeper.sweep(OPEN + timedelta(seconds=next(_SLOTS)), "all", targets)
    return sorted(line["arrived"] - begun for line in simulated.arrivals(url) if line["arrived"] > begun)


def _add_delay(table: Table, programs: str, runs: Sequence[Mapping[bool, list[float]]]) -> None:
    if not runs:
        return
    last = [run[True][-1] - run[False][-1] for run in runs]
    late = [with_ - without for run in runs for with_, without in zip(run[True], run[False], strict=False)]
    low, middle, high = quantiles(late, n=4)
    pages = sorted({len(arrivals) for run in runs for arrivals in run.values()})
    table.add_row(f"{programs}: pages of a sweep", ", ".join(map(str, pages)))
    table.add_row("… arrival of the last page without, s", spread([run[False][-1] for run in runs]))
    table.add_row("… the last page comes later with second sources by, s", spread(last))
    table.add_row(
        "… the first page comes later by, s", spread([run[True][0] - run[False][0] for run in runs])
    )
    table.add_row(
        f"… each page by, s, median and quartiles of {len(late):,}", f"{middle:.2f} ({low:.2f}–{high:.2f})"
    )
