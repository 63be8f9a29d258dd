"""What is remembered of a database ends with it, and rows land only where views look."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from collector.daemon import SlotAccounting
from collector.db.audit import Findings, Mismatch, verify
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.lease import Lease, LeaseLost
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.errors import StoreError
from collector.model import KST, Certificate, Quote, Status, Target
from tests.support.harness import execute, fetch, reading, snapshots, stored
from tests.support.postgres_server import Server

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
NEXT = SLOT + timedelta(minutes=10)
KOSPI = Target.of("KOSPI", "001", "KRX")
KOSDAQ = Target.of("KOSDAQ", "101", "KRX")
COMPLETE = Certificate(Status.COMPLETE)
BEFORE = snapshots(120)
AFTER = [*snapshots(120), Quote("999999", "new", 1, 0, 0, 3, 1, 1, 1, 1, 1, 1)]


@dataclass
class Restorable:
    """A database that falls back to the state in which it was saved."""

    server: Server
    address: Dsn

    async def save(self) -> None:
        await self._copied(f"{self.address.database}_saved", self.address.database)

    async def restore(self) -> None:
        await self.server.connection.execute(f"DROP DATABASE {self.address.database} WITH (FORCE)")
        await self._copied(self.address.database, f"{self.address.database}_saved")

    async def _copied(self, name: str, template: str) -> None:
        await self.server.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", template
        )
        async with asyncio.timeout(600):
            while await self.server.connection.fetchval(  # noqa: ASYNC110 - the server sets no event
                "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", template
            ):
                await asyncio.sleep(0.01)  # looks again
        await self.server.connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


@pytest.fixture
async def restorable(server: Server, database: Dsn) -> AsyncIterator[Restorable]:
    yield Restorable(server, database)
    await server.connection.execute(f"DROP DATABASE IF EXISTS {database.database}_saved WITH (FORCE)")


@asynccontextmanager
async def storing(address: Dsn) -> AsyncIterator[SnapshotStore]:
    async with open_pool(address, size=3) as pool:
        held = Database(pool, address)
        yield SnapshotStore(held, Registry(held))


async def damages(address: Dsn) -> list[Mismatch]:
    async with open_pool(address, size=1) as pool:
        database, day = Database(pool, address), SLOT.date()
        return [damage async for damage in verify(database, day, day, Findings())]


async def other_listings(address: Dsn) -> None:
    """Somebody else's listings take the ids that were given after the state that came back."""
    await execute(
        address,
        "INSERT INTO collector.listing (symbol, name, first_seen, last_seen)"
        " SELECT 'X' || n, 'another ' || n, now(), now() FROM generate_series(1, 300) AS n",
    )


async def nothing_else(_: Dsn) -> None:
    """The ids that were given after that state are nobody's."""


@pytest.mark.extended
@pytest.mark.parametrize("meanwhile", [nothing_else, other_listings])
async def test_rows_name_their_listings_after_the_database_fell_back(
    restorable: Restorable, meanwhile: Callable[[Dsn], object]
) -> None:
    address = restorable.address
    async with storing(address) as store:
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await restorable.save()
        await store.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
        await restorable.restore()
        await meanwhile(address)  # type: ignore[misc]
        assert await store.save_walk(reading(KOSPI, NEXT, BEFORE), COMPLETE)
        await store.end_sweep(NEXT, "all")
    assert await stored(address, NEXT, KOSPI) == [tuple(row) for row in BEFORE]
    assert await damages(address) == []


@pytest.mark.extended
async def test_a_target_keeps_its_name_after_the_database_fell_back(restorable: Restorable) -> None:
    address = restorable.address
    async with storing(address) as store:
        await store.registry.open()
        await restorable.save()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await restorable.restore()
        async with storing(address) as another:
            await another.registry.open()
            await another.begin_sweep(SLOT, "other", [KOSDAQ])
        assert await store.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
        await store.save_failure(NEXT, KOSPI, error="Rejected: no", attempts=1)
    assert await fetch(address, "SELECT slot, market, sector, status FROM walk ORDER BY slot") == [
        (SLOT, "KOSPI", "001", "complete"),
        (NEXT, "KOSPI", "001", "failed"),
    ]


@pytest.mark.extended
async def test_a_failure_is_noted_under_its_target_after_the_database_fell_back(
    restorable: Restorable,
) -> None:
    address = restorable.address
    async with storing(address) as store:
        await store.registry.open()
        await restorable.save()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await restorable.restore()
        await store.save_failure(SLOT, KOSPI, error="Rejected: no", attempts=1)
        accounts = SlotAccounting(store.database, store.registry)
        assert await accounts.settle("often", SLOT, "all", [KOSPI, KOSDAQ], "overrun") == 0
    assert await fetch(address, "SELECT market, status FROM walk") == [("KOSPI", "failed")]


async def test_a_new_listing_of_another_program_costs_nobody_a_walk(database: Dsn) -> None:
    async with storing(database) as one, storing(database) as other:
        for store in (one, other):
            await store.registry.open()
            await store.begin_sweep(SLOT, "all", [KOSPI, KOSDAQ])
        await one.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
        assert await other.save_walk(reading(KOSDAQ, SLOT, AFTER), COMPLETE)
        assert await one.save_walk(reading(KOSPI, NEXT, AFTER), COMPLETE)
    assert await stored(database, NEXT, KOSPI) == [tuple(row) for row in AFTER]


@pytest.mark.extended
async def test_a_lease_ends_with_the_state_of_the_database_that_gave_it(restorable: Restorable) -> None:
    """The state that comes back has the same epoch, and the lease has not run out."""
    async with open_pool(restorable.address, size=1) as pool:
        lease = Lease(Database(pool, restorable.address), "one", ttl=timedelta(minutes=10))
        assert await lease.take()
        await restorable.save()
        await _until_renewed(lease)
        await restorable.restore()
        with pytest.raises(LeaseLost, match="the database was replaced"):
            await _until_renewed(lease)
        assert await lease.take()


async def _until_renewed(lease: Lease) -> None:
    """Sessions that an administrator ended are noticed by their next use."""
    for _ in range(3):
        try:
            await lease.renew()
        except LeaseLost:
            raise
        except StoreError:
            continue
        return
    raise AssertionError("the database stayed away")


async def test_a_lease_ends_with_the_server(database: Dsn) -> None:
    async with open_pool(database, size=1) as pool:
        lease = Lease(Database(pool, database), "one")
        assert await lease.take()
        await lease.renew()
        await execute(
            database,
            "CREATE OR REPLACE FUNCTION collector.identity() RETURNS text LANGUAGE sql AS $$ SELECT 'promoted' $$",
        )
        with pytest.raises(LeaseLost):
            await lease.renew()


async def test_an_identity_tells_databases_apart_also_to_a_common_role(server: Server, template: str) -> None:
    async with (
        server.database(template=template) as one,
        server.database(template=template) as other,
        common_role(server, one) as role,
    ):
        [[mine]] = await fetch(one, "SELECT collector.identity()")
        [[again]] = await fetch(one, "SELECT collector.identity()")
        [[common]] = await fetch(replace(one, user=role), "SELECT collector.identity()")
        [[elsewhere]] = await fetch(other, "SELECT collector.identity()")
    assert mine.count("/") == 2
    assert mine == again == common
    assert mine != elsewhere


@asynccontextmanager
async def common_role(server: Server, address: Dsn) -> AsyncIterator[str]:
    role = f"{address.database}_role"
    await server.connection.execute(f"CREATE ROLE {role} LOGIN")
    await execute(address, f"GRANT USAGE ON SCHEMA collector TO {role}")
    try:
        yield role
    finally:
        await execute(address, f"DROP OWNED BY {role}")
        await server.connection.execute(f"DROP ROLE {role}")


EXCHANGED = """
UPDATE collector.listing
SET symbol = CASE symbol WHEN '000007' THEN '000008' ELSE '000007' END
WHERE symbol IN ('000007', '000008')
"""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE collector.listing SET name = 'else' WHERE symbol = '000007'", "names"),
        ("UPDATE collector.listing SET symbol = '777777' WHERE symbol = '000007'", "symbols"),
        (
            "DELETE FROM collector.listing WHERE symbol IN ('000007', '000008')",
            "2 rows have an unknown listing",
        ),
        (EXCHANGED, "names"),
    ],
    ids=["name", "symbol", "gone", "exchanged"],
)
async def test_verify_finds_listings_that_are_others_now(database: Dsn, change: str, what: str) -> None:
    async with storing(database) as store:
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await store.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
    assert await damages(database) == []
    await execute(database, change)
    [damage] = await damages(database)
    assert what in damage.what


TODAY = "collector.snapshot_20261120"
ELSEWHERE = f"""
ALTER TABLE collector.snapshot DETACH PARTITION {TODAY};
CREATE TABLE mine (LIKE collector.snapshot) PARTITION BY RANGE (slot);
ALTER TABLE mine ATTACH PARTITION {TODAY} FOR VALUES FROM ('2026-11-19 15:00Z') TO ('2026-11-20 15:00Z');
"""
EATING = f"""
CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER eat BEFORE INSERT ON {TODAY} FOR EACH ROW EXECUTE FUNCTION eat();
"""


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE collector.snapshot DETACH PARTITION {TODAY}",
        f"DROP TABLE {TODAY}",
        f"DROP TABLE {TODAY}; CREATE TABLE {TODAY} (LIKE collector.snapshot)",
        f"ALTER TABLE collector.snapshot DETACH PARTITION {TODAY}; ALTER TABLE {TODAY} RENAME TO kept",
    ],
    ids=["detached", "dropped", "a plain table", "detached and renamed"],
)
async def test_rows_are_stored_where_views_look(database: Dsn, change: str) -> None:
    async with storing(database) as store:
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await execute(database, change)
        assert await store.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
    assert await stored(database, SLOT, KOSPI) == [tuple(row) for row in BEFORE]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f"ALTER TABLE {TODAY} RENAME TO mine", "rename"),
        (f"DROP TABLE {TODAY}; CREATE TABLE {TODAY} (slot timestamptz)", "cannot be made a partition"),
        (ELSEWHERE, "ATTACH PARTITION"),
        (EATING, "120 rows were sent and the table took 0"),
        (f"ALTER TABLE {TODAY} SET UNLOGGED", "is not logged"),
    ],
    ids=["renamed", "other columns", "attached elsewhere", "a trigger that eats rows", "unlogged"],
)
async def test_rows_that_no_view_would_show_are_refused(database: Dsn, change: str, words: str) -> None:
    async with storing(database) as store:
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        await execute(database, change)
        with pytest.raises(StoreError) as caught:
            await store.save_walk(reading(KOSPI, SLOT, BEFORE), COMPLETE)
    assert words in f"{caught.value} {caught.value.hint}"
    assert await fetch(database, "SELECT count(*) FROM walk") == [(0,)]


async def test_a_partition_is_not_detached_between_the_look_and_the_rows(database: Dsn) -> None:
    async with storing(database) as store:
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        async with store.database.transaction("looking") as connection:
            assert await connection.fetchval("SELECT collector.partition_trouble($1)", SLOT) == ""
            async with store.database.connection("detaching") as other:
                await other.execute("SET lock_timeout = '50ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    await other.execute(f"ALTER TABLE collector.snapshot DETACH PARTITION {TODAY}")
