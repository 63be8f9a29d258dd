"""`collector once` as a process: what it stores, says and answers, and what is left when it is killed."""

import asyncio
import json
import os
import pty
import random
import re
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import (
    config,
    ended,
    environment,
    run,
    run_cold,
    secrets_in,
    started,
    until,
)
from tests.support.harness import STILL, as_stored, execute, fetch, stored

BENT = Target.of("KOSDAQ", "139", "KRX")
SOUND = Target.of("KOSPI", "013", "KRX")
SMALL = [
    Target.of("KOSPI", code, exchange)
    for code in ("005", "006", "007", "008", "009", "010", "011", "012", "014", "015", "016", "017", "018")
    for exchange in ("KRX", "NXT", "CONSOLIDATED")
]
"""Walks of one page or two."""
SLOW = replace(STILL, latency=timedelta(milliseconds=40))
TORN = """
SELECT w.slot, w.target, w.rows, count(s.slot)
FROM collector.walk AS w
FULL JOIN collector.snapshot AS s USING (slot, target)
GROUP BY w.slot, w.target, w.rows
HAVING count(s.slot) IS DISTINCT FROM w.rows
    OR count(s.slot) IS DISTINCT FROM count(DISTINCT s.position)
"""
DISK_FULL = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE 'no space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON collector.walk FOR EACH ROW EXECUTE FUNCTION public.fail()
"""
COMPLETE = "SELECT market, sector, exchange FROM walk WHERE status = 'complete'"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def log_lines(err: str) -> list[dict[str, object]]:
    """The JSON lines of stderr; everything must be one but what is said to people."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]


async def complete(address: Dsn) -> set[Target]:
    return {Target.of(*names) for names in await fetch(address, COMPLETE)}


async def all_rows_as_served(
    address: Dsn, slot: datetime, targets: Sequence[Target], simulator: Simulator
) -> bool:
    for target in targets:
        served = [as_stored(row) for row in simulator.rows(target)]
        if await stored(address, slot, target) != served:
            return False
    return True


async def test_a_whole_sweep_ends_with_0_a_table_and_a_log_line_a_walk(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, BENT, SOUND)
    async with Simulator(STILL) as simulator:
        found = await run("once", env=environment(simulator.url, database), cwd=tmp_path)
        [[slot]] = await fetch(database, "SELECT DISTINCT slot FROM walk")
        assert await all_rows_as_served(database, slot, [BENT, SOUND], simulator)
    assert found.code == 0
    assert re.search(r"KOSDAQ .* KRX .* 1 .* 3 .* 299 .* 1 complete", found.out)
    assert re.search(r"all .* 2 .* 4 .* 380 ", found.out)
    lines = [line for line in log_lines(found.err) if line["event"] != "database.durability_warning"]
    assert [line["event"] for line in lines] == ["walk.stored", "walk.stored", "sweep.ended"]
    assert {(line["target"], line["rows"]) for line in lines[:2]} == {(str(BENT), 299), (str(SOUND), 81)}
    assert (lines[2]["complete"], lines[2]["requests"], lines[2]["universe"]) == (2, 5, "all")


@pytest.mark.extended
async def test_quiet_says_nothing_where_nothing_is_wrong(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    async with Simulator(STILL) as simulator:
        found = await run("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
    assert (found.code, found.out) == (0, "")
    assert [line["event"] for line in log_lines(found.err)] == ["database.durability_warning"] * len(
        found.err.splitlines()
    )


async def test_what_is_missing_or_suspect_is_listed_and_the_rest_is_stored(
    database: Dsn, tmp_path: Path
) -> None:
    third = Target.of("KOSDAQ", "138", "KRX")
    config(tmp_path, BENT, SOUND, third)
    faults = ("rejected_15xx:sector=139", "duplicated_rows:sector=138")
    async with Simulator(replace(STILL, faults=faults)) as simulator:
        found = await run("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
    assert (found.code, found.out) == (1, "")
    listed = [line for line in found.err.splitlines() if not line.startswith("{")]
    assert listed == [
        "KOSDAQ/139/KRX failed: Rejected: Kiwoom says: 입력 값 오류입니다[1517:입력 값 형식이 올바르지 않습니다]",
        (
            "KOSDAQ/138/KRX suspect: duplicate_symbol: a symbol came twice among 101 rows;"
            " a fault of the server; if the next slot has it again, run collector check --online"
        ),
    ]
    assert dict(await fetch(database, "SELECT sector, status FROM walk")) == {
        "139": "failed",
        "138": "suspect",
        "013": "complete",
    }


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.extended)])
async def test_kill_9_at_any_moment_costs_no_more_than_the_walks_under_way(
    database: Dsn, tmp_path: Path, kills: int
) -> None:
    config(tmp_path, *SMALL)
    chance = random.Random(4)
    slot = now()
    command = ("once", "--slot", slot.isoformat())
    async with Simulator(SLOW) as simulator:
        env = environment(simulator.url, database)
        for _ in range(kills):
            kept = await complete(database)
            enough = simulator.api.book.count + chance.randrange(1, 9)
            async with started(*command, env=env, cwd=tmp_path) as process:
                await until(lambda: simulator.api.book.count >= enough or process.returncode is not None)  # noqa: B023
                await asyncio.sleep(chance.random() * 0.05)  # any moment will do
                process.kill()
            assert await fetch(database, TORN) == []
            assert await complete(database) >= kept
        kept = await complete(database)
        assert 0 < len(kept) < len(SMALL)
        before = simulator.api.book.count
        assert (await run(*command, env=env, cwd=tmp_path)).code == 0
        asked = {(arrival["sector"], arrival["exchange"]) for arrival in simulator.api.book.since(before)}
        assert asked - {("", "")} == {(target.sector, target.exchange) for target in set(SMALL) - kept}
        assert await complete(database) == set(SMALL)
        assert await fetch(database, TORN) == []
        assert await all_rows_as_served(database, slot, SMALL, simulator)


@pytest.mark.extended
async def test_sigterm_stops_it_in_time_and_the_next_one_takes_up_the_rest(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *SMALL)
    async with Simulator(SLOW) as simulator:
        env = environment(simulator.url, database)
        async with started("once", env=env, cwd=tmp_path) as process:
            await until(lambda: simulator.api.book.count >= 20)
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            stopped = await ended(process)
        assert time.monotonic() - told < 50  # five are promised, on a machine that is not ten times slower
        assert stopped.code == 130
        assert f"of {len(SMALL)} targets are stored; the same command continues the sweep" in stopped.err
        assert await fetch(database, TORN) == []
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
        assert await fetch(database, left, database.database) == [(0,)]
        [[slot, stored_before]] = await fetch(database, "SELECT max(slot), count(*) FROM walk")
        assert 0 < stored_before < len(SMALL)
        await asyncio.sleep(max(0, slot.timestamp() + 1 - time.time()))  # or "now" would be the same slot
        resumed = await run("once", env=env, cwd=tmp_path)
        assert resumed.code == 0
        assert "resuming the sweep of" in resumed.err
        assert await fetch(database, "SELECT DISTINCT slot FROM walk") == [(slot,)]
        assert await all_rows_as_served(database, slot, SMALL, simulator)


@pytest.mark.extended
async def test_two_at_the_same_slot_store_each_target_once(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *SMALL[:12], BENT)
    slot = now()
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        both = await asyncio.gather(
            *(run("once", "--slot", slot.isoformat(), env=env, cwd=tmp_path) for _ in range(2))
        )
        assert [found.code for found in both] == [0, 0]
        assert await fetch(database, TORN) == []
        assert await all_rows_as_served(database, slot, [*SMALL[:12], BENT], simulator)


async def test_a_denial_in_the_middle_leaves_what_is_stored_and_says_how_to_go_on(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *SMALL, concurrency=1)
    async with Simulator(replace(STILL, faults=("ip_8050:api=ka20002,after=10",))) as simulator:
        found = await run("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
    [[count]] = await fetch(database, "SELECT count(*) FROM walk WHERE status = 'complete'")
    assert found.code == 1
    assert count > 0
    assert "8050" in found.err
    assert f"{count} of {len(SMALL)} targets are stored; `collector once --slot" in found.err


async def test_a_database_that_fails_in_the_middle_ends_it_with_the_rest_to_do(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *SMALL, concurrency=1)
    async with (
        Simulator(SLOW) as simulator,
        started("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path) as process,
    ):
        await until(lambda: simulator.api.book.count >= 12)
        await execute(database, DISK_FULL)
        found = await ended(process)
    assert found.code == 1
    assert re.search(r"collector: storing KOSPI/\S+: its disk is full .*\n  free space", found.err)
    assert re.search(r"\d+ of 39 targets are stored; `collector once --slot", found.err)


async def test_what_was_fetched_and_not_stored_is_missing_and_no_false_start(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, SOUND)
    await execute(database, DISK_FULL)
    async with Simulator(STILL) as simulator:
        found = await run("once", "--quiet", env=environment(simulator.url, database), cwd=tmp_path)
    assert found.code == 1
    assert "0 of 1 targets are stored; `collector once --slot" in found.err


@pytest.mark.extended
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-X", "dev"), id="development mode"),
        pytest.param((), id="asyncio in debug mode"),
    ],
)
async def test_no_secret_is_shown_when_python_tells_the_most(
    database: Dsn, tmp_path: Path, options: tuple[str, ...]
) -> None:
    config(tmp_path, BENT, SOUND, timeout="4s")
    faults = (
        "http_401:times=1",
        "reset_body:sector=139,times=2",
        "latency_spike:sector=013,times=1,seconds=8",
    )
    async with Simulator(replace(STILL, faults=faults)) as simulator:
        env = environment(simulator.url, database, PYTHONASYNCIODEBUG="1")
        found = await run_cold(*options, "-m", "collector", "once", env=env, cwd=tmp_path)
        tokens = [token.text for token in simulator.api.tokens._current.values()]
    assert found.code == 0
    assert tokens
    assert not any(token in found.out + found.err for token in tokens)


async def at_a_terminal(*arguments: str, env: Mapping[str, str], cwd: Path) -> str:
    """What a person sees: stdout and stderr on one terminal of 100 columns."""
    ours, theirs = pty.openpty()
    loop = asyncio.get_running_loop()
    seen = bytearray()

    loop.add_reader(ours, lambda: seen.extend(os.read(ours, 65_536)))
    try:
        async with started(
            *arguments,
            env={**env, "COLUMNS": "100", "TERM": "xterm-256color"},
            cwd=cwd,
            streams=dict.fromkeys(("stdin", "stdout", "stderr"), os.ttyname(theirs)),
        ) as process:
            async with asyncio.timeout(600):
                await process.wait()
        os.set_blocking(ours, False)
        with suppress(BlockingIOError):  # what it said last is there by now; then there is nothing
            while last := os.read(ours, 65_536):
                seen.extend(last)
    finally:
        loop.remove_reader(ours)
        os.close(
            theirs
        )  # not before: until the command has opened it, a terminal without it looks like one at its end
        os.close(ours)
    text = seen.decode()
    assert secrets_in(text) == []
    return text


COLOR = re.compile(r"\x1b\[[0-9;]*[34]\d[0-9;]*m")


@pytest.mark.extended
@pytest.mark.parametrize(
    "no_color",
    [
        pytest.param(None, id="in color"),
        pytest.param("1", id="NO_COLOR"),
    ],
)
async def test_a_person_sees_progress_and_a_table_in_color_if_they_like(
    database: Dsn, tmp_path: Path, no_color: str | None
) -> None:
    config(tmp_path, *SMALL)
    async with Simulator(SLOW) as simulator:
        env = environment(simulator.url, database, NO_COLOR=no_color)
        text = await at_a_terminal("once", env=env, cwd=tmp_path)
    assert re.search(r"\d+/39 targets · \d+ pages · [\d,]+ rows · [\d.]+ requests/s", text)
    assert "39 complete" in text
    assert bool(COLOR.search(text)) is (no_color is None)


async def test_quiet_at_a_terminal_draws_nothing(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, SOUND)
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database, NO_COLOR="1")
        text = await at_a_terminal("once", "--quiet", env=env, cwd=tmp_path)
    assert [line for line in text.splitlines() if "is off: a crash" not in line] == []


CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.extended
async def test_log_lines_stand_above_the_progress_bar_each_on_its_own_line(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *SMALL)
    faults = ("rejected_15xx:exchange=NXT",)
    async with Simulator(replace(SLOW, faults=faults)) as simulator:
        seen = await at_a_terminal("once", env=environment(simulator.url, database), cwd=tmp_path)
    lines = re.split(r"[\r\n]+", CONTROL.sub("", seen))
    logged = [line for line in lines if "walk.failed" in line]
    assert len(logged) == len(SMALL) // 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ \[warning +\] walk.failed +", line) for line in logged)
    assert all("target=KOSPI/" in line and "1517" in line for line in logged)
    assert not any("walk.stored" in line for line in lines)


async def test_one_target_is_walked_alone_and_again(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, BENT)
    async with Simulator(STILL) as simulator:
        known = environment(simulator.url, database)
        found = [await run("once", "--target", str(SOUND), env=known, cwd=tmp_path) for _ in range(2)]
    assert [each.code for each in found] == [0, 0]
    assert await complete(database) == {SOUND}
    assert {name for (name,) in await fetch(database, "SELECT universe FROM collector.sweep")} == {str(SOUND)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["KOSPI/101/KRX"], "'101' is no sector of KOSPI; use 0xx or 6xx"),
        (["KOSPI/13/KRX"], "'13' is no sector of KOSPI"),
        (["KOSPI/013"], "'KOSPI/013' is not a target; use market/sector/exchange"),
        (["NASDAQ/013/KRX"], "is not a target"),
        ([str(SOUND), "--universe", "all"], "--target and --universe select both; use one of them"),
    ],
)
async def test_a_target_that_cannot_be_walked_is_refused(
    database: Dsn, tmp_path: Path, arguments: Sequence[str], words: str
) -> None:
    config(tmp_path, BENT)
    found = await run(
        "once", "--target", *arguments, env=environment("http://127.0.0.1:9", database), cwd=tmp_path
    )
    assert (found.code, words in found.err) == (2, True), found.err
