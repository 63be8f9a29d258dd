"""Migrations against real databases: order, records, rivals, crashes."""

import asyncio
import hashlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from collector.base import resources
from collector.db import Connection, migrations
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.errors import ConfigError, StoreError

PROCESS = """
import asyncio, sys
from pathlib import Path
from collector.db.migrations import migrate
from collector.db.dsn import Dsn
from collector.db.pool import connect

async def main(host, port, user, database, folder):
    address = Dsn(host, database, user, port=int(port))
    async with connect(address) as connection:
        print(*await migrate(connection, address, Path(folder)))

asyncio.run(main(*sys.argv[1:]))
"""

WAITS = """
SELECT count(*)
FROM pg_locks
WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


RELEASED = Path(__file__).parents[1] / "golden" / "released-migrations.sha256"


def test_a_released_migration_is_never_edited() -> None:
    """A database that has applied it would refuse the program: add a migration. The release enters its new files."""
    for line in RELEASED.read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        text = (RELEASED.parents[2] / "migrations" / name).read_bytes()
        assert hashlib.sha256(text).hexdigest() == digest, name


def write(folder: Path, *texts: str) -> Path:
    """A folder with one migration a text."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts, start=1):
        (folder / f"{number:04}_step.sql").write_text(text)
    return folder


async def start(address: Dsn, folder: Path) -> Process:
    """`migrate` in a process of its own, which prints the versions that it applied."""
    place = (address.host, str(address.port), address.user, address.database, str(folder))
    environ = dict(os.environ)
    if address.password:
        environ["PGPASSWORD"] = address.password.reveal()
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, *place, stdout=PIPE, stderr=PIPE, env=environ
    )


async def tables(connection: Connection) -> list[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [row["tablename"] for row in rows]


async def test_the_shipped_migrations_apply_to_an_empty_database(blank: Dsn) -> None:
    folder = resources.path("migrations")
    async with connect(blank) as connection:
        applied = await migrations.migrate(connection, blank, folder)
    assert applied == [migration.version for migration in migrations.read(folder)]


async def test_a_database_of_a_test_is_migrated(database: Dsn) -> None:
    async with connect(database) as connection:
        assert not (await migrations.check(connection, database, resources.path("migrations"))).pending


async def test_each_is_applied_once_in_order_and_recorded(blank: Dsn, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m", "CREATE TABLE a (i int)", "ALTER TABLE a RENAME TO b; CREATE TABLE c (i int)"
    )
    async with connect(blank) as connection:
        assert await migrations.migrate(connection, blank, folder) == [1, 2]
        assert await migrations.migrate(connection, blank, folder) == []
        assert await tables(connection) == ["b", "c"]
        records = await connection.fetch(
            "SELECT version, name, checksum FROM collector.schema_migration ORDER BY 1"
        )
    assert [tuple(row) for row in records] == [
        (m.version, m.name, m.checksum) for m in migrations.read(folder)
    ]


async def test_a_new_file_is_all_that_is_applied(blank: Dsn, tmp_path: Path) -> None:
    async with connect(blank) as connection:
        await migrations.migrate(connection, blank, write(tmp_path / "m", "CREATE TABLE a (i int)"))
        folder = write(tmp_path / "m", "CREATE TABLE a (i int)", "CREATE TABLE b (i int)")
        assert list((await migrations.check(connection, blank, folder)).pending) == [2]
        assert await migrations.migrate(connection, blank, folder) == [2]


async def test_one_that_fails_leaves_the_earlier_ones_and_nothing_of_itself(
    blank: Dsn, tmp_path: Path
) -> None:
    folder = write(tmp_path / "m", "CREATE TABLE a (i int)", "CREATE TABLE b (i int); SELECT 1 / 0")
    async with connect(blank) as connection:
        with pytest.raises(StoreError, match=r"0002_step\.sql: division by zero"):
            await migrations.migrate(connection, blank, folder)
        assert await tables(connection) == ["a"]
        write(folder, "CREATE TABLE a (i int)", "CREATE TABLE b (i int)")
        assert await migrations.migrate(connection, blank, folder) == [2]


async def test_a_file_that_changed_after_it_was_applied_is_refused(blank: Dsn, tmp_path: Path) -> None:
    async with connect(blank) as connection:
        await migrations.migrate(connection, blank, write(tmp_path / "m", "CREATE TABLE a (i int)"))
        folder = write(tmp_path / "m", "CREATE TABLE a (i bigint)", "CREATE TABLE b (i int)")
        with pytest.raises(ConfigError, match=r"0001_step\.sql was changed"):
            await migrations.migrate(connection, blank, folder)
        with pytest.raises(ConfigError, match=r"0001_step\.sql was changed"):
            await migrations.check(connection, blank, folder)
        assert await tables(connection) == ["a"]


async def test_an_older_program_refuses_a_newer_schema(blank: Dsn, tmp_path: Path) -> None:
    older = write(tmp_path / "old", "CREATE TABLE a (i int)")
    newer = write(tmp_path / "new", "CREATE TABLE a (i int)", "CREATE TABLE b (i int)")
    async with connect(blank) as connection:
        await migrations.migrate(connection, blank, newer)
        assert (await migrations.check(connection, blank, older)).is_newer
        with pytest.raises(ConfigError, match="schema is version 2, this program knows 1"):
            await migrations.migrate(connection, blank, older)


async def test_an_untouched_database_stands_at_nothing(blank: Dsn, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", "SELECT 1", "SELECT 2")
    async with connect(blank) as connection:
        assert await migrations.check(connection, blank, folder) == migrations.SchemaState(version=0, known=2)


async def test_a_role_that_may_only_read_is_content_when_nothing_is_pending(
    blank: Dsn, tmp_path: Path
) -> None:
    folder = write(tmp_path / "m", "CREATE TABLE a (i int)")
    async with connect(blank) as connection:
        await migrations.migrate(connection, blank, folder)
        await connection.execute("SET ROLE pg_read_all_data")
        assert await migrations.migrate(connection, blank, folder) == []


@pytest.mark.parametrize(
    ("names", "why"),
    [
        pytest.param(["0001_a.sql", "0003_c.sql"], "0003_c.sql is in the place of number 0002", id="gap"),
        pytest.param(["0001_a.sql", "0001_b.sql"], "0001_b.sql is in the place of number 0002", id="twice"),
        pytest.param(["0002_b.sql"], "0002_b.sql is in the place of number 0001", id="no first"),
        pytest.param(["0000_a.sql"], "0000_a.sql is in the place of number 0001", id="zero"),
        pytest.param(["1_a.sql"], "not named like", id="short number"),
        pytest.param(["0001-a.sql"], "not named like", id="no underscore"),
        pytest.param(["００01_a.sql"], "not named like", id="digits of another script"),
    ],
)
def test_a_folder_out_of_order_is_refused(tmp_path: Path, names: list[str], why: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(ConfigError, match=why):
        migrations.read(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        migrations.read(tmp_path)


@pytest.mark.extended
async def test_of_eight_processes_at_once_none_fails(blank: Dsn, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", *(f"CREATE TABLE t{number} (i int)" for number in range(5)))
    processes = [await start(blank, folder) for _ in range(8)]
    told = await asyncio.gather(*(process.communicate() for process in processes))
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, told, strict=True)] == [
        (0, b"")
    ] * 8
    assert sorted(b" ".join(out for out, _ in told).split()) == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=pytest.mark.extended if moment in (1, 4) else ()) for moment in range(6)],
)
async def test_kill_9_at_any_statement_is_made_good_by_the_next(
    blank: Dsn, tmp_path: Path, moment: int
) -> None:
    stops = [f"SELECT pg_advisory_xact_lock_shared({number});" for number in range(6)]
    folder = write(
        tmp_path / "m",
        f"{stops[0]} CREATE TABLE a (i int); {stops[1]} CREATE TABLE b (i int); {stops[2]}",
        f"{stops[3]} ALTER TABLE a RENAME TO c; {stops[4]} ALTER TABLE b RENAME TO d; {stops[5]}",
    )
    async with connect(blank) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", moment)
        process = await start(blank, folder)
        async with asyncio.timeout(600):
            while not await connection.fetchval(WAITS):  # noqa: ASYNC110 - the database has no event for it
                await asyncio.sleep(0.01)  # looks again
        process.kill()
        await process.communicate()
        await connection.execute("SELECT pg_advisory_unlock_all()")
        applied = await migrations.migrate(connection, blank, folder)
        assert applied == ([1, 2] if moment < 3 else [2])
        assert await tables(connection) == ["c", "d"]
