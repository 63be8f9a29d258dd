"""Applies the migrations: plain SQL files, each applied once, in order, in one transaction with its record.

A file is named `NNNN_name.sql`, numbered from 0001 without a gap. A released file never changes: the table
`collector.schema_migration` keeps the checksum of every applied file, and a changed file is refused.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from collector.db import Connection
from collector.db.dsn import Dsn
from collector.db.errors import translate_errors
from collector.db.pool import transaction
from collector.errors import ConfigError

SCHEMA_TIMEOUT = 600.0
"""Seconds for one migration, the wait for another process included."""
ANSWER = 30.0
"""Seconds to read the records."""

_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql", re.ASCII)

# The applied migrations, oldest first.
_RECORDS = """
SELECT version, name, checksum
FROM collector.schema_migration
ORDER BY version
"""

# Starts a migration. The advisory lock lets one process at a time pass; waiting for it has no limit, so the
# limits are off until then. After it, a short lock timeout keeps a migration from queueing behind a reader
# and blocking others. The name keeps other programs from taking a long migration for frozen (`collector.db.frozen`).
# The record table is created here, since the first migration needs it too.
_BEGIN = """
SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL application_name = 'collector long work';
SELECT pg_advisory_xact_lock(30224690692763698); -- ka20002 in ASCII
SET LOCAL lock_timeout = '5s';
CREATE SCHEMA IF NOT EXISTS collector;
CREATE TABLE IF NOT EXISTS collector.schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""

# Records an applied migration in its own transaction.
_RECORD = """
INSERT INTO collector.schema_migration (version, name, checksum)
VALUES ($1, $2, $3)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file; `checksum` is the SHA-256 of its bytes."""

    version: int
    name: str
    checksum: str
    sql: str


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema version of a database (0: none), and the newest version known to this program."""

    version: int
    known: int

    @property
    def pending(self) -> range:
        """The versions still to be applied, oldest first."""
        return range(self.version + 1, self.known + 1)

    @property
    def is_newer(self) -> bool:
        """True if a newer program has migrated the database."""
        return self.version > self.known


async def migrate(connection: Connection, address: Dsn, folder: Path) -> list[int]:
    """Migrates the database to the newest version; returns the versions applied by this call.

    Any number of processes may call it at once; a killed process leaves whole versions only. ConfigError if
    the database is newer than the folder, or the folder differs from the applied files.
    """
    migrations = read(folder)
    applied: list[int] = []
    while True:
        async with translate_errors("reading the schema's version", address, timeout=ANSWER):
            pending = (await _read_state(connection, migrations)).pending
        if not pending:
            return applied
        async with translate_errors(
            f"applying {migrations[pending[0] - 1].name}", address, timeout=SCHEMA_TIMEOUT
        ):
            applied += await _step(connection, migrations)


async def check(connection: Connection, address: Dsn, folder: Path) -> SchemaState:
    """Returns the schema state; ConfigError if an applied file has changed."""
    migrations = read(folder)
    async with translate_errors("reading the schema's version", address, timeout=ANSWER):
        return _compare(await _records(connection), migrations)


def read(folder: Path) -> list[Migration]:
    """Returns the migrations in order; ConfigError for a wrong name, number or text."""
    migrations = [_migration(path) for path in sorted(folder.glob("*.sql"))]
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise ConfigError(
                f"{folder}: {migration.name} is in the place of number {expected:04}; number the files without a gap"
            )
    return migrations


def _migration(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ConfigError(f"{path} is not named like 0001_what_it_does.sql")
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return Migration(int(match[1]), path.name, hashlib.sha256(content).hexdigest(), text)


async def _step(connection: Connection, migrations: list[Migration]) -> list[int]:
    """Applies the next version in its own transaction; returns nothing if another process was faster."""
    async with transaction(connection):
        await connection.execute(_BEGIN)
        state = await _read_state(connection, migrations)
        for migration in migrations[state.version : state.version + 1]:
            await connection.execute(migration.sql)
            await connection.execute(_RECORD, migration.version, migration.name, migration.checksum)
            return [migration.version]
    return []


async def _read_state(connection: Connection, migrations: list[Migration]) -> SchemaState:
    state = _compare(await _records(connection), migrations)
    if state.is_newer:
        raise ConfigError(
            f"the database's schema is version {state.version}, this program knows {state.known}",
            hint="upgrade collector; an older version must not write to this database",
        )
    return state


async def _records(connection: Connection) -> list[tuple[int, str, str]]:
    if await connection.fetchval("SELECT to_regclass('collector.schema_migration')") is None:
        return []
    return [tuple(row) for row in await connection.fetch(_RECORDS)]


def _compare(records: list[tuple[int, str, str]], migrations: list[Migration]) -> SchemaState:
    """Compares the applied migrations with the files, version by version."""
    for expected, (version, name, _) in enumerate(records, start=1):
        if version != expected:
            raise ConfigError(f"the database lacks migration {expected:04} but has {name}")
    for (_, _, checksum), migration in zip(records, migrations, strict=False):
        if checksum != migration.checksum:
            raise ConfigError(
                f"{migration.name} was changed after it had been applied to this database",
                hint="restore the file; put a change into a new migration",
            )
    return SchemaState(version=len(records), known=len(migrations))
