"""Commands that lead to the data: url, psql, serve; days as words; what says that there is nothing."""

import asyncio
import re
import shutil
import signal
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from collector.db.dsn import Dsn, parse_dsn
from collector.db.pool import connect
from collector.errors import StoreError
from collector.model import KST, Target
from kiwoom_simulator import Simulator
from tests.support.archive_harness import DAY, archived
from tests.support.command_process import APP_KEY, config, environment, run, run_cold
from tests.support.filled_databases import filled
from tests.support.harness import STILL, execute, fetch, yaml

__all__ = ["filled"]
ROOT = Path(__file__).parents[2]


async def test_the_address_of_the_private_server_is_printed_in_each_form(tmp_path: Path) -> None:
    env = environment(COLLECTOR_HOME=str(tmp_path / "home"))
    socket = tmp_path / "home" / "postgres" / "run"
    forms = {
        form: await run("url", "--format", form, env=env, cwd=tmp_path)
        for form in ("uri", "sqlalchemy", "libpq")
    }
    assert {found.code for found in forms.values()} == {0}
    host = re.search(r"host=(\S+)", forms["uri"].out)
    assert host is not None
    assert forms["uri"].out.strip() == f"postgresql://postgres@/postgres?host={host[1]}"
    assert forms["sqlalchemy"].out.strip() == f"postgresql+psycopg://postgres@/postgres?host={host[1]}"
    assert forms["libpq"].out.strip() == f"host={host[1]} port=5432 user=postgres dbname=postgres"
    assert host[1] in (str(socket), host[1])
    assert parse_dsn(forms["uri"].out.strip()).host == host[1]


@pytest.mark.parametrize(
    ("address", "printed"),
    [
        (
            "postgresql://me:p%40ss@db.example:6432/prices?sslmode=require",
            "postgresql://me@db.example:6432/prices?sslmode=require",
        ),
        ("postgresql://m%20e:x@[::1]/a%2Fb", "postgresql://m%20e@[::1]:5432/a%2Fb"),
    ],
)
async def test_a_password_is_printed_only_when_asked_for(address: str, printed: str, tmp_path: Path) -> None:
    env = environment(DATABASE_URL=address)
    plain = await run("url", env=env, cwd=tmp_path)
    assert plain.out.strip() == printed
    full = await run("url", "--with-password", env=env, cwd=tmp_path)
    assert parse_dsn(full.out.strip()) == parse_dsn(address)


@pytest.mark.extended
async def test_serve_keeps_the_private_server_up_until_it_is_stopped(tmp_path: Path) -> None:
    env = environment(COLLECTOR_HOME=str(tmp_path / "home")) | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "serve"),
        env=env,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    address = parse_dsn((await process.stdout.readline()).decode().strip())
    async with connect(address) as connection:
        assert await connection.fetchval("SELECT count(*) FROM sector") == 116
        await connection.execute("SET ROLE collector_reader")
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    with pytest.raises(StoreError):
        async with connect(address):
            pass


async def test_there_is_nothing_to_serve_where_a_server_is_named(database: Dsn, tmp_path: Path) -> None:
    found = await run("serve", env=environment(None, database), cwd=tmp_path)
    assert (found.code, found.err.splitlines()[0]) == (2, "collector: DATABASE_URL names a server of its own")


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
async def test_psql_is_started_against_the_database(database: Dsn, tmp_path: Path) -> None:
    found = await run(
        "psql", "-Atc", "SELECT current_database()", env=environment(None, database), cwd=tmp_path
    )
    assert (found.code, found.out.strip()) == (0, database.database)


async def test_psql_gets_its_arguments_and_the_address(database: Dsn, tmp_path: Path) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$PGDATABASE $PGUSER $@"; exit 3\n')
    program.chmod(0o700)
    env = environment(None, database, PATH=f"{tmp_path}:/usr/bin:/bin")
    found = await run("psql", "-c", "SELECT 1", env=env, cwd=tmp_path)
    assert (found.code, found.out.strip()) == (3, f"{database.database} {database.user} -c SELECT 1")


async def test_psql_that_is_not_installed_is_said(database: Dsn, tmp_path: Path) -> None:
    found = await run("psql", env=environment(None, database, PATH=str(tmp_path)), cwd=tmp_path)
    assert (found.code, found.err.splitlines()[0]) == (2, "collector: psql is not installed")


SCHEDULES = "schedules:\n  always: {universe: all, every: 1m, during: KRX.regular}\n"
BOARD = Target.of("KOSPI", "001", "KRX")


def _write_config(folder: Path) -> None:
    path = folder / "config" / "collector.yaml"
    path.parent.mkdir()
    path.write_text(yaml([BOARD], requests_per_second=5) + SCHEDULES, encoding="utf-8")


@pytest.mark.extended
async def test_gaps_without_days_are_those_of_today(database: Dsn, tmp_path: Path) -> None:
    _write_config(tmp_path)
    env = environment(None, database)
    nothing = await run("gaps", env=env, cwd=tmp_path)
    assert (nothing.code, nothing.out.strip()) == (0, "nothing is missing")
    words = await run("gaps", "--from", "-1d", "--to", "today", "--format", "json", env=env, cwd=tmp_path)
    assert (words.code, words.out.strip()) == (0, "[]")


async def test_gaps_of_the_future_are_refused(database: Dsn, tmp_path: Path) -> None:
    _write_config(tmp_path)
    found = await run("gaps", "--from", "2098-01-01", env=environment(None, database), cwd=tmp_path)
    assert found.code == 2
    assert "2098-01-01 is in the future" in found.err


async def test_nothing_is_absent_before_the_first_slot_of_the_ledger(database: Dsn, tmp_path: Path) -> None:
    _write_config(tmp_path)
    began = datetime(2025, 11, 20, 15, 20, tzinfo=KST)
    await execute(
        database, "INSERT INTO collector.target (market, sector, exchange) VALUES ('KOSPI', '001', 'KRX')"
    )
    await execute(
        database,
        "INSERT INTO collector.walk (slot, target, status) SELECT $1, id, 'complete' FROM collector.target",
        began,
    )
    days = ("--from", "20251119", "--to", "20251120")
    found = await run("gaps", *days, "--format", "csv", env=environment(None, database), cwd=tmp_path)
    absent = [line.partition(",")[0] for line in found.out.splitlines()[1:]]
    assert found.code == 1
    assert absent[:2] == ["2025-11-20T15:21:00+09:00", "2025-11-20T15:22:00+09:00"]


async def test_an_export_without_rows_says_so(database: Dsn, tmp_path: Path) -> None:
    found = await run(
        "export", "--from", "20200102", "--to", "20200103", env=environment(None, database), cwd=tmp_path
    )
    assert found.code == 0
    assert "nothing is stored of 2020-01-02 to 2020-01-03" in found.err


WITHOUT_PYARROW = "import sys; sys.modules['pyarrow'] = None; from collector.cli import main; main()"


@pytest.mark.extended
async def test_csv_needs_no_pyarrow_and_is_the_same_file(filled: Dsn, tmp_path: Path) -> None:
    env = environment(None, filled) | {"PYTHONPATH": str(ROOT)}
    arguments = ("export", "--from", str(DAY), "--to", str(DAY), "--format", "csv", "--output")
    with_it = await run(*arguments, "with.csv", env=env, cwd=tmp_path)
    without = await run_cold("-c", WITHOUT_PYARROW, *arguments, "without.csv", env=env, cwd=tmp_path)
    assert (with_it.code, without.code) == (0, 0)
    assert without.err.splitlines()[-1] == with_it.err.splitlines()[-1].replace("with.csv", "without.csv")
    assert (tmp_path / "without.csv").read_bytes() == (tmp_path / "with.csv").read_bytes()


@pytest.mark.extended
async def test_archived_days_need_pyarrow_and_say_so(filled: Dsn, tmp_path: Path) -> None:
    await archived(filled, tmp_path / "cold")
    env = environment(None, filled) | {"PYTHONPATH": str(ROOT)}
    arguments = ("export", "--from", str(DAY), "--to", str(DAY), "--format", "csv", "--output", "without.csv")
    found = await run_cold("-c", WITHOUT_PYARROW, *arguments, env=env, cwd=tmp_path)
    assert found.code == 2
    assert "are in Parquet files, and the package pyarrow is not installed" in found.err
    assert not (tmp_path / "without.csv").exists()


async def test_a_refused_once_leaves_no_sweep_under_way(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, BOARD)
    async with Simulator(replace(STILL, keys={"another": "key"})) as simulator:
        env = environment(simulator.url, database)
        found = await run("once", env=env, cwd=tmp_path)
    assert (found.code, APP_KEY in found.err) == (2, False)
    assert await fetch(database, "SELECT count(*) FROM collector.sweep") == [(0,)]
