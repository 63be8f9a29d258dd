"""`collector backfill` as a process: what it says, what it refuses, and what is left when it is killed."""

import asyncio
import random
import re
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.db.dsn import Dsn
from collector.model import KST, Target
from kiwoom_simulator import Options, Simulator
from tests.support.command_process import config, environment, run, started, until
from tests.support.harness import execute, fetch
from tests.support.postgres_server import Server

EXTENDED = pytest.mark.extended
TELECOM = Target.of("KOSPI", "020", "KRX")
MANY = Target.of("KOSPI", "010", "KRX")
"""22 listings."""
SUNDAY = Options(quota=0, freeze=datetime(2026, 11, 22, 12, 0, tzinfo=KST))
SLOW = replace(SUNDAY, latency=timedelta(milliseconds=40))
WEEK = ("backfill", "--from", "2026-11-16", "--to", "2026-11-20")
TORN = """
SELECT w.symbol, w.rows, count(b.symbol)
FROM collector.bar_walk AS w
FULL JOIN collector.bar AS b ON b.symbol = w.symbol AND b.trading_date BETWEEN w.from_date AND w.to_date
GROUP BY w.symbol, w.rows
HAVING count(b.symbol) IS DISTINCT FROM w.rows
"""
TABLE = "SELECT * FROM bar ORDER BY symbol, trading_date"


async def count(address: Dsn) -> int:
    [(found,)] = await fetch(address, "SELECT count(*) FROM bar_walk WHERE status = 'complete'")
    return int(found)


async def test_it_fills_what_is_lacking_and_then_nothing_is(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, TELECOM)
    async with Simulator(SUNDAY) as simulator:
        env = environment(simulator.url, database)
        first = await run(*WEEK, env=env, cwd=tmp_path)
        again = await run(*WEEK, env=env, cwd=tmp_path)
    assert (first.code, again.code) == (0, 0)
    assert re.search(r"members .* 1 targets never walked .* ka20002, now", first.out)
    assert (
        "stored 5 listings with 25 bars, 5 index levels, 5 days of flows, 1 walks for their members, 13 requests"
        in first.out
    )
    assert "the members of a sector on a past day" in first.out
    assert "nothing fillable is missing" in again.out
    assert "stored 0 listings with 0 bars, 0 requests" in again.out


@pytest.mark.extended
async def test_a_dry_run_needs_no_key_and_asks_nobody(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, TELECOM)
    async with Simulator(SUNDAY) as simulator:
        await run(*WEEK, env=environment(simulator.url, database), cwd=tmp_path)
        asked = simulator.api.book.count
        env = environment(simulator.url, database, KIWOOM_APP_KEY=None, KIWOOM_SECRET_KEY=None)
        longer = ("backfill", "--from", "2026-11-09", "--to", "2026-11-20", "--dry-run")
        found = await run(*longer, env=env, cwd=tmp_path)
        assert simulator.api.book.count == asked
    assert found.code == 0
    assert re.search(r"daily bars .* 5 listings .* ka10081 .* 5 .* - .* 25 ", found.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2026-11-20", "--to", "2026-11-16"), "before it begins .*\n.*--from 2026-11-16 --to 2026-11-20"),
        (("--from", "2026-11-16", "--to", "2099-11-20"), "2099-11-20 is in the future"),
        (("--from", "2026-11-21", "--to", "2026-11-22"), "no trading day: 2026-11-21 Saturday, 2026-11-22 Sunday"),
        (("--from", "2026-11-16", "--to", "2026-11-20", "--universe", "al"), "no universe 'al'; use one of: all"),
        (("--from", "2026-11-16", "--to", "someday"), "'someday' is not a date"),
        (("--from", "2026-11-16"), "Missing option '--to'"),
    ],
    ids=["reversed", "future", "no trading day", "universe", "no date", "no end"],
)  # fmt: skip
async def test_what_is_wrongly_asked_is_refused_in_words_and_nothing_is_fetched(
    database: Dsn, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    config(tmp_path, TELECOM)
    async with Simulator(SUNDAY) as simulator:
        found = await run("backfill", *arguments, env=environment(simulator.url, database), cwd=tmp_path)
        assert simulator.api.book.count == 0
    assert found.code == 2
    assert re.search(words, found.err)


@pytest.mark.extended
async def test_what_is_not_filled_is_listed_and_the_rest_is_stored(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, TELECOM)
    faults = ("rejected_15xx:api=ka10081,symbol=032640", "price_absurd:symbol=150220")
    async with Simulator(replace(SUNDAY, faults=faults)) as simulator:
        found = await run(*WEEK, "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
    assert (found.code, found.out) == (1, "")
    listed = [line for line in found.err.splitlines() if not line.startswith("{")]
    assert sorted(line.partition(":")[0] for line in listed) == ["032640 failed", "150220 suspect"]
    assert await count(database) == 3


@pytest.fixture(scope="session")
async def undisturbed(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, ...]]:
    """The bars of a backfill that nothing ended."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config(folder, MANY)
    async with Simulator(SUNDAY) as simulator, server.database(template=template) as address:
        done = await run(*WEEK, "--quiet", env=environment(simulator.url, address), cwd=folder)
        assert done.code == 0, done.err
        return await fetch(address, TABLE)


@pytest.mark.extended
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGKILL,
    ],
)
async def test_whatever_ends_it_the_next_call_takes_up_what_is_left(
    database: Dsn, undisturbed: list[tuple[Any, ...]], tmp_path: Path, number: signal.Signals
) -> None:
    config(tmp_path, MANY)
    chance = random.Random(number)
    async with Simulator(SLOW) as simulator:
        env = environment(simulator.url, database)
        enough = chance.randrange(8, 18)  # a token, the members, then histories
        async with started(*WEEK, env=env, cwd=tmp_path) as process:
            await until(lambda: simulator.api.book.count >= enough or process.returncode is not None)
            await asyncio.sleep(chance.random() * 0.02)  # any moment will do
            process.send_signal(number)
            await process.communicate()
        assert process.returncode == (130 if number is not signal.SIGKILL else -signal.SIGKILL)
        assert await fetch(database, TORN) == []
        kept = await count(database)
        assert 0 < kept < 22
        last = await run(*WEEK, env=env, cwd=tmp_path)
        assert last.code == 0
        assert f"stored {22 - kept} listings" in last.out
    assert await fetch(database, TABLE) == undisturbed


@EXTENDED
async def test_two_at_once_store_everything_once(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, MANY)
    async with Simulator(SUNDAY) as simulator:
        env = environment(simulator.url, database)
        await run("once", env=env, cwd=tmp_path)
        both: list[Any] = await asyncio.gather(*(run(*WEEK, env=env, cwd=tmp_path) for _ in range(2)))
    assert [each.code for each in both] == [0, 0]
    assert await fetch(database, TORN) == []
    assert await count(database) == 22


FULL = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM {table}) >= {rows} THEN
        RAISE 'no space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.fail()
"""
"""What has room for so many rows of a table."""


@pytest.mark.extended
@pytest.mark.parametrize(
    ("table", "rows", "stored"),
    [
        ("collector.bar_walk", 10, r"stored 1\d listings with \d+ bars, 2 walks for their members"),
        pytest.param(
            "collector.bar_walk",
            0,
            "stored 0 listings with 0 bars, 2 walks for their members",
        ),
        ("collector.walk", 1, "stored 0 listings with 0 bars, 1 walks for their members"),
    ],
    ids=["histories", "members", "one of the members' walks"],
)
async def test_a_database_that_goes_away_ends_it_with_what_is_stored_until_then(
    database: Dsn, tmp_path: Path, table: str, rows: int, stored: str
) -> None:
    config(tmp_path, TELECOM, MANY, concurrency=1)
    await execute(database, FULL.format(table=table, rows=rows))
    async with Simulator(SUNDAY) as simulator:
        found = await run(*WEEK, env=environment(simulator.url, database), cwd=tmp_path)
    assert found.code == 1
    assert "its disk is full" in found.err
    assert re.search(f"{stored} before that; the same command continues", found.err)
    assert await fetch(database, TORN) == []
