"""Numbers for targets and listings, whose data a database holds, and the table of sectors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from collector.db.catalog import Registry
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.db.snapshots import SnapshotStore
from collector.errors import ConfigError
from collector.model import KST, Certificate, Market, Sector, Status, Target
from tests.support.harness import columns, fetch, reading, snapshots

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
KOSPI = Target.of("KOSPI", "001", "KRX")
KOSDAQ = Target.of("KOSDAQ", "101", "KRX")
KRX100 = Target.of("KRX100", "701", "KRX")
COMPLETE = Certificate(Status.COMPLETE)
TODAY = date(2026, 11, 20)


@asynccontextmanager
async def registered(address: Dsn) -> AsyncIterator[Registry]:
    """A registry as a program of its own would have it."""
    async with open_pool(address, size=3) as pool:
        registry = Registry(Database(pool, address))
        await registry.open()
        yield registry


@asynccontextmanager
async def storing(address: Dsn) -> AsyncIterator[SnapshotStore]:
    async with registered(address) as registry:
        store = SnapshotStore(registry._database, registry)
        await store.begin_sweep(SLOT, "all", [KOSPI, KOSDAQ, KRX100])
        yield store


async def test_the_first_claim_is_kept(database: Dsn) -> None:
    async with registered(database) as registry:
        await registry.ensure_source("ours")
        await registry.ensure_source("ours")
        with pytest.raises(ConfigError, match=r"another source \(a simulator, not Kiwoom's real host\)"):
            await registry.ensure_source("real")


async def test_of_claims_at_the_same_moment_one_kind_wins(database: Dsn) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(registered(database)) for _ in range(6)]
        kinds = ["real", "mock", "ours"] * 2
        claims = [registry.ensure_source(kind) for registry, kind in zip(rivals, kinds, strict=True)]
        results = await asyncio.gather(*claims, return_exceptions=True)
    [[held]] = await fetch(database, "SELECT kind FROM collector.origin")
    assert [kind for kind, result in zip(kinds, results, strict=True) if result is None] == [held, held]


async def test_a_number_is_given_once(database: Dsn) -> None:
    async with registered(database) as first:
        await first.register_targets([KOSPI, KOSDAQ])
        numbers = await first.listing_ids(columns(snapshots(5)).listings, SLOT)
        assert await first.listing_ids(columns(snapshots(5)[::-1]).listings, SLOT) == numbers[::-1]
    async with registered(database) as second:
        await second.register_targets([KRX100, KOSDAQ, KOSPI])
        assert second.targets.items() >= first.targets.items()
        assert list(await second.listing_ids(columns(snapshots(7)).listings, SLOT)) == [
            *numbers,
            *(await second.listing_ids(columns(snapshots(2, first=5)).listings, SLOT)),
        ]
    assert len(set(second.targets.values())) == 3


async def test_a_target_more_costs_one_number(database: Dsn) -> None:
    """There are 32,767 of them, and what is proposed in vain costs one, too."""
    many = [Target.of("KOSPI", f"{number:03}", "KRX") for number in range(2, 202)]
    async with registered(database) as first, registered(database) as second:
        await first.register_targets(many)
        await second.register_targets([*many, KRX100])
        assert second.targets[KRX100] == max(first.targets.values()) + 1


async def test_programs_that_meet_the_same_listings_give_them_the_same_numbers(database: Dsn) -> None:
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(registered(database)) for _ in range(4)]
        await asyncio.gather(
            *(rival.register_targets([KOSPI, KOSDAQ][:: 1 - 2 * (n % 2)]) for n, rival in enumerate(rivals))
        )
        found = await asyncio.gather(
            *(
                rival.listing_ids(columns(snapshots(300, first=50 * n)).listings, SLOT)
                for n, rival in enumerate(rivals)
            )
        )
    by_symbol = [dict(enumerate(numbers, start=50 * n)) for n, numbers in enumerate(found)]
    assert all(by_symbol[0][n] == other[n] for other in by_symbol for n in range(150, 300))
    assert len({rival.targets[KOSPI] for rival in rivals}) == 1
    assert await fetch(
        database, "SELECT count(*), count(DISTINCT (symbol, name)) FROM collector.listing"
    ) == [(450, 450)]


async def test_a_renamed_listing_keeps_its_old_name_in_old_snapshots(database: Dsn) -> None:
    later = SLOT + timedelta(minutes=5)
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, snapshots(2, name="before")), COMPLETE)
        await store.save_walk(reading(KOSPI, later, snapshots(2, name="after")), COMPLETE)
        await store.end_sweep(later, "all")
    named = await fetch(database, "SELECT slot, name FROM snapshot WHERE symbol = '000001' ORDER BY slot")
    assert named == [(SLOT, "before 1"), (later, "after 1")]
    assert await fetch(database, "SELECT symbol, name, board, first_seen, last_seen FROM listing") == [
        ("000000", "after 0", "KOSPI", SLOT, later),
        ("000001", "after 1", "KOSPI", SLOT, later),
    ]


async def test_boards_are_learnt_from_complete_walks_and_outlast_the_program(database: Dsn) -> None:
    async with storing(database) as store:
        await store.save_walk(reading(KOSPI, SLOT, snapshots(3)), COMPLETE)
        await store.save_walk(reading(KOSDAQ, SLOT, snapshots(3, first=3)), Certificate(Status.SUSPECT))
        await store.save_walk(reading(KRX100, SLOT, snapshots(8)), COMPLETE)
        assert store.registry.boards == {f"{number:06}": Market.KOSPI for number in range(3)}
        await store.end_sweep(SLOT, "all")
    async with registered(database) as another:
        assert another.boards == store.registry.boards


async def test_what_a_program_saw_that_died_is_kept_by_the_one_that_ends_the_sweep(
    database: Dsn,
) -> None:
    later = SLOT + timedelta(minutes=5)
    async with storing(database) as dead:
        await dead.registry.listing_ids(columns(snapshots(3)).listings, SLOT)
        await dead.save_walk(reading(KOSPI, later, snapshots(3)), COMPLETE)
        await dead.save_walk(reading(KRX100, later, snapshots(3)), COMPLETE)
    async with storing(database) as store:
        await store.end_sweep(later, "all", [KOSPI, KRX100])
    assert set(await fetch(database, "SELECT board, last_seen FROM listing")) == {("KOSPI", later)}


async def test_a_listing_that_moves_to_the_other_board_is_known_there_at_the_next_start(
    database: Dsn,
) -> None:
    async with storing(database) as store:
        await store.save_walk(reading(KOSDAQ, SLOT, snapshots(3)), COMPLETE)
        await store.end_sweep(SLOT, "all")
        await store.save_walk(reading(KOSPI, SLOT, snapshots(3)), COMPLETE)
        await store.end_sweep(SLOT, "all")
    async with registered(database) as another:
        assert set(another.boards.values()) == {Market.KOSPI}


SECTORS = [
    Sector("001", Market.KOSPI, "종합(KOSPI)", "KOSPI", "composite", 2477),
    Sector("129", Market.KOSDAQ, "방송서비스", "", "industry", 12),
    Sector("603", Market.KOSPI, "변동성지수", "", "index", None, index_only=True),
]


async def test_sectors_read_back_as_they_were_written(database: Dsn) -> None:
    async with registered(database) as registry:
        assert await registry.sectors() == {}
        assert await registry.refresh_sectors(SECTORS, TODAY) == (3, 0)
        assert await registry.sectors() == {sector.code: sector for sector in SECTORS}
        assert await registry.refresh_sectors(SECTORS, TODAY + timedelta(days=1)) == (0, 0)


async def test_a_renamed_sector_keeps_the_days_of_its_old_name(database: Dsn) -> None:
    renamed = replace(SECTORS[1], name_ko="IT 서비스")
    tomorrow = TODAY + timedelta(days=1)
    async with registered(database) as registry:
        await registry.refresh_sectors(SECTORS, TODAY)
        assert await registry.refresh_sectors([SECTORS[0], renamed], tomorrow) == (1, 1)
        assert await registry.sectors() == {"001": SECTORS[0], "129": renamed}
    assert await fetch(
        database, "SELECT code, name_ko, valid_from, valid_to FROM collector.sector ORDER BY code, valid_from"
    ) == [
        ("001", "종합(KOSPI)", TODAY, None),
        ("129", "방송서비스", TODAY, tomorrow),
        ("129", "IT 서비스", tomorrow, None),
        ("603", "변동성지수", TODAY, tomorrow),
    ]


async def test_a_sector_that_comes_back_on_the_same_day_is_there_again(database: Dsn) -> None:
    async with registered(database) as registry:
        await registry.refresh_sectors(SECTORS, TODAY)
        await registry.refresh_sectors(SECTORS[:1], TODAY)
        assert await registry.refresh_sectors(SECTORS, TODAY) == (2, 0)
        assert await registry.sectors() == {sector.code: sector for sector in SECTORS}


async def test_a_number_of_a_sector_that_is_used_again_has_the_new_ones_market(database: Dsn) -> None:
    moved = Sector("129", Market.KRX100, "새 지수", "new index", "theme", 5)
    async with registered(database) as registry:
        await registry.refresh_sectors(SECTORS, TODAY)
        await registry.refresh_sectors([*SECTORS[:1], moved], TODAY)
        assert (await registry.sectors())["129"] == moved
