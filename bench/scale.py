"""A year in a database, to ask it questions: one real day of sweeps against the simulator, laid down under other days.

    python -m bench scale --home FOLDER [--rows N]

Every five minutes both boards on KRX and NXT, at the close every sector on all three exchanges: 100 million rows
are 240 trading days. A day's rows lie as the sweeps wrote them, four walks at a time; other days repeat them at
other prices. The database stays in the folder: COLLECTOR_HOME=FOLDER collector sql '…' asks it, and `bench reads`
measures it, and makes its own where none is named. Called again, it adds what is missing. COLLECTOR_PG_BIN names
another PostgreSQL to do it with.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from datetime import date, datetime, timedelta
from pathlib import Path

from collector import config as configuration
from collector import log
from collector.base import resources
from collector.base.days import day_bounds, day_start
from collector.cli import bootstrap
from collector.cli.context import CliContext
from collector.cli.schedule import read_calendar
from collector.config import Config, Environment, build_timetable
from collector.db import embedded, migrations
from collector.db.dsn import Dsn
from collector.db.pool import Connection, connect, transaction
from collector.market.calendar import Calendar
from collector.model import KST
from collector.secret import Secret
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Options, Simulator

MADE = Path(__file__).parents[1] / ".bench"
DAY = date(2026, 11, 20)
"""The newest day, and the one that is really swept."""
CONFIG = """
api: {base_url: "%s", requests_per_second: 0}
universes:
  boards:
    - {market: KOSPI, sectors: [001], exchanges: [KRX, NXT]}
    - {market: KOSDAQ, sectors: [101], exchanges: [KRX, NXT]}
  everything:
    - {market: KOSPI, sectors: all, exchanges: [KRX, NXT, CONSOLIDATED]}
    - {market: KOSDAQ, sectors: all, exchanges: [KRX, NXT, CONSOLIDATED]}
schedules:
  intraday: {universe: boards, every: 5m, during: KRX.regular}
  close: {universe: everything, at: KRX.regular.close + 10m}
"""
_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "synchronous_commit": "off",
}
_TABLE = f"collector.snapshot_{DAY:%Y%m%d}"
_WALKS = """
INSERT INTO collector.walk (
    slot, target, status, pages, rows, remarks, attempts, requested_at, received_at, committed_at,
    page_starts, page_times, members, digest
)
SELECT slot + $1, target, status, pages, rows, remarks, attempts, requested_at + $1, received_at + $1,
       committed_at + $1, page_starts, ARRAY(SELECT at + $1 FROM unnest(page_times) AS at), members, digest
FROM collector.walk
WHERE slot >= $2 AND slot < $2 + INTERVAL '1 day'
"""
_SWEEPS = """
INSERT INTO collector.sweep (slot, universe, started_at, ended_at)
SELECT slot + $1, universe, started_at + $1, ended_at + $1
FROM collector.sweep
WHERE slot >= $2 AND slot < $2 + INTERVAL '1 day'
"""
_ROWS = """
INSERT INTO {day} (
    slot, volume, listing, price, change, rate, ask, bid, open, high, low, target, position
)
SELECT slot + $1, volume + $2, listing,
       CASE WHEN price = 0 THEN 0 ELSE price + $2 END, change, rate,
       CASE WHEN ask = 0 THEN 0 ELSE ask + $2 END, CASE WHEN bid = 0 THEN 0 ELSE bid + $2 END,
       CASE WHEN open = 0 THEN 0 ELSE open + $2 END, CASE WHEN high = 0 THEN 0 ELSE high + $2 END,
       CASE WHEN low = 0 THEN 0 ELSE low + $2 END, target, position
FROM {model}
"""
# As if the sweeps had been made at their slots.
_ON_TIME = """
UPDATE collector.walk AS w
SET requested_at = w.slot + INTERVAL '1 s',
    received_at = w.received_at - w.requested_at + w.slot + INTERVAL '1 s',
    committed_at = w.committed_at - w.requested_at + w.slot + INTERVAL '1 s',
    page_times = ARRAY(SELECT at - w.requested_at + w.slot + INTERVAL '1 s' FROM unnest(w.page_times) AS at)
WHERE w.requested_at > w.slot + INTERVAL '1 hour'
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench scale")
    parser.add_argument("--home", type=Path, required=True, help="where the database is or will be")
    parser.add_argument("--rows", type=int, default=100_000_000)
    wanted = parser.parse_args(arguments)
    log.configure(level="error")
    asyncio.run(_made(wanted.home, wanted.rows))


async def _made(home: Path, rows: int) -> None:
    await tuned(home)
    async with embedded.running(home) as address:
        count = await fill(address, rows)
        print(f"{count:,} rows in {home}")


async def home_of(rows: int) -> Path:
    """The folder of a database of so many rows: made when it is first asked for, and kept."""
    home = MADE / f"year-{rows}"
    whole = home / "whole"
    if not whole.exists():
        print(f"bench: making {rows:,} rows in {home} (once)", file=sys.stderr, flush=True)
        home.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(sys.stderr):
            await _made(home, rows)
        whole.touch()
    return home


async def tuned(home: Path) -> None:
    """Have the server of a small machine, one that is quick to fill."""
    async with embedded.running(home) as address, connect(address) as connection:
        for name, value in _SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")


async def fill(address: Dsn, rows: int) -> int:
    """Days before the newest until there are about so many rows; how many there are."""
    calendar = read_calendar(resources.path("config", "collector.yaml"))
    async with connect(address, statement_timeout=3600) as connection:
        await migrations.migrate(connection, address, resources.path("migrations"))
        if not await connection.fetchval("SELECT count(*) FROM collector.walk"):
            await _sweep(connection, address, calendar)
            await connection.execute(_ON_TIME)
            await _tend(connection, DAY)
        model = await connection.fetchval(f"SELECT count(*) FROM {_TABLE}")
        days = _days(calendar, max(1, round(rows / model)))
        for number, day in enumerate(days, 1):
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM collector.sweep WHERE slot >= $1 AND slot < $2)",
                *day_bounds(day),
            ):
                await _lay(connection, day, number)
        await _furnish(connection, days)
        return int(model) * len(days)


def _days(calendar: Calendar, count: int) -> list[date]:
    """So many trading days, the newest first."""
    days = [DAY]
    while len(days) < count:
        days.append(calendar.previous_trading_day(days[-1]))
    return days


async def _sweep(connection: Connection, address: Dsn, calendar: Calendar) -> None:
    """The newest day, sweep after sweep, as the program sweeps."""
    opening = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=KST)
    async with _collecting(address, opening) as (simulator, collector, config):
        timetable = build_timetable(config, calendar, collector.sectors)
        for slot in timetable.on(DAY):
            simulator.clock.turn(at=slot.at + timedelta(seconds=2), speed=0.0)
            began = time.perf_counter()
            sweep = await collector.sweep(slot.at, slot.universe, timetable.targets[slot.universe])
            await connection.execute("VACUUM collector.listing")  # autovacuum has five minutes for it
            rows = sum(outcome.rows for outcome in sweep.outcomes)
            print(f"{slot.at:%H:%M} {rows:,} rows, {time.perf_counter() - began:.1f} s", flush=True)


@asynccontextmanager
async def _collecting(address: Dsn, at: datetime) -> AsyncIterator[tuple[Simulator, Collector, Config]]:
    async with Simulator(Options(quota=0, freeze=at)) as simulator:
        config = configuration.parse((CONFIG % simulator.url).encode(), "scale.yaml")
        key = Secret("bench")
        environment = Environment(app_key=key, secret_key=key, database_url=Secret(_url(address)))
        async with bootstrap.open_collector(CliContext(environment, config)) as collector:
            yield simulator, collector, config


def _url(address: Dsn) -> str:
    return f"postgresql://{address.user}@/{address.database}?host={address.host}&port={address.port}"


async def _lay(connection: Connection, day: date, number: int) -> None:
    """One more day, like the newest one and at other prices; made and filled in one go, which spares its WAL."""
    shift = day - DAY
    began = time.perf_counter()
    async with transaction(connection):
        await connection.execute("SELECT collector.make_days($1, 1)", day)
        await connection.execute(_WALKS, shift, day_start(DAY))
        await connection.execute(_SWEEPS, shift, day_start(DAY))
        rows = _ROWS.format(day=f"collector.snapshot_{day:%Y%m%d}", model=_TABLE)
        await connection.execute(rows, shift, number % 40 * 5)
    await _tend(connection, day)
    print(f"{day} {time.perf_counter() - began:.1f} s", flush=True)


async def _furnish(connection: Connection, days: Sequence[date]) -> None:
    """What a daemon would have left besides: a partition for every day, who belonged where, clean tables."""
    oldest = min(days)
    await connection.execute("SELECT collector.make_days($1, $2)", oldest, (DAY - oldest).days + 9)
    slots = await connection.fetch(
        "SELECT slot FROM collector.sweep WHERE universe = 'everything' ORDER BY slot"
    )
    for slot in slots:
        await connection.execute("SELECT collector.keep_membership($1)", slot["slot"])
    for table in ("listing", "walk", "sweep", "target", "membership"):
        await connection.execute(f"VACUUM (ANALYZE) collector.{table}")


async def _tend(connection: Connection, day: date) -> None:
    """As the daemon's tending and autovacuum would have done by now."""
    await connection.execute("SELECT collector.tend_day($1)", day)
    await connection.execute(f"ANALYZE collector.snapshot_{day:%Y%m%d}")
