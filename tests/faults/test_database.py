"""What a real server does to a walk that is being stored: deadlocks, locks, a standby, slowness, readers that stay."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from collector.base import resources
from collector.db import Connection, migrations
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import check_server, connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.errors import StoreError
from collector.model import KST, Certificate, Quote, Status, Target
from kiwoom_simulator import Simulator
from tests.db.test_postgres import answer, bounced
from tests.support.harness import (
    OPEN,
    STILL,
    as_stored,
    collecting,
    execute,
    fetch,
    reading,
    snapshots,
    stored,
)
from tests.support.postgres_server import Server
from tests.support.tcp_proxy import proxied

KOSPI = Target.of("KOSPI", "001", "KRX")
SMALL = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(5, 17)]
COMPLETE = Certificate(Status.COMPLETE)
SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = $1::oid"


@asynccontextmanager
async def storing(address: Dsn) -> AsyncIterator[SnapshotStore]:
    async with open_pool(address, size=3) as pool:
        held = Database(pool, address)
        store = SnapshotStore(held, Registry(held))
        await store.registry.open()
        await store.begin_sweep(SLOT, "all", [KOSPI])
        yield store


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(600):
        while not await condition():  # noqa: ASYNC110 - the database has no event for it
            await asyncio.sleep(0.01)  # looks again


async def has_asked_for(simulator: Simulator, count: int) -> bool:
    return len({one["sector"] for one in simulator.api.book.since(0) if one["sector"]}) >= count


async def waits(connection: Connection) -> bool:
    ours = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    return bool(await connection.fetchval(WAITING, ours))


def plain(rows: Sequence[Quote]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rows]


async def test_a_real_deadlock_costs_the_walk_nothing(database: Dsn) -> None:
    await execute(database, f"ALTER DATABASE {database.database} SET deadlock_timeout = '1s'")
    rival_insert = (
        "INSERT INTO collector.walk (slot, target, status) SELECT $1, id, 'missed' FROM collector.target"
    )
    async with storing(database) as store, connect(database) as rival, connect(database) as observer:
        await rival.execute("SET deadlock_timeout = '60s'")
        rivalry = rival.transaction()
        await rivalry.start()
        await rival.execute("LOCK TABLE collector.snapshot_20261120")
        entering = asyncio.ensure_future(store.save_walk(reading(KOSPI, SLOT, snapshots(150)), COMPLETE))
        await until(lambda: waits(observer))
        await rival.execute(rival_insert, SLOT)  # waits for the walk, which waits for the table: a deadlock
        await rivalry.rollback()
        assert await entering
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        await observer.execute("SELECT pg_stat_force_next_flush()")
        await until(lambda: observer.fetchval(deadlocks))
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))


@pytest.mark.parametrize(
    "seconds", [0.3, pytest.param(6, marks=pytest.mark.extended)], ids=["for a moment", "beyond the time-out"]
)
async def test_a_table_that_somebody_locks_is_waited_for(database: Dsn, seconds: float) -> None:
    async with storing(database) as store, connect(database) as admin:
        async with admin.transaction():
            await admin.execute("LOCK TABLE collector.snapshot_20261120")
            entering = asyncio.ensure_future(store.save_walk(reading(KOSPI, SLOT, snapshots(150)), COMPLETE))
            await until(lambda: waits(admin))
            await asyncio.sleep(seconds)  # nothing may happen meanwhile: there is no event for that
            assert not entering.done()
        assert await entering
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))


async def test_a_database_that_became_read_only_ends_the_sweep_before_a_call(database: Dsn) -> None:
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, KOSPI) as collector:
        await execute(database, f"ALTER DATABASE {database.database} SET default_transaction_read_only = on")
        await collector.store.database.pool.expire_connections()
        with pytest.raises(StoreError, match="it is read-only") as caught:
            await collector.sweep(OPEN, "all", SMALL[:1])
        assert simulator.api.book.count == 0
        assert "primary" in caught.value.hint
        async with connect(database) as admin:
            await admin.execute("SET default_transaction_read_only = off")
            await admin.execute(f"ALTER DATABASE {database.database} RESET default_transaction_read_only")
        await collector.store.database.pool.expire_connections()
        assert (await collector.sweep(OPEN, "all", SMALL[:1])).is_whole


@pytest.mark.extended
async def test_a_database_that_is_slow_slows_the_fetching_and_nothing_piles_up(database: Dsn) -> None:
    async with (
        Simulator(STILL) as simulator,
        collecting(database, simulator.url, *SMALL, concurrency=3) as collector,
        connect(database) as slow,
    ):
        await collector.store.begin_sweep(OPEN, "all", SMALL)
        async with slow.transaction():
            await slow.execute("LOCK TABLE collector.snapshot_20261120")
            sweeping = asyncio.ensure_future(collector.sweep(OPEN, "all", SMALL))
            await until(lambda: has_asked_for(simulator, 3))
            await asyncio.sleep(0.4)  # nothing may happen meanwhile: there is no event for that
            assert not await has_asked_for(simulator, 4)
        assert (await sweeping).is_whole
        served = {target: [as_stored(row) for row in simulator.rows(target)] for target in SMALL}
    assert {target: await stored(database, OPEN, target) for target in SMALL} == served


@pytest.mark.extended
async def test_a_reader_that_stays_for_hours_sees_its_own_moment_and_stops_nobody(database: Dsn) -> None:
    async with (
        Simulator(STILL) as simulator,
        collecting(database, simulator.url, *SMALL) as collector,
        connect(database) as reader,
        reader.transaction(isolation="repeatable_read", readonly=True),
    ):
        count = "SELECT count(*) FROM snapshot"
        before = await reader.fetchval(count)
        assert (await collector.sweep(OPEN, "all", SMALL)).is_whole
        assert await reader.fetchval(count) == before
    assert (await fetch(database, count))[0][0] > before


@pytest.mark.extended
async def test_a_sweep_leaves_nothing_behind_that_a_vacuum_would_have_to_clean(database: Dsn) -> None:
    async with Simulator(STILL) as simulator, collecting(database, simulator.url, *SMALL) as collector:
        await collector.sweep(OPEN, "all", SMALL)
    dead = (
        "SELECT c.relname FROM pg_stat_user_tables AS c WHERE c.n_tup_upd + c.n_tup_del > 0"
        " AND (c.relname = 'walk' OR c.relname LIKE 'snapshot%')"
    )
    assert await fetch(database, dead) == []


async def test_a_collation_that_changed_under_the_database_is_warned_of(database: Dsn) -> None:
    async with connect(database) as connection:
        kept = await connection.fetchval(
            "SELECT datcollversion FROM pg_database WHERE datname = current_database()"
        )
        assert not [line for line in await check_server(connection, database) if "collation" in line]
        await connection.execute(
            "UPDATE pg_database SET datcollversion = '0.0' WHERE datname = current_database()"
        )
        warned = [line for line in await check_server(connection, database) if "collation" in line]
    assert len(warned) == (1 if kept else 0)


async def test_a_walk_whose_connection_is_slow_to_a_crawl_is_stored_all_the_same(database: Dsn) -> None:
    async with proxied(database) as proxy, storing(proxy.address) as store:
        entering = asyncio.ensure_future(store.save_walk(reading(KOSPI, SLOT, snapshots(150)), COMPLETE))
        for _ in range(10):
            proxy.flows.clear()
            await asyncio.sleep(0.05)  # the slowness is the subject; the walk may end at any time
            proxy.flows.set()
            await asyncio.sleep(0.001)  # a few bytes get through
        assert await entering
    assert await stored(database, SLOT, KOSPI) == plain(snapshots(150))


@pytest.mark.extended
@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs a pgbouncer")
async def test_a_whole_sweep_goes_through_pgbouncer(database: Dsn, tmp_path: Path) -> None:
    async with (
        proxied(database) as proxy,
        bounced(proxy.address, tmp_path) as address,
        Simulator(STILL) as simulator,
    ):
        async with asyncio.timeout(600):
            while isinstance(await answer(address), StoreError):  # noqa: ASYNC110 - it says nothing when it listens
                await asyncio.sleep(0.02)  # looks again
        async with collecting(address, simulator.url, *SMALL) as collector:
            assert (await collector.sweep(OPEN, "all", SMALL)).is_whole
        served = {target: [as_stored(row) for row in simulator.rows(target)] for target in SMALL}
    assert {target: await stored(database, OPEN, target) for target in SMALL} == served


@pytest.mark.extended
async def test_a_ledger_that_went_back_to_a_backup_is_filled_again(database: Dsn, server: Server) -> None:
    async with Simulator(STILL) as simulator:
        async with collecting(database, simulator.url, *SMALL) as collector:
            await collector.sweep(OPEN, "all", SMALL[:5])
        async with server.database(template=database.database) as backup:
            async with collecting(database, simulator.url, *SMALL) as collector:
                await collector.sweep(OPEN, "all", SMALL)
            before = simulator.api.book.count
            async with collecting(backup, simulator.url, *SMALL) as collector:
                assert (await collector.sweep(OPEN, "all", SMALL)).is_whole
            asked = {one["sector"] for one in simulator.api.book.since(before) if one["sector"]}
            served = {target: [as_stored(row) for row in simulator.rows(target)] for target in SMALL}
            assert asked == {target.sector for target in SMALL[5:]}
            assert {target: await stored(backup, OPEN, target) for target in SMALL} == served


@pytest.mark.extended
async def test_a_role_that_owns_the_schema_and_may_nothing_else_does_everything(blank: Dsn) -> None:
    role = f"modest_{blank.database[-12:]}"
    await execute(blank, f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
    await execute(blank, f"GRANT CREATE ON DATABASE {blank.database} TO {role}")
    await execute(blank, f"GRANT CREATE ON SCHEMA public TO {role}")
    modest = replace(blank, user=role)
    try:
        async with connect(modest) as connection:
            await migrations.migrate(connection, modest, resources.path("migrations"))
        await execute(blank, f"REVOKE CREATE ON DATABASE {blank.database} FROM {role}")
        await execute(blank, f"REVOKE CREATE ON SCHEMA public FROM {role}")
        async with Simulator(STILL) as simulator, collecting(modest, simulator.url, *SMALL) as collector:
            assert (await collector.sweep(OPEN, "all", SMALL)).is_whole
    finally:
        await execute(blank, f"DROP OWNED BY {role}; DROP ROLE {role}")
