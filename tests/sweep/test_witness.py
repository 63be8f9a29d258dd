"""Whole sweeps with second sources beside them: a database, a simulator, and the faults that mislead a witness."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from collector import config
from collector.base.resources import path
from collector.cli import bootstrap
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.market.calendar import load
from collector.model import Status, Sweep, Target
from collector.sweep.sweeper import Collector
from kiwoom_simulator import Simulator
from tests.support.harness import OPEN, STILL, collecting, execute, fetch, yaml

ELECTRIC = Target.of("KOSPI", "013", "KRX")
CHEMICAL = Target.of("KOSDAQ", "119", "KRX")
ON_NXT = Target.of("KOSDAQ", "119", "NXT")
BOTH = Target.of("KOSDAQ", "119", "CONSOLIDATED")
DEPARTMENT = Target.of("KOSDAQ", "143", "KRX")
UMBRELLA = Target.of("KOSPI", "027", "KRX")
TARGETS = (ELECTRIC, CHEMICAL, ON_NXT, BOTH, DEPARTMENT, UMBRELLA)
VERDICTS = (
    "SELECT market || '/' || sector || '/' || exchange, status, corroboration FROM walk WHERE slot = $1"
)
WITNESSES = ("ka10099", "ka20003", "ka20009")


def calendar_of(name: str = "calendar.yaml") -> Any:
    file = path("config", name)
    return load(file.read_bytes(), str(file))


@asynccontextmanager
async def witnessed(
    address: Dsn, simulator: Simulator, *targets: Target, **api: Any
) -> AsyncIterator[Collector]:
    """A collector whose sweeps are witnessed."""
    settings = config.parse(yaml(targets, witness="on").encode(), "stand.yaml", base_url=simulator.url)
    async with collecting(address, simulator.url, *targets, **api) as plain:
        yield replace(plain, witness=bootstrap.make_witness(plain, settings, calendar_of()))


async def swept(
    address: Dsn,
    simulator: Simulator,
    *faults: str,
    targets: Sequence[Target] = TARGETS,
    slot: datetime = OPEN,
) -> Sweep:
    simulator.api.faults.put(faults)
    simulator.api.book.since(0)
    async with witnessed(address, simulator, *targets, timeout="60s") as collector:
        return await collector.sweep(slot, "all", targets)


async def verdicts(address: Dsn, slot: datetime = OPEN) -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in await fetch(address, VERDICTS, slot)}


def asked(simulator: Simulator) -> Counter[str]:
    """Requests of witnesses that came, by api-id."""
    arrivals = [arrival["api_id"] for arrival in simulator.api.book.since(0)]
    return Counter(api_id for api_id in arrivals if api_id in WITNESSES)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(STILL) as playing:
        yield playing


async def test_a_true_sweep_is_corroborated(database: Dsn, simulator: Simulator) -> None:
    sweep = await swept(database, simulator)
    assert sweep.is_whole
    assert sweep.session == OPEN.date()
    ledger = await verdicts(database)
    assert {target for target, end in ledger.items() if end != ("complete", "corroborated")} == set()
    assert sum(asked(simulator).values()) <= 6
    listed = await fetch(database, "SELECT count(*), count(DISTINCT kind) FROM listing_fact")
    assert listed == [(2_477 + 1_821, 7)]


def cut(target: Target) -> str:
    """A list that ends cleanly after its first page."""
    return f"early_end:sector={target.sector},exchange={target.exchange}"


@pytest.mark.extended
async def test_the_first_sweep_certifies_no_list_that_was_cut_at_a_page_border(
    database: Dsn, simulator: Simulator
) -> None:
    targets = [CHEMICAL, ON_NXT, BOTH, UMBRELLA, Target.of("KOSPI", "001", "NXT")]
    sweep = await swept(database, simulator, "early_end", targets=targets)
    assert {str(outcome.status) for outcome in sweep.outcomes} <= {"suspect", "complete"}
    cut_short = [outcome for outcome in sweep.outcomes if outcome.rows == 100]
    assert len(cut_short) >= 4
    assert {outcome.status for outcome in cut_short} == {Status.SUSPECT}
    ledger = await verdicts(database)
    for outcome in cut_short:
        assert ledger[str(outcome.target)] == ("suspect", "contradicted")
        assert outcome.testimony


@pytest.mark.extended
async def test_a_member_missing_from_the_first_walk_is_named(database: Dsn, simulator: Simulator) -> None:
    sweep = await swept(database, simulator, "dropped_rows:sector=013", targets=[ELECTRIC])
    (outcome,) = sweep.outcomes
    assert outcome.status is Status.SUSPECT
    assert "witness_members" in outcome.remarks
    served = {row["stk_cd"] for row in simulator.rows(ELECTRIC)}
    rows = await fetch(database, "SELECT symbol FROM snapshot WHERE slot = $1", OPEN)
    (lost,) = served - {row[0] for row in rows}
    assert lost in outcome.testimony


@pytest.mark.extended
@pytest.mark.parametrize(
    ("fault", "source"),
    [
        ("listings_truncated:rows=500", "ka10099"),
        ("empty_list:api=ka20003", None),
        ("text_counts", "ka20003"),
        ("old_date", "ka20009"),
        ("http_5xx:api=ka10099", None),
        ("listings_truncated", None),
        ("listings_doubled", "ka10099"),
        ("listings_of_other_board", "ka10099"),
        ("empty_list:api=ka10099", None),
        ("empty_list:api=ka20009", None),
        ("zero_counts", "ka20003"),
        ("lagging_counts", None),
        ("off_hours_volume", None),
        ("future_date", None),
        ("throttle_429:api=ka20003", None),
    ],
)
async def test_an_odd_witness_suspects_nothing(
    database: Dsn, simulator: Simulator, capsys: pytest.CaptureFixture[str], fault: str, source: str | None
) -> None:
    """`source` is the witness that a warning must name; the other faults are named or not, as it happens."""
    sweep = await swept(database, simulator, fault, targets=[CHEMICAL, ON_NXT])
    assert {outcome.status for outcome in sweep.outcomes} == {Status.COMPLETE}
    assert "contradicted" not in {verdict for _, verdict in (await verdicts(database)).values()}
    assert sum(asked(simulator).values()) <= 6
    served = sum(len(simulator.rows(target)) for target in (CHEMICAL, ON_NXT))
    assert await fetch(database, "SELECT count(*) FROM snapshot") == [(served,)]
    if source:
        said = capsys.readouterr().out.splitlines()
        [line] = [line for line in said if "witness.odd" in line or "witness.silent" in line]
        assert source in line


@pytest.mark.extended
async def test_a_closure_that_the_calendar_does_not_know_is_found_in_the_first_slot(database: Dsn) -> None:
    async with Simulator(replace(STILL, closed=True)) as simulator:
        sweep = await swept(database, simulator, targets=[CHEMICAL, ON_NXT])
    assert sweep.session == OPEN.date() - timedelta(days=1)
    for outcome in sweep.outcomes:
        assert (outcome.status, outcome.remarks) == (Status.SUSPECT, ("witness_date",))
    judged = await fetch(database, "SELECT verdict, judged_by, status FROM judgement")
    assert judged == [("witness_date", "ka20009", "complete")] * 2


@pytest.mark.extended
async def test_a_known_list_is_not_asked_for_again(database: Dsn, simulator: Simulator) -> None:
    await swept(database, simulator, targets=[CHEMICAL], slot=OPEN - timedelta(minutes=5))
    before = asked(simulator)
    await swept(database, simulator, targets=[CHEMICAL])
    assert before["ka10099"] == asked(simulator)["ka10099"] == 1


@pytest.mark.extended
async def test_a_member_lost_within_the_day_contradicts_a_known_list(
    database: Dsn, simulator: Simulator
) -> None:
    await swept(database, simulator, targets=[CHEMICAL], slot=OPEN - timedelta(minutes=5))
    sweep = await swept(database, simulator, "dropped_rows:sector=119,page=1", targets=[CHEMICAL])
    (outcome,) = sweep.outcomes
    assert outcome.status is Status.SUSPECT
    assert (await verdicts(database))[str(CHEMICAL)] == ("suspect", "contradicted")


@pytest.mark.extended
async def test_breadth_and_index_agree_with_the_members(database: Dsn, simulator: Simulator) -> None:
    await swept(database, simulator, targets=[ELECTRIC])
    (breadth,) = await fetch(
        database,
        "SELECT advancers, unchanged, decliners, cap_change_percent FROM breadth_of($1, '013')",
        OPEN,
    )
    (counts,) = await fetch(
        database,
        "SELECT advancers, unchanged, decliners FROM witness WHERE sector = '013' AND source = 'ka20003'",
    )
    assert breadth[:3] == counts
    (pair,) = await fetch(database, "SELECT * FROM index_against_members($1, '013')", OPEN)
    _, _, of_members, difference, members, rows = pair
    assert (members, rows) == (81, 81)
    assert abs(difference) <= Decimal("0.01")
    assert of_members == breadth[3]


@pytest.mark.extended
async def test_witnesses_that_disagree_are_both_kept_and_neither_is_believed(
    database: Dsn, simulator: Simulator
) -> None:
    like = simulator.rows(CHEMICAL)[0]["stk_cd"]
    await swept(database, simulator, targets=[CHEMICAL], slot=OPEN - timedelta(minutes=5))
    await execute(database, "DELETE FROM collector.board_list")
    sweep = await swept(database, simulator, f"listings_stranger:like={like}", targets=[CHEMICAL])
    (outcome,) = sweep.outcomes
    assert (outcome.status, outcome.remarks) == (Status.COMPLETE, ())
    assert (await verdicts(database))[str(CHEMICAL)] == ("complete", "unchecked")
    said = await fetch(
        database, "SELECT source, verdict, detail FROM witness WHERE slot = $1 ORDER BY source", OPEN
    )
    assert [line[:2] for line in said] == [
        ("ka10099", "contradicted"), ("ka20003", "corroborated"), ("ka20009", "corroborated"),
    ]  # fmt: skip
    assert "not in the walk: 999990" in said[0][2]
    rows = "SELECT count(*) FROM snapshot WHERE slot = $1"
    assert await fetch(database, rows, OPEN) == [(len(simulator.rows(CHEMICAL)),)]


@pytest.mark.extended
async def test_a_sweep_does_not_wait_for_what_is_known_of_its_witnesses(
    database: Dsn, simulator: Simulator
) -> None:
    stored = "SELECT count(*) FROM walk WHERE slot = $1"
    await swept(database, simulator, targets=[CHEMICAL], slot=OPEN - timedelta(minutes=5))
    async with (
        connect(database) as other,
        witnessed(database, simulator, CHEMICAL, timeout="60s") as collector,
    ):
        async with other.transaction():
            await other.execute("LOCK TABLE collector.witness_offset IN ACCESS EXCLUSIVE MODE")
            sweep = asyncio.create_task(collector.sweep(OPEN, "all", [CHEMICAL]))
            while await fetch(database, stored, OPEN) == [(0,)]:  # noqa: ASYNC110 - a table is watched
                await asyncio.sleep(0.01)
        await sweep
    assert (await verdicts(database))[str(CHEMICAL)][0] == "complete"
