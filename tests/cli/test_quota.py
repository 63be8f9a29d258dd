"""`collector quota` and `status`: a rate that the server named is shown, and forgotten with one command."""

import json
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.kiwoom.auth import key_digest
from collector.model import Target
from collector.secret import Secret
from tests.support.command_process import APP_KEY, config, environment, run
from tests.support.harness import execute, fetch

ONE = Target.of("KOSPI", "013", "KRX")
KEY = key_digest(Secret(APP_KEY))
RATES = "SELECT key, granted FROM collector.quota ORDER BY key"


async def learn(address: Dsn, key: str, granted: int) -> None:
    """What a refusal with 유량=N leaves behind."""
    await execute(
        address,
        "INSERT INTO collector.quota (key, api_id, granted, granted_at)"
        " VALUES ($1, 'ka20002', $2, clock_timestamp())",
        key,
        granted,
    )


async def test_a_learned_rate_is_shown_with_the_time_of_its_retest(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, ONE, requests_per_second=5)
    await learn(database, KEY, 1)
    found = environment("http://127.0.0.1:9", database)
    status = await run("status", cwd=tmp_path, env=found)
    assert "ka20002: the server grants 1/s of 5/s configured to key main" in status.out
    assert "`collector quota --forget`" in status.out
    [line] = json.loads((await run("status", "--json", cwd=tmp_path, env=found)).out)["quota"]
    assert (line["key"], line["api_id"], line["configured"], line["learned"]) == ("main", "ka20002", 5, 1)
    assert line["learned_at"] < line["retested_at"]
    assert json.loads((await run("quota", "--json", cwd=tmp_path, env=found)).out) == [line]


@pytest.mark.parametrize("granted", [5, 100])
async def test_a_rate_that_is_not_below_the_configured_one_is_no_news(
    database: Dsn, tmp_path: Path, granted: int
) -> None:
    config(tmp_path, ONE, requests_per_second=5)
    await learn(database, KEY, granted)
    status = await run("status", "--json", cwd=tmp_path, env=environment("http://127.0.0.1:9", database))
    assert json.loads(status.out)["quota_learnt"] == {}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [((), [("another", 2), (KEY, 1)]), (("--forget",), [("another", None), (KEY, None)]),
     (("--forget", "--name", "main"), [("another", 2), (KEY, None)])],
    ids=["shown", "all", "one"],
)  # fmt: skip
async def test_a_rate_is_forgotten_by_one_command(
    database: Dsn, tmp_path: Path, arguments: tuple[str, ...], left: list[tuple[str, int | None]]
) -> None:
    config(tmp_path, ONE, requests_per_second=5)
    for key, granted in ((KEY, 1), ("another", 2)):
        await learn(database, key, granted)
    ended = await run("quota", *arguments, cwd=tmp_path, env=environment("http://127.0.0.1:9", database))
    assert ended.code == 0
    assert sorted(await fetch(database, RATES)) == sorted(left)


async def test_a_key_that_nobody_named_is_refused_with_those_there_are(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, ONE, requests_per_second=5)
    ended = await run(
        "quota", "--forget", "--name", "mian", cwd=tmp_path, env=environment("http://127.0.0.1:9", database)
    )
    assert ended.code == 2
    assert "'mian' is not a key" in ended.err
    assert "main" in ended.err.splitlines()[1]


async def test_a_learned_caution_is_shown_with_the_last_refusal(database: Dsn, tmp_path: Path) -> None:
    config(tmp_path, ONE, requests_per_second=5)
    await execute(
        database,
        "INSERT INTO collector.quota (key, api_id, caution, refused_at)"
        " VALUES ($1, 'ka20002', 0.25, '2026-11-20T10:00+09'), ($1, 'ka10081', 0.5, NULL), ($1, 'ka10099', 1, NULL)",
        KEY,
    )
    found = environment("http://127.0.0.1:9", database)
    status = await run("status", cwd=tmp_path, env=found)
    assert "caution    ka20002, key main: 0.25; last refusal 2026-11-20 10:00:00 KST" in status.out
    assert "caution    ka10081, key main: 0.50; no refusal" in status.out
    assert "ka10099, key main" not in status.out
