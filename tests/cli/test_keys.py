"""Several keys, in one process or in several: they share a sweep, and each keeps to its own quota."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Options, Simulator
from tests.support.command_process import config, ended, environment, run, started, until
from tests.support.harness import OPEN, STILL, fetch

CODES = ("005", "006", "007", "008", "009", "010", "011", "012", "014", "015", "016", "017", "018")
TARGETS = [
    Target.of("KOSPI", code, exchange) for code in CODES for exchange in ("KRX", "NXT", "CONSOLIDATED")
]
STRICT = Options(quota=10, freeze=OPEN, latency=timedelta(milliseconds=20))
TORN = """
SELECT w.slot, w.target
FROM collector.walk AS w
FULL JOIN collector.snapshot AS s USING (slot, target)
GROUP BY w.slot, w.target, w.rows
HAVING count(s.slot) IS DISTINCT FROM w.rows OR count(s.slot) IS DISTINCT FROM count(DISTINCT s.position)
"""
COUNTED = "SELECT status, count(*) FROM walk GROUP BY status"


def now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def second(simulator: Simulator, database: Dsn) -> dict[str, str]:
    """What a process is given that has another key."""
    other = {"KIWOOM_APP_KEY": "another app key", "KIWOOM_SECRET_KEY": "another secret key"}
    return environment(simulator.url, database, **other)


def walks(simulator: Simulator) -> Mapping[str, Counter[tuple[str, str]]]:
    """How often each target's first page was asked for, by key."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for arrival in simulator.api.book.since(0):
        if arrival["api_id"] == "ka20002" and arrival["page"] == 1:
            found.setdefault(arrival["key"], Counter())[arrival["sector"], arrival["exchange"]] += 1
    return found


def peaks(simulator: Simulator) -> list[int]:
    return [peak for _, api_id, peak in simulator.api.gate.peaks() if api_id == "ka20002"]


def once_each(simulator: Simulator) -> bool:
    total = sum(walks(simulator).values(), Counter())
    return set(total.values()) == {1} and len(total) == len(TARGETS)


@pytest.mark.extended
async def test_two_processes_with_a_key_each_share_a_sweep_and_fetch_nothing_twice(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *TARGETS, requests_per_second=10)
    async with Simulator(STRICT) as simulator:
        command = ("once", "--quiet", "--slot", now())
        one, two = environment(simulator.url, database), second(simulator, database)
        both = await asyncio.gather(*(run(*command, env=env, cwd=tmp_path) for env in (one, two)))
        assert [found.code for found in both] == [0, 0]
        assert once_each(simulator)
        assert len(walks(simulator)) == 2  # how many each has depends on when each begins
        assert max(peaks(simulator)) <= 10
        assert set(simulator.api.book.answers()["ka20002"]) == {"ok"}
    assert await fetch(database, COUNTED) == [("complete", len(TARGETS))]
    assert await fetch(database, TORN) == []
    assert await fetch(database, "SELECT count(*) FROM collector.claim") == [(0,)]


@pytest.mark.extended
async def test_one_process_spreads_a_sweep_over_its_keys(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *TARGETS, requests_per_second=10, keys="[main, second]")
    for name in ("main.app_key", "main.secret_key", "second.app_key", "second.secret_key"):
        (tmp_path / name).write_text(f"s3ntinel-{name}")
        (tmp_path / name).chmod(0o600)
    async with Simulator(STRICT) as simulator:
        env = environment(simulator.url, database, KIWOOM_APP_KEY=None, KIWOOM_SECRET_KEY=None)
        found = await run("once", "--quiet", env=env | {"KIWOOM_KEYS": str(tmp_path)}, cwd=tmp_path)
        assert found.code == 0
        assert once_each(simulator)
        assert min(found.total() for found in walks(simulator).values()) > len(TARGETS) / 4
        assert max(peaks(simulator)) <= 10
        assert simulator.api.tokens.issued == 2


@pytest.mark.extended
async def test_a_key_that_is_refused_leaves_its_walks_to_the_others(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *TARGETS, keys="[main, second]")
    keys = {}
    for name in ("main", "second"):
        keys[name] = (tmp_path / f"{name}.app_key", tmp_path / f"{name}.secret_key")
        for path in keys[name]:
            path.write_text(f"{path.name}-s3ntinel")
            path.chmod(0o600)
    known = {"second.app_key-s3ntinel": "second.secret_key-s3ntinel"}
    async with Simulator(replace(STILL, keys=known)) as simulator:
        env = environment(simulator.url, database, KIWOOM_APP_KEY=None, KIWOOM_SECRET_KEY=None)
        found = await run("once", "--quiet", env=env | {"KIWOOM_KEYS": str(tmp_path)}, cwd=tmp_path)
    assert found.code == 0
    assert '"key": "main"' in found.err
    assert await fetch(database, COUNTED) == [("complete", len(TARGETS))]


SLOW = replace(STILL, latency=timedelta(milliseconds=150))


@pytest.mark.extended
async def test_what_a_killed_process_was_walking_the_other_one_takes_over(
    database: Dsn, tmp_path: Path
) -> None:
    config(tmp_path, *TARGETS)
    async with Simulator(SLOW) as simulator:
        command = ("once", "--quiet", "--slot", now())
        one, two = environment(simulator.url, database), second(simulator, database)
        async with (
            started(*command, env=one, cwd=tmp_path) as doomed,
            started(*command, env=two, cwd=tmp_path) as other,
        ):
            await until(lambda: len(walks(simulator)) == 2 and simulator.api.book.count >= 20)
            doomed.kill()
            assert (await ended(other)).code == 0
    assert await fetch(database, COUNTED) == [("complete", len(TARGETS))]
    assert await fetch(database, TORN) == []


@pytest.mark.extended
async def test_the_status_tells_who_walks_with_which_key(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *TARGETS)
    async with Simulator(SLOW) as simulator:
        env = environment(simulator.url, database)
        async with started("once", "--quiet", env=env, cwd=tmp_path):
            await until(lambda: simulator.api.book.count >= 8)
            told = await run("status", "--json", env=env, cwd=tmp_path)
    [walking] = json.loads(told.out)["walking"]
    assert (walking["host"], walking["key"]) == (os.uname().nodename, "main")
    assert 1 <= walking["walks"] <= 8


@pytest.mark.extended
async def test_a_frozen_process_writes_nothing_when_it_wakes(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, *TARGETS)
    lines = "SELECT md5(string_agg(w::text, ',' ORDER BY target)) FROM collector.walk AS w"
    async with Simulator(SLOW) as simulator:
        command = ("once", "--quiet", "--slot", now())
        one, two = environment(simulator.url, database), second(simulator, database)
        async with (
            started(*command, env=one, cwd=tmp_path) as frozen,
            started(*command, env=two, cwd=tmp_path) as other,
        ):
            await until(lambda: len(walks(simulator)) == 2 and simulator.api.book.count >= 20)
            frozen.send_signal(signal.SIGSTOP)
            assert (await ended(other)).code == 0
            before = await fetch(database, lines)
            frozen.send_signal(signal.SIGCONT)
            assert (await ended(frozen)).code == 0
    assert await fetch(database, lines) == before
    assert await fetch(database, TORN) == []
