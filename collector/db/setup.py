"""Brings a database to the state that the program works with: the schema, the table of sectors, the reading role."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from collector.db import migrations
from collector.db.dsn import Dsn
from collector.db.errors import translate_errors
from collector.db.pool import Connection, transaction
from collector.market.sectors import bundled_sectors
from collector.model import Sector

SHIPPED_FROM = date(1970, 1, 1)
"""The day from which a shipped line counts: the list does not say since when a sector exists."""

_LOCK = "LOCK TABLE collector.sector IN SHARE ROW EXCLUSIVE MODE"
_IS_FETCHED = "SELECT EXISTS (SELECT FROM collector.sector WHERE source = 'ka10101')"
_SHIPPED = """
SELECT code, market, name_ko, name_en, kind, members, index_only
FROM collector.sector
WHERE source = 'shipped'
"""
_FORGET_SHIPPED = "DELETE FROM collector.sector WHERE source = 'shipped'"
_INSERT_SHIPPED = """
INSERT INTO collector.sector (code, market, name_ko, name_en, kind, members, index_only, valid_from, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'shipped')
"""
_GRANT_READING = "SELECT collector.grant_reading()"
_HAS_READING = """
SELECT to_regrole('collector_reader') IS NOT NULL
   AND has_table_privilege(to_regrole('collector_reader'), 'public.snapshot', 'SELECT')
"""


async def prepare_database(connection: Connection, address: Dsn, folder: Path) -> list[int]:
    """Apply what is pending, fill the table of sectors, make the reading role; the versions applied by this call.

    Any number of processes may do so at once. ConfigError as `migrate`.
    """
    applied = await migrations.migrate(connection, address, folder)
    async with translate_errors("filling the table of sectors", address, timeout=migrations.ANSWER):
        await seed_sectors(connection)
        if applied or not await connection.fetchval(_HAS_READING):
            await grant_reading(connection)
    return applied


async def seed_sectors(connection: Connection) -> bool:
    """Fill the table of sectors from the shipped list, unless ka10101 has; True if that changed anything."""
    shipped = [_row(sector) for sector in bundled_sectors().values()]
    if await _is_settled(connection, shipped):
        return False
    async with transaction(connection):
        await connection.execute(_LOCK)
        if await _is_settled(connection, shipped):
            return False
        await connection.execute(_FORGET_SHIPPED)
        await connection.executemany(_INSERT_SHIPPED, [(*row, SHIPPED_FROM) for row in shipped])
    return True


async def grant_reading(connection: Connection) -> list[str]:
    """Make the role `collector_reader` and let it read; the statements that this session may not run itself."""
    statements: list[str] = await connection.fetchval(_GRANT_READING)
    return statements


async def _is_settled(connection: Connection, shipped: Sequence[tuple[object, ...]]) -> bool:
    if await connection.fetchval(_IS_FETCHED):
        return True
    return {tuple(row) for row in await connection.fetch(_SHIPPED)} == set(shipped)


def _row(sector: Sector) -> tuple[object, ...]:
    return (
        *(sector.code, str(sector.market), sector.name_ko, sector.name_en),
        *(sector.kind, sector.members, sector.index_only),
    )
