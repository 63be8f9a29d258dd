"""Days of rows to be archived, and what is left of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.archive.restore import RestoredDay, restore
from collector.archive.write import ArchivedFile, archive
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.model import KST, Certificate, Page, Quote, Remark, Status, Target
from tests.support.harness import columns, fetch, reading, snapshots

DAY = date(2026, 11, 19)
KOSPI = Target.of("KOSPI", "001", "KRX")
KOSDAQ = Target.of("KOSDAQ", "101", "KRX")
NXT = Target.of("KOSDAQ", "101", "NXT")
EMPTY = Target.of("KOSPI", "603", "KRX")
ALL = (KOSPI, KOSDAQ, NXT, EMPTY)
COMPLETE = Certificate(Status.COMPLETE)
SUSPECT = Certificate(Status.SUSPECT, (Remark.SHORT_PAGE,))
EXTREMES = [
    Quote("005930", "삼성전자", 2**31 - 1, -(2**31) + 1, 2**28 - 1, 5, 10**15 - 1, 1, 1, 1, 1, 1),
    Quote("0126Z0", "a'b\"c\\d\t{}|,$1\n", None, 2**31 - 1, -(2**28), 1, 0, None, None, None, None, None),
    Quote("33626K", "😀 한글 <b>&amp;", 1, 0, 0, 3, 1, None, 7, None, 8, None),
]
EVERY_ROW = "SELECT * FROM snapshot ORDER BY slot, market, sector, exchange, position"
NARROW = """
SELECT slot, target, volume, listing, price, change, rate, ask, bid, open, high, low, position
FROM collector.snapshot
ORDER BY slot, target, position
"""
PARTITIONS = "SELECT relname::text FROM pg_class WHERE relname ~ '^snapshot_[0-9]{8}$' ORDER BY 1"


@asynccontextmanager
async def opened(address: Dsn) -> AsyncIterator[Database]:
    async with open_pool(address, size=2) as pool:
        yield Database(pool, address)


def at(day: date, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, 9, 0, tzinfo=KST) + timedelta(minutes=minute)


async def fill(address: Dsn, *days: date, walks: int = 3, rows: int = 150, price: int = 1000) -> None:
    """Some sweeps of each day, with everything that rows can be: renamed, extreme, twice in a walk, on no page."""
    async with opened(address) as held:
        store = SnapshotStore(held, Registry(held))
        await store.registry.ensure_source("ours")
        await store.registry.open()
        for day in days or (DAY,):
            for number in range(walks):
                await _sweep(store, at(day, 5 * number), number, rows, price + number)


async def _sweep(store: SnapshotStore, slot: datetime, number: int, rows: int, price: int) -> None:
    await store.begin_sweep(slot, "all", ALL)
    many = [*EXTREMES, *snapshots(rows, name=f"name {number // 2}", price=price)]
    await store.save_walk(reading(KOSPI, slot, many), COMPLETE)
    twice = snapshots(40) + snapshots(1, first=7)
    await store.save_walk(reading(KOSDAQ, slot, twice), SUSPECT)
    pages = [
        Page(columns(snapshots(30)), "N1"),
        Page(columns([]), "N2"),
        Page(columns(snapshots(5, first=30)), None),
    ]
    times = [slot + timedelta(seconds=2, microseconds=123_456 * page) for page in range(3)]
    await store.save_walk(reading(NXT, slot, [], pages=pages, page_times=times), COMPLETE)
    await store.save_walk(reading(EMPTY, slot, []), COMPLETE)
    await store.end_sweep(slot, "all")


async def archived(address: Dsn, folder: Path, day: date = DAY, *, most: int = 10_000) -> list[ArchivedFile]:
    async with opened(address) as held:
        return await archive(held, day, folder, most=most)


async def restored(
    address: Dsn, paths: list[Path], day: date = DAY, *, most: int = 10_000
) -> list[RestoredDay]:
    async with opened(address) as held:
        return await restore(held, day, paths, most=most)


def files_in(folder: Path) -> list[str]:
    """Every file under a folder, parts included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def rows_of(address: Dsn) -> list[tuple[Any, ...]]:
    """All that there is, as it lies and as it is shown."""
    return [*await fetch(address, NARROW), *await fetch(address, EVERY_ROW)]
