"""Stores what was learned about a host of the API, and reads it. Errors are StoreError."""

from collections.abc import Mapping

from collector.db.database import Database

_SAVE = """
INSERT INTO collector.api_fact AS f (host, fact, value)
VALUES ($1, $2, $3)
ON CONFLICT (host, fact) DO UPDATE SET value = EXCLUDED.value, learnt_at = clock_timestamp()
"""
_READ = "SELECT fact, value FROM collector.api_fact WHERE host = $1"


async def save_api_facts(database: Database, host: str, facts: Mapping[str, str]) -> None:
    """Store facts of a host; a fact that was known before is replaced."""
    async with database.transaction("keeping facts of the API") as connection:
        await connection.executemany(_SAVE, [(host, fact, value) for fact, value in facts.items()])


async def read_api_facts(database: Database, host: str) -> dict[str, str]:
    """The facts of a host by name."""
    async with database.connection("reading facts of the API") as connection:
        rows = await connection.fetch(_READ, host)
    return {row["fact"]: row["value"] for row in rows}
