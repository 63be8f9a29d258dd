"""What reading rests on: all sectors of a day at once, names beside symbols, the shipped sectors, the reading role."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from collector.base import resources
from collector.db import setup
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import connect, open_pool
from collector.db.snapshots import SnapshotStore
from collector.market.sectors import bundled_sectors
from collector.model import KST, Certificate, Quote, Status, Target
from tests.support.harness import execute, fetch, opened_store, reading, snapshots
from tests.support.postgres_server import Server

DAY = date(2026, 11, 20)
CLOSE = datetime(2026, 11, 20, 15, 40, tzinfo=KST)
BOARD, ELECTRIC, BANKS = (Target.of("KOSPI", code, "KRX") for code in ("001", "013", "021"))
KOSDAQ = Target.of("KOSDAQ", "101", "KRX")
WHOLE = Certificate(Status.COMPLETE)


def rows(count: int, change: int) -> list[Quote]:
    return [quote._replace(change=change, change_bp=change, volume=10) for quote in snapshots(count)]


@pytest.fixture
async def store(database: Dsn) -> AsyncIterator[SnapshotStore]:
    async with opened_store(database) as store:
        yield store


async def sweep(store: SnapshotStore, at: datetime, walks: dict[Target, list[Quote]]) -> None:
    await store.begin_sweep(at, "all", list(walks))
    for target, quotes in walks.items():
        await store.save_walk(reading(target, at, quotes), WHOLE)
    await store.end_sweep(at, "all")


async def collect_week(store: SnapshotStore, database: Dsn) -> None:
    """Two days: the first with an earlier slot of other prices, the second without the banks."""
    await sweep(store, CLOSE - timedelta(hours=3), {BOARD: rows(3, -5), ELECTRIC: rows(2, -5)})
    await sweep(store, CLOSE, {BOARD: rows(3, 100), ELECTRIC: rows(2, 200), BANKS: rows(1, 50)})
    await sweep(
        store, CLOSE + timedelta(days=1), {BOARD: rows(3, -100), ELECTRIC: rows(2, 100), KOSDAQ: rows(1, 7)}
    )
    async with connect(database) as connection:
        await setup.seed_sectors(connection)


@pytest.fixture
async def week(store: SnapshotStore, database: Dsn) -> Dsn:
    await collect_week(store, database)
    return database


@pytest.fixture(scope="module")
async def kept_week(server: Server, template: str) -> AsyncIterator[Dsn]:
    """The same for all tests that change nothing of it."""
    async with server.database(template=template) as address, opened_store(address) as store:
        await collect_week(store, address)
        yield address


SECTOR_DAYS = """
SELECT day, slot, sector, sector_name, members, advancers, mean_percent FROM sector_days($1, 'KRX', $2, $3)
"""


async def test_all_sectors_of_a_day_stand_beside_each_other_at_the_close(kept_week: Dsn) -> None:
    names = bundled_sectors()
    assert await fetch(kept_week, SECTOR_DAYS, "KOSPI", DAY, None) == [
        (DAY, CLOSE, "001", names["001"].name_ko, 3, 3, 1),
        (DAY, CLOSE, "013", names["013"].name_ko, 2, 2, 2),
        (DAY, CLOSE, "021", names["021"].name_ko, 1, 1, 0.5),
    ]


async def test_a_days_sectors_agree_with_their_breadth_one_by_one(kept_week: Dsn) -> None:
    for sector in ("001", "013", "021"):
        [alone] = (await fetch(kept_week, "SELECT * FROM breadth('KOSPI', $1, 'KRX', $2)", sector, DAY))[-1:]
        columns = (
            "slot, members, traded, advancers, decliners, unchanged, limit_up, limit_down, mean_percent,"
            " weighted_percent, volume, turnover"
        )
        query = f"SELECT {columns} FROM sector_days('KOSPI', 'KRX', $2) WHERE sector = $1"
        assert await fetch(kept_week, query, sector, DAY) == [alone]


async def test_days_without_walks_and_sectors_never_collected_give_no_rows(kept_week: Dsn) -> None:
    found = await fetch(kept_week, SECTOR_DAYS, None, DAY - timedelta(days=3), DAY + timedelta(days=9))
    assert [(line[0] - DAY).days for line in found] == [0, 0, 0, 1, 1, 1]
    assert await warnings_of(kept_week, "SELECT * FROM sector_days('KRX100', 'KRX', '2026-11-20')") == [
        "nothing was ever collected of KRX100/…/KRX"
    ]


async def test_the_close_comes_before_a_later_slot_of_the_after_market(
    store: SnapshotStore, week: Dsn
) -> None:
    await execute(
        week,
        "INSERT INTO collector.trading_day VALUES ('2026-11-20', '2026-11-20 15:30+09', '2026-11-20 15:45+09',"
        " '2026-11-23 08:00+09')",
    )
    await sweep(store, CLOSE + timedelta(hours=3), {ELECTRIC: rows(2, 999)})
    found = await fetch(week, "SELECT slot FROM sector_days('KOSPI', 'KRX', $1)", DAY)
    assert found == [(CLOSE,)] * 3


async def test_rows_that_have_left_the_database_are_not_taken_for_none(week: Dsn) -> None:
    await execute(week, "DROP TABLE collector.snapshot_20261120")
    said = await warnings_of(week, "SELECT * FROM sector_days('KOSPI', 'KRX', '2026-11-20')")
    assert said == ["the rows of 2026-11-20 are not in the database any more"]


async def test_the_rotation_multiplies_the_days_and_ranks_the_sectors(kept_week: Dsn) -> None:
    found = await fetch(
        kept_week,
        "SELECT sector, mean_percent, total_percent, day_rank, total_rank"
        " FROM rotation('KOSPI', 'KRX', $1, $2) WHERE day = $2",
        DAY,
        DAY + timedelta(days=1),
    )
    assert [(sector, float(mean), float(total), *ranks) for sector, mean, total, *ranks in found] == [
        ("013", 1, pytest.approx(3.02), 1, 1),
        ("001", -1, pytest.approx(-0.01), 2, 2),
    ]


async def test_members_stand_with_their_names(week: Dsn, store: SnapshotStore) -> None:
    renamed = [quote._replace(name="새 이름") for quote in rows(2, 1)]
    await sweep(store, CLOSE + timedelta(days=2), {ELECTRIC: [*renamed, *snapshots(1, first=50)]})
    named = await fetch(
        week, "SELECT sector_name, symbol, name FROM membership_named WHERE sector = '013' ORDER BY symbol"
    )
    plain = await fetch(week, "SELECT symbol FROM membership WHERE sector = '013' ORDER BY symbol")
    assert [line[1:2] for line in named] == plain
    assert named[0][0] == bundled_sectors()["013"].name_ko
    assert named[0][2] == "새 이름"
    changes = "SELECT change, sector_name, name FROM membership_changes($1, $2) WHERE sector = '013'"
    [joined] = await fetch(week, changes, DAY, DAY + timedelta(days=2))
    assert joined == ("joined", bundled_sectors()["013"].name_ko, snapshots(1, first=50)[0].name)


async def warnings_of(address: Dsn, query: str) -> list[str]:
    async with connect(address) as connection:
        said: list[str] = []
        connection.add_log_listener(lambda _, message: said.append(str(message.message)))
        assert await connection.fetch(query) == []
        return said


async def test_the_shipped_sectors_fill_the_view_and_give_way_to_fetched_ones(blank: Dsn) -> None:
    async with connect(blank) as connection:
        await setup.prepare_database(connection, blank, resources.path("migrations"))
        assert await fetch(blank, "SELECT count(*) FROM sector WHERE source = 'shipped'") == [
            (len(bundled_sectors()),)
        ]
        await connection.execute("UPDATE collector.sector SET name_ko = 'older' WHERE code = '013'")
        assert await setup.seed_sectors(connection)
        assert not await setup.seed_sectors(connection)
        async with open_pool(blank) as pool:
            registry = Registry(Database(pool, blank))
            fetched = [replace(sector, name_ko="fetched") for sector in list(bundled_sectors().values())[:2]]
            await registry.refresh_sectors(fetched, DAY)
            assert not await setup.seed_sectors(connection)
            assert list((await registry.sectors()).values()) == fetched
    assert await fetch(blank, "SELECT DISTINCT source FROM sector") == [("ka10101",)]


READABLE = (
    "snapshot", "walk", "latest", "sector", "listing", "bar", "bar_adjusted", "daily", "membership", "membership_named",
    "archive", "quarantine", "as_of('KOSPI', '001')", "breadth('KOSPI', '001', 'KRX', '2026-11-20')",
    "listing_day('000001', '2026-11-20')", "krx_nxt('KOSPI', '001')", "movers('KOSPI', '001', 'KRX', now())",
    "consolidated_check('KOSPI', '001')", "sector_days()", "rotation()",
    "membership_changes('2026-11-20', '2026-11-21')", "filled('KOSPI', '001', 'KRX', '2026-11-20')",
    "breadth_of('2026-11-20 15:40+09', '001')", "index_against_members('2026-11-20 15:40+09', '001')",
    "flows_between('2026-11-01', '2026-11-20')",
)  # fmt: skip
CLOSED = ("collector.token", "collector.quota", "collector.place", "collector.lease", "collector.claim")


@pytest.fixture
async def reader(kept_week: Dsn) -> AsyncIterator[Any]:
    async with connect(kept_week) as connection:
        assert await setup.grant_reading(connection) == []
        await connection.execute("SET ROLE collector_reader")
        yield connection


async def test_the_reading_role_reads_all_public_views(reader: Any) -> None:
    views = await reader.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
    )
    assert {"snapshot", "walk_history", "reconstructed"} <= {view["relname"] for view in views}
    for view in views:
        await reader.fetch(f"SELECT * FROM {view['relname']} LIMIT 1")


@pytest.mark.parametrize("source", READABLE)
async def test_the_reading_role_reads_every_view_and_function(reader: Any, source: str) -> None:
    await reader.fetch(f"SELECT * FROM {source}")


@pytest.mark.parametrize("table", CLOSED)
async def test_the_reading_role_sees_no_token_and_no_key(reader: Any, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch(f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO collector.listing (symbol, name, first_seen, last_seen) VALUES ('1', '2', now(), now())",
        "DELETE FROM collector.walk",
        "UPDATE collector.sector SET name_ko = ''",
        "DROP VIEW public.sector",
        "CREATE TABLE collector.mine (a int)",
        "SELECT collector.drop_day('2026-11-20')",
    ],
)
async def test_the_reading_role_writes_nothing(reader: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute(statement)


async def test_a_session_that_may_not_make_roles_gets_the_statements(server: Any, blank: Dsn) -> None:
    name = f"modest_{blank.database[-12:]}"
    async with connect(blank) as connection:
        await setup.prepare_database(connection, blank, resources.path("migrations"))
        await connection.execute(f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA collector TO {name}")
        try:
            await connection.execute(f"SET ROLE {name}")
            assert await setup.grant_reading(connection) == [f"GRANT collector_reader TO {name}"]
        finally:
            await connection.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")
