"""`collector replay` hears the stored answers of witnesses again."""

from datetime import timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.cli.test_replay import replay
from tests.support.harness import OPEN, STILL, execute, fetch
from tests.sweep.test_witness import witnessed

TARGETS = [
    Target.of("KOSDAQ", "139", "KRX"),
    Target.of("KOSPI", "013", "KRX"),
    Target.of("KOSPI", "027", "NXT"),
    Target.of("KOSPI", "027", "KRX"),
]
SLOTS = [OPEN, OPEN + timedelta(minutes=5)]
ENDS = "SELECT slot, sector, exchange, status, remarks, corroboration FROM walk ORDER BY 1, 2, 3"
SAID = "SELECT slot, sector, exchange, source, verdict, detail FROM witness ORDER BY 1, 2, 3, 4"
ROWS_LOST = """
DELETE FROM collector.snapshot WHERE position > 20;
UPDATE collector.walk SET rows = 20, digest = '\\x00', members = '\\x00', status = 'suspect',
    remarks = '{witness_members}', corroboration = 'contradicted' WHERE rows > 20;
UPDATE collector.witness SET verdict = 'contradicted', detail = 'a bug' WHERE source = 'ka10099'
"""


async def collect(database: Dsn, *faults: str) -> None:
    async with Simulator(STILL) as simulator:
        for slot in SLOTS:
            async with witnessed(database, simulator, *TARGETS, timeout="60s") as collector:
                simulator.api.faults.put(faults if slot == SLOTS[-1] else ())
                await collector.sweep(slot, "all", TARGETS)


@pytest.mark.parametrize("faults", [(), ("dropped_rows:sector=013",), ("zero_counts", "old_date")], ids=str)
async def test_answers_that_say_the_same_change_nothing(
    database: Dsn, tmp_path: Path, faults: tuple[str, ...]
) -> None:
    await collect(database, *faults)
    ends, said = await fetch(database, ENDS), await fetch(database, SAID)
    assert len(said) > 20
    done = await replay(database, tmp_path)
    assert (done.code, "0 changed; 8 the same" in done.out) == (0, True), done.out
    assert await fetch(database, ENDS) == ends


async def test_a_walk_that_a_bug_had_contradicted_is_corroborated_again(
    database: Dsn, tmp_path: Path
) -> None:
    await collect(database)
    ends, said = await fetch(database, ENDS), await fetch(database, SAID)
    assert {(end[3], end[5]) for end in ends} == {("complete", "corroborated")}
    await execute(database, ROWS_LOST)
    done = await replay(database, tmp_path)
    assert done.code == 0, done.err
    assert "corroboration contradicted -> corroborated" in done.out
    assert await fetch(database, ENDS) == ends
    assert await fetch(database, SAID) == said


async def test_an_accepted_walk_stays_accepted(database: Dsn, tmp_path: Path) -> None:
    await collect(database, "dropped_rows:sector=013")
    await execute(
        database,
        "UPDATE collector.walk SET status = 'complete', remarks = '{accepted}' WHERE status = 'suspect'",
    )
    before = [end[:5] for end in await fetch(database, ENDS)]
    done = await replay(database, tmp_path)
    assert done.code == 0, done.err
    assert [end[:5] for end in await fetch(database, ENDS)] == before


async def test_without_answers_of_witnesses_their_stored_word_stays(database: Dsn, tmp_path: Path) -> None:
    await collect(database, "dropped_rows:sector=013")
    await execute(database, "DELETE FROM collector.witness")
    ends = await fetch(database, ENDS)
    done = await replay(database, tmp_path)
    assert (done.code, "0 changed; 8 the same" in done.out) == (0, True)
    assert await fetch(database, ENDS) == ends
