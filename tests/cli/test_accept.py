"""`collector accept` as a process: what it certifies, what it refuses, and what it keeps of it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Certificate, Remark, Status, Target
from tests.db.test_snapshots import KOSDAQ, KOSPI, SLOT, storing
from tests.support.command_process import environment, run
from tests.support.harness import execute, fetch, reading, snapshots

MISSED = Target.of("KOSPI", "013", "KRX")
SUSPECT = Certificate(Status.SUSPECT, (Remark.ROW_COUNT,))
STATES = "SELECT market, status, remarks FROM walk WHERE slot = $1 ORDER BY market DESC, sector"


async def prepare(database: Dsn, *, failed: Sequence[Target] = ()) -> None:
    """Two suspect walks at SLOT, and those of `failed`; a complete one five minutes before."""
    async with storing(database) as store:
        await store.registry.register_targets([MISSED])
        await store.save_walk(
            reading(KOSPI, SLOT - timedelta(minutes=5), snapshots(100)), Certificate(Status.COMPLETE)
        )
        await store.save_walk(reading(KOSPI, SLOT, snapshots(70)), SUSPECT, expected=100)
        await store.save_walk(reading(KOSDAQ, SLOT, snapshots(30)), SUSPECT)
        for target in failed:
            await store.save_failure(SLOT, target, error="Rejected: no", attempts=1)


@pytest.mark.extended
async def test_the_operators_word_certifies_and_later_walks_are_judged_by_it(
    database: Dsn, tmp_path: Path
) -> None:
    await prepare(database)
    env = environment("http://127.0.0.1:1", database)
    tried = await run("accept", "2026-11-20T11:00", "--dry-run", env=env, cwd=tmp_path)
    assert tried.code == 0
    assert await fetch(database, STATES, SLOT) == [
        ("KOSPI", "suspect", ["row_count"]),
        ("KOSDAQ", "suspect", ["row_count"]),
    ]
    done = await run("accept", "2026-11-20T11:00", "--by", "J. Kim", env=env, cwd=tmp_path)
    assert done.code == 0
    assert "KOSPI/001/KRX accepted by J. Kim: 70 rows; row_count: 70 rows where 100 were expected" in done.out
    assert await fetch(database, STATES, SLOT) == [
        ("KOSPI", "complete", ["row_count", "accepted"]),
        ("KOSDAQ", "complete", ["row_count", "accepted"]),
    ]
    kept = "SELECT DISTINCT judged_by, verdict, status FROM judgement"
    assert await fetch(database, kept) == [("J. Kim", "accepted", "suspect")]
    assert await fetch(database, "SELECT count(*) FROM latest") == [(100,)]
    async with storing(database, slot=None) as store:
        assert (await store.baselines(SLOT + timedelta(minutes=5), [KOSPI]))[KOSPI].rows == 70
    again = await run("accept", "2026-11-20T11:00", env=env, cwd=tmp_path)
    assert (again.code, "nothing to accept" in again.out) == (0, True)


async def test_one_target_is_accepted_alone_under_the_name_of_its_user(database: Dsn, tmp_path: Path) -> None:
    await prepare(database)
    env = environment("http://127.0.0.1:1", database)
    done = await run("accept", "2026-11-20T02:00Z", "--target", "KOSDAQ/101/NXT", env=env, cwd=tmp_path)
    assert done.code == 0
    assert [line[:2] for line in await fetch(database, STATES, SLOT)] == [
        ("KOSPI", "suspect"),
        ("KOSDAQ", "complete"),
    ]
    [[by]] = await fetch(database, "SELECT judged_by FROM judgement")
    user, at, host = by.partition("@")
    assert user
    assert (at, bool(host)) == ("@", True)


async def test_what_failed_cannot_be_accepted(database: Dsn, tmp_path: Path) -> None:
    await prepare(database, failed=[MISSED])
    env = environment("http://127.0.0.1:1", database)
    alone = await run("accept", "2026-11-20T11:00", "--target", str(MISSED), env=env, cwd=tmp_path)
    assert alone.code == 2
    assert "KOSPI/013/KRX is failed: it has no stored rows" in alone.err
    rest = await run("accept", "2026-11-20T11:00", env=env, cwd=tmp_path)
    assert rest.code == 1
    assert "KOSPI/013/KRX failed: Rejected: no" in rest.err
    assert [state for _, state, _ in await fetch(database, STATES, SLOT)] == [
        "complete",
        "failed",
        "complete",
    ]


@pytest.mark.extended
async def test_a_slot_that_is_not_there_is_refused_with_the_nearest_suspect_ones(
    database: Dsn, tmp_path: Path
) -> None:
    await prepare(database)
    env = environment("http://127.0.0.1:1", database)
    for words in (["2026-11-20T11:01"], ["2026-11-20T11:00", "--target", "KOSPI/999/KRX"]):
        found = await run("accept", *words, env=env, cwd=tmp_path)
        assert found.code == 2
        assert "the ledger has no walk of" in found.err
        assert "2026-11-20T11:00:00 KOSPI/001/KRX" in found.err
    for words in (["yesterday"], ["2026-11-20T11:00", "--target", "KOSPI"]):
        assert (await run("accept", *words, env=env, cwd=tmp_path)).code == 2
    assert await fetch(database, "SELECT * FROM judgement") == []


async def test_a_walk_whose_rows_are_gone_is_not_accepted(database: Dsn, tmp_path: Path) -> None:
    await prepare(database)
    await execute(database, "DELETE FROM collector.snapshot WHERE slot = $1", SLOT)
    env = environment("http://127.0.0.1:1", database)
    found = await run("accept", "2026-11-20T11:00", env=env, cwd=tmp_path)
    assert found.code == 2
    assert "0 of its 30 rows are in the database" in found.err
    assert "collector restore 2026-11-20" in found.err
    assert await fetch(database, "SELECT * FROM judgement") == []
