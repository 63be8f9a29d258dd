"""`collector replay` as a process: kept answers read again, put right in one transaction a walk."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import environment, run, started
from tests.support.harness import (
    OPEN,
    STILL,
    TORN,
    as_stored,
    collecting,
    execute,
    fetch,
    stored_walks,
    yaml,
)
from tests.support.prepared_databases import PreparedDatabases
from tests.support.table_watch import watched

TARGETS = [
    Target.of("KOSDAQ", "139", "KRX"),
    Target.of("KOSPI", "013", "KRX"),
    Target.of("KOSPI", "005", "NXT"),
]
Rows = dict[Target, list[tuple[Any, ...]]]
LINES = "SELECT market, sector, exchange, status, rows, remarks FROM walk ORDER BY slot, market, sector"
SLOTS = [OPEN + timedelta(minutes=5 * number) for number in range(3)]


async def collect(database: Dsn, *faults: str, slots: Sequence[datetime] = (OPEN,)) -> Rows:
    """Sweep under faults; the rows that were served, by target."""
    async with Simulator(replace(STILL, faults=faults)) as simulator:
        async with collecting(database, simulator.url, *TARGETS) as collector:
            for slot in slots:
                await collector.sweep(slot, "all", TARGETS)
        return {
            target: [as_stored(row) for row in simulator.market.rows(target.sector, target.exchange, OPEN)]
            for target in TARGETS
        }


@pytest.fixture
async def swept(prepared: PreparedDatabases) -> AsyncIterator[tuple[Dsn, Rows]]:
    """A database with three sound sweeps, and the rows that were served."""

    async def fill(database: Dsn) -> Rows:
        return await collect(database, slots=SLOTS)

    async with prepared.copy(__name__, fill) as copy:
        yield copy


async def replay(database: Dsn, cwd: Path, *options: str):
    return await run("replay", "--quiet", *options, env=environment("http://127.0.0.1:1", database), cwd=cwd)


# What a decoder with a bug leaves behind: the ledger and the rows agree with each other, and not with what was served.
BUGS = {
    "prices ten times too high": """
        UPDATE collector.snapshot SET price = price * 10;
        UPDATE collector.walk SET digest = '\\x00' WHERE rows > 0
    """,
    "rows lost": """
        DELETE FROM collector.snapshot WHERE position > 20;
        UPDATE collector.walk SET rows = 20, digest = '\\x00', members = '\\x00', status = 'suspect',
            remarks = '{row_count}' WHERE rows > 20
    """,
    "rows in quarantine": """
        INSERT INTO collector.quarantine (slot, target, page, raw, reason)
        SELECT slot, target, 1, '{}', 'bug' FROM collector.snapshot WHERE position = 1;
        DELETE FROM collector.snapshot WHERE position = 1;
        UPDATE collector.walk SET rows = rows - 1, bad = 1, digest = '\\x00', remarks = '{undecoded}'
        WHERE rows > 0
    """,
    "nothing could be read": """
        DELETE FROM collector.snapshot;
        UPDATE collector.walk SET rows = 0, digest = NULL, members = NULL, names = NULL, status = 'failed',
            error = 'Unreadable: a bug', page_starts = '{}', page_times = '{}', received_at = NULL, requested_at = NULL
    """,
}


@pytest.mark.extended
@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_of_the_decoder_is_undone_and_twice_is_nothing(
    swept: tuple[Dsn, Rows], tmp_path: Path, bug: str
):
    database, served = swept
    good = await fetch(database, LINES)
    await execute(database, BUGS[bug])
    bad = await fetch(database, LINES)
    digest = "SELECT slot, target, digest, members, names FROM collector.walk ORDER BY 1, 2"
    tried = await replay(database, tmp_path, "--dry-run")
    assert (tried.code, "would change" in tried.out) == (0, True)
    assert await fetch(database, LINES) == bad
    done = await replay(database, tmp_path)
    assert done.code == 0, done.err
    assert await fetch(database, LINES) == good
    walks = await stored_walks(database, [(slot, target) for slot in SLOTS for target in TARGETS])
    for (_, target), rows in walks.items():
        assert rows == served[target]
    assert await fetch(database, TORN) == []
    assert await fetch(database, "SELECT count(*) FROM quarantine") == [(0,)]
    before, history = await fetch(database, digest), await fetch(database, "SELECT count(*) FROM replay")
    again = await replay(database, tmp_path)
    assert (again.code, "0 changed; 9 the same" in again.out) == (0, True)
    assert (await fetch(database, digest), await fetch(database, "SELECT count(*) FROM replay")) == (
        before,
        history,
    )
    verified = await run("verify", env=environment("http://127.0.0.1:1", database), cwd=tmp_path)
    assert verified.code == 0


@pytest.mark.extended
async def test_answers_that_read_as_before_change_nothing(database: Dsn, tmp_path: Path):
    await collect(database, "garbage_number:sector=139", "extra_field:sector=013", slots=SLOTS)
    before = await fetch(database, LINES)
    done = await replay(database, tmp_path)
    assert (done.code, "0 changed" in done.out) == (0, True)
    assert await fetch(database, LINES) == before
    assert await fetch(database, "SELECT count(*) FROM replay") == [(0,)]


@pytest.mark.extended
async def test_a_walk_becomes_no_worse_without_force(database: Dsn, tmp_path: Path):
    await collect(database, "garbage_number:sector=139,rows=50")
    await execute(database, "UPDATE collector.walk SET status = 'complete', remarks = '{}', digest = '\\x00'")
    kept = await replay(database, tmp_path, "--target", "KOSDAQ/139/KRX")
    assert kept.code == 1
    assert "KOSDAQ/139/KRX stays" in kept.err
    assert "--force" in kept.err
    assert await fetch(database, "SELECT count(*) FROM walk WHERE status = 'complete'") == [(3,)]
    forced = await replay(database, tmp_path, "--target", "KOSDAQ/139/KRX", "--force")
    assert (forced.code, "status complete -> suspect" in forced.out) == (0, True)


@pytest.mark.extended
async def test_the_word_of_an_operator_and_of_later_walks_holds_for_the_same_rows(
    database: Dsn, tmp_path: Path
):
    await collect(database, "garbage_number:sector=139,rows=50")
    env = environment("http://127.0.0.1:1", database)
    assert (await run("accept", OPEN.isoformat(), env=env, cwd=tmp_path)).code == 0
    before = await fetch(database, LINES)
    assert ("KOSDAQ", "139", "KRX", "complete") in [line[:4] for line in before]
    assert (await replay(database, tmp_path)).code == 0
    assert await fetch(database, LINES) == before


@pytest.mark.extended
async def test_a_damaged_entry_is_named_and_skipped(database: Dsn, tmp_path: Path):
    await collect(database)
    await execute(
        database,
        "UPDATE collector.raw_walk SET answers = set_byte(answers, 900, 0)"
        " WHERE target = (SELECT id FROM collector.target WHERE sector = '139')",
    )
    before = await fetch(database, LINES)
    done = await replay(database, tmp_path)
    assert done.code == 1
    assert "KOSDAQ/139/KRX skipped, damaged" in done.err
    assert "2 the same" in done.out
    assert await fetch(database, LINES) == before


async def test_an_older_program_leaves_alone_what_a_newer_one_stored(database: Dsn, tmp_path: Path):
    await collect(database)
    await execute(database, "UPDATE collector.raw_walk SET program = '99.1'")
    await execute(database, "UPDATE collector.walk SET digest = '\\x00'")
    before = await fetch(database, LINES)
    done = await replay(database, tmp_path, "--force")
    assert done.code == 1
    assert "version 99.1 has stored it" in done.err
    assert await fetch(database, LINES) == before


async def test_a_failed_walk_without_all_its_pages_stays_failed(database: Dsn, tmp_path: Path):
    await collect(database, "rejected_15xx:sector=139,page=2")
    before = await fetch(database, LINES)
    done = await replay(database, tmp_path)
    assert (done.code, "is still not whole" in done.out) == (0, True)
    assert await fetch(database, LINES) == before


async def test_an_export_holds_the_answer_and_no_secret(database: Dsn, tmp_path: Path):
    await collect(database, "truncated_json:sector=139")
    done = await replay(database, tmp_path, "--export", str(tmp_path / "sample.json"))
    assert done.code == 0, done.err
    text = (tmp_path / "sample.json").read_text()
    [sample] = json.loads(text)["answers"]
    assert (sample["target"], sample["status"]) == ("KOSDAQ/139/KRX", 200)
    assert sample["body"].startswith('{"inds_stkpc":[{')
    assert "s3ntinel" not in text


@pytest.mark.parametrize(
    ("age", "target", "error"),
    [
        ("2 years", "KOSDAQ/139/KRX", "Unreadable: the answer is not UTF-8"),
        ("0 days", "KOSPI/013/KRX", ""),
    ],
)
async def test_an_export_finds_old_answers_and_those_beside_an_unreadable_one(
    database: Dsn, tmp_path: Path, age: str, target: str, error: str
):
    await collect(database, "truncated_json:sector=139")
    await execute(database, f"UPDATE collector.raw_unreadable SET slot = slot - INTERVAL '{age}'")
    done = await replay(database, tmp_path, "--export", str(tmp_path / "sample.json"), "--target", target)
    assert done.code == 0, done.err
    [sample] = json.loads((tmp_path / "sample.json").read_text())["answers"]
    assert (sample["target"], sample["error"]) == (target, error)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--from", "2026-11-20", "--to", "2026-11-19"), "--to lies before --from"),
        (("--from", "2020-01-02", "--to", "2020-01-03"), "no answers are kept yet"),
        (("--target", "KOSPI"), "is not a target"),
    ],
)
async def test_what_cannot_be_asked_is_refused(database: Dsn, tmp_path: Path, options, text: str):
    done = await replay(database, tmp_path, *options)
    assert done.code == 2
    assert text in done.err


KILLS = 3


@pytest.mark.extended
async def test_a_replay_that_is_killed_leaves_each_walk_as_it_was_or_as_it_becomes(
    database: Dsn, tmp_path: Path
) -> None:
    """Killed as soon as one more walk is replaced: somewhere in the next transaction."""
    slots = [OPEN + timedelta(minutes=5 * number) for number in range(4)]
    served = await collect(database, slots=slots)
    await execute(database, BUGS["prices ten times too high"])
    count = "SELECT count(*), count(DISTINCT (slot, market, sector)) FROM replay"
    env = environment("http://127.0.0.1:1", database)
    for killed in range(KILLS):
        async with (
            watched(database, "collector.replay") as replaced,
            started("replay", "--quiet", env=env, cwd=tmp_path) as process,
        ):
            await replaced.next_commit(process)
        assert await fetch(database, TORN) == []
        [(reached, different)] = await fetch(database, count)
        assert reached == different
        assert reached > killed
    assert (await replay(database, tmp_path)).code == 0
    assert await fetch(database, count) == [(12, 12)]
    walks = await stored_walks(database, [(slot, target) for slot in slots for target in TARGETS])
    for (_, target), rows in walks.items():
        assert rows == served[target]


EARLIER = """
INSERT INTO collector.raw_walk (slot, target, received_at, checksum, size, state, program, answers)
SELECT slot - $1::interval, target, received_at - $1::interval, checksum, size, state, program, answers
FROM collector.raw_walk
"""


@pytest.mark.extended
async def test_a_host_without_a_daemon_packs_and_drops_kept_answers(database: Dsn, tmp_path: Path) -> None:
    """`collector once` tends them: yesterday's are packed, those of nine days ago are dropped."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "collector.yaml").write_text(yaml(TARGETS), encoding="utf-8")
    async with Simulator(STILL) as simulator:
        env = environment(simulator.url, database)
        assert (await run("once", "--quiet", env=env, cwd=tmp_path)).code == 0
        [[today]] = await fetch(database, "SELECT (clock_timestamp() AT TIME ZONE 'Asia/Seoul')::date")
        for days in (1, 9):
            await execute(database, "SELECT collector.make_raw_days($1, 1)", today - timedelta(days=days))
            await execute(
                database, EARLIER + " WHERE slot > now() - INTERVAL '12 hours'", timedelta(days=days)
            )
        assert (await run("once", "--quiet", env=env, cwd=tmp_path)).code == 0
    packed = "SELECT count(*) FROM collector.raw_walk WHERE state = 2"
    assert await fetch(database, packed) == [(3,)]
    assert [day for [day] in await fetch(database, "SELECT day FROM collector.raw_days()")] == [
        today - timedelta(days=1), today, today + timedelta(days=1),
    ]  # fmt: skip
