"""Migrations against real databases: order, records, rivals, crashes."""

from collector import migrate, shipped
from collector.postgres import Address, connect


async def test_the_shipped_migrations_apply_to_an_empty_database(blank: Address) -> None:
    folder = shipped.path("migrations")
    async with connect(blank) as connection:
        applied = await migrate.migrate(connection, blank, folder)
    assert applied == [migration.version for migration in migrate.read(folder)]


async def test_a_database_of_a_test_is_migrated(database: Address) -> None:
    async with connect(database) as connection:
        assert not (await migrate.check(connection, database, shipped.path("migrations"))).pending
