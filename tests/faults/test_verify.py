"""`verify` finds what somebody did to the rows behind the program's back, and nothing else."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

import pytest

from collector.db.audit import Findings, Mismatch, verify
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.model import KST, Certificate, Quote, Remark, Status, Target
from tests.support.harness import execute, reading, snapshots
from tests.support.postgres_server import Server

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
DAY = date(2026, 11, 20)
KOSPI, KOSDAQ = Target.of("KOSPI", "001", "KRX"), Target.of("KOSDAQ", "101", "NXT")
COMPLETE = Certificate(Status.COMPLETE)
SUSPECT = Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))


@asynccontextmanager
async def storing(address: Dsn) -> AsyncIterator[SnapshotStore]:
    async with open_pool(address, size=2) as pool:
        held = Database(pool, address)
        store = SnapshotStore(held, Registry(held))
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI, KOSDAQ])
        yield store


async def verified(address: Dsn, first: date = DAY, last: date = DAY) -> tuple[list[Mismatch], Findings]:
    async with open_pool(address, size=1) as pool:
        findings = Findings()
        return [each async for each in verify(Database(pool, address), first, last, findings)], findings


async def test_what_nobody_touched_is_whole_and_a_day_that_is_dropped_is_no_damage(database: Dsn) -> None:
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, snapshots(250)), COMPLETE)
        await store.save_walk(reading(KOSDAQ, SLOT, snapshots(30, first=500)), SUSPECT)
        later = SLOT + timedelta(minutes=5)
        await store.save_walk(reading(KOSPI, later, []), COMPLETE)
        await store.save_failure(later, KOSDAQ, error="Rejected: no", attempts=1)
    assert await verified(database) == ([], Findings(walks=3, rows=280))
    await execute(database, "SELECT collector.drop_day('2026-11-20')")
    assert await verified(database) == ([], Findings(not_kept=3))


THIRD = "slot = $1 AND position = 3"
MISDEEDS = {
    **{
        f"another {name}": (f"UPDATE collector.snapshot SET {name} = {name} + 1 WHERE {THIRD}", "values have")
        for name in ("volume", "listing", "price", "change", "rate", "ask", "bid", "open", "high", "low")
    },
    "a row deleted": (f"DELETE FROM collector.snapshot WHERE {THIRD}", "19 rows instead of 20"),
    "a row doubled": (
        f"INSERT INTO collector.snapshot SELECT * FROM collector.snapshot WHERE {THIRD}",
        "21 rows instead of 20",
    ),
    "a row elsewhere": (f"UPDATE collector.snapshot SET position = 300 WHERE {THIRD}", "out of order"),
    "two rows exchanged": (
        "UPDATE collector.snapshot SET position = 7 - position WHERE slot = $1 AND position IN (3, 4)",
        "values have",
    ),
    "a symbol changed": (
        f"UPDATE collector.listing SET symbol = 'X' WHERE id = (SELECT listing FROM collector.snapshot WHERE {THIRD})",
        "changed their symbols",
    ),
    "a listing deleted": (
        f"DELETE FROM collector.listing WHERE id = (SELECT listing FROM collector.snapshot WHERE {THIRD})",
        "rows have an unknown listing",
    ),
    "a line of the ledger deleted": (
        "DELETE FROM collector.walk WHERE slot = $1",
        "without a walk in the ledger",
    ),
    "a count corrected": ("UPDATE collector.walk SET rows = 19 WHERE slot = $1", "20 rows instead of 19"),
    "a failure made of it": ("UPDATE collector.walk SET status = 'failed' WHERE slot = $1", "without a walk"),
}


@pytest.fixture(scope="module")
async def found(server: Server, template: str) -> AsyncIterator[Mapping[str, Sequence[Mismatch]]]:
    """What is found of each misdeed, every one done to a walk of its own, with one sound walk among them."""
    slots = {name: SLOT + timedelta(minutes=number) for number, name in enumerate(["sound", *MISDEEDS])}
    async with server.database(template=template) as address:
        async with storing(address) as store:
            for number, slot in enumerate(slots.values()):
                await store.save_walk(reading(KOSPI, slot, snapshots(20, first=20 * number)), COMPLETE)
        for name, (statement, _) in MISDEEDS.items():
            await execute(address, statement, slots[name])
        damage, findings = await verified(address)
        assert findings.damaged == len(damage)
        yield {name: [one for one in damage if one.slot == slot] for name, slot in slots.items()}


@pytest.mark.parametrize("name", MISDEEDS)
async def test_whatever_was_done_to_a_walk_is_found(
    found: Mapping[str, Sequence[Mismatch]], name: str
) -> None:
    [damage] = found[name]
    assert damage.target == str(KOSPI)
    assert MISDEEDS[name][1] in damage.what


async def test_a_sound_walk_beside_damaged_ones_is_left_in_peace(
    found: Mapping[str, Sequence[Mismatch]],
) -> None:
    assert found["sound"] == []


async def test_prices_that_cannot_be_are_counted_and_are_no_damage(database: Dsn) -> None:
    sound = Quote("000000", "삼성전자", 100, 0, 0, 3, 10, 101, 99, 100, 110, 90)
    rows = [
        sound,
        sound._replace(symbol="000001", high=89),
        sound._replace(symbol="000002", price=111),
        sound._replace(symbol="000003", price=None),
        sound._replace(symbol="000004", price=None, volume=0, open=None, high=None, low=None),
    ]
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, rows), COMPLETE)
    assert await verified(database) == ([], Findings(walks=1, rows=5, odd=3))
