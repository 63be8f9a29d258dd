"""`collector replay` hears the stored answers of witnesses again."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.cli.test_replay import replay
from tests.support.harness import OPEN, STILL, execute, fetch
from tests.support.prepared_databases import PreparedDatabases
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


LOST = ("dropped_rows:sector=013",)


@pytest.fixture
def faults() -> tuple[str, ...]:
    """Of the second sweep; none unless the test says so."""
    return ()


@pytest.fixture
async def swept(prepared: PreparedDatabases, faults: tuple[str, ...]) -> AsyncIterator[Dsn]:
    """A database with two witnessed sweeps."""

    async def fill(database: Dsn) -> None:
        await collect(database, *faults)

    async with prepared.copy((__name__, faults), fill) as (database, _):
        yield database


@pytest.mark.extended
@pytest.mark.parametrize(
    "faults",
    [(), LOST, pytest.param(("zero_counts", "old_date"))],
    ids=str,
)
async def test_answers_that_say_the_same_change_nothing(
    swept: Dsn, tmp_path: Path, faults: tuple[str, ...]
) -> None:
    database = swept
    ends, said = await fetch(database, ENDS), await fetch(database, SAID)
    assert len(said) > 20
    done = await replay(database, tmp_path)
    assert (done.code, "0 changed; 8 the same" in done.out) == (0, True), done.out
    assert await fetch(database, ENDS) == ends


@pytest.mark.extended
async def test_a_walk_that_a_bug_had_contradicted_is_corroborated_again(swept: Dsn, tmp_path: Path) -> None:
    database = swept
    ends, said = await fetch(database, ENDS), await fetch(database, SAID)
    assert {(end[3], end[5]) for end in ends} == {("complete", "corroborated")}
    await execute(database, ROWS_LOST)
    done = await replay(database, tmp_path)
    assert done.code == 0, done.err
    assert "corroboration contradicted -> corroborated" in done.out
    assert await fetch(database, ENDS) == ends
    assert await fetch(database, SAID) == said


@pytest.mark.extended
@pytest.mark.parametrize("faults", [LOST], ids=str)
async def test_an_accepted_walk_stays_accepted(swept: Dsn, tmp_path: Path) -> None:
    database = swept
    await execute(
        database,
        "UPDATE collector.walk SET status = 'complete', remarks = '{accepted}' WHERE status = 'suspect'",
    )
    before = [end[:5] for end in await fetch(database, ENDS)]
    done = await replay(database, tmp_path)
    assert done.code == 0, done.err
    assert [end[:5] for end in await fetch(database, ENDS)] == before


@pytest.mark.parametrize("faults", [LOST], ids=str)
async def test_without_answers_of_witnesses_their_stored_word_stays(swept: Dsn, tmp_path: Path) -> None:
    database = swept
    await execute(database, "DELETE FROM collector.witness")
    ends = await fetch(database, ENDS)
    done = await replay(database, tmp_path)
    assert (done.code, "0 changed; 8 the same" in done.out) == (0, True)
    assert await fetch(database, ENDS) == ends
