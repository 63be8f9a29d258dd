"""Later changes of ledger lines, as `collector gaps` and `collector status` show them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from collector.db.dsn import Dsn
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support.command_process import environment, run
from tests.support.harness import OPEN, STILL, collecting, execute, fetch, yaml

TARGETS = [Target.of("KOSPI", "013", "KRX"), Target.of("KOSPI", "005", "KRX")]
SCHEDULE = 'schedules:\n  once: {universe: all, at: "11:00"}\n'
CONTRADICT = """
SELECT collector.judge_again(t.id, ARRAY[$1::timestamptz], 'complete', 'suspect', 'witness_count', 'ka20003')
FROM collector.target AS t
WHERE t.sector = '013'
"""
MISSED = """
UPDATE collector.walk SET status = 'missed', repaired_at = $1
WHERE target = (SELECT id FROM collector.target WHERE sector = '005')
"""


@pytest.fixture
async def changed(database: Dsn, tmp_path: Path) -> dict[str, str]:
    """A walk that a witness contradicted, and a missed one that was repaired; the environment of a command."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "collector.yaml").write_text(yaml(TARGETS) + SCHEDULE, encoding="utf-8")
    async with (
        Simulator(STILL) as simulator,
        collecting(database, simulator.url, *TARGETS) as collector,
    ):
        await collector.sweep(OPEN, "all", TARGETS)
    await execute(database, CONTRADICT, OPEN)
    await execute(database, MISSED, OPEN + timedelta(hours=14))
    return environment("http://127.0.0.1:1", database)


@pytest.mark.extended
async def test_a_gap_shows_the_changes_of_its_line(changed: dict[str, str], tmp_path: Path) -> None:
    period = ("--from", "2026-11-20", "--to", "2026-11-20")
    listed = await run("gaps", *period, "--format", "json", env=changed, cwd=tmp_path)
    assert listed.code == 1, listed.err
    history = {gap["sector"]: gap["history"] for gap in json.loads(listed.out)}
    assert history["005"] == "2026-11-21 01:00 repaired"
    assert history["013"].endswith(" witness_count, was complete")
    table = await run("gaps", *period, env=changed, cwd=tmp_path)
    assert "repaired)" in table.out


@pytest.mark.extended
async def test_status_shows_the_newest_changes(
    database: Dsn, changed: dict[str, str], tmp_path: Path
) -> None:
    found = await run("status", "--json", env=changed, cwd=tmp_path)
    [change] = json.loads(found.out)["changes"]
    assert (change["event"], change["changed_by"]) == ("witness_count", "ka20003")
    assert (change["status_before"], change["status"]) == ("complete", "suspect")
    shown = await run("status", env=changed, cwd=tmp_path)
    assert "KOSPI/013/KRX: witness_count by ka20003, complete -> suspect" in shown.out
    events = "SELECT event, status FROM walk_history ORDER BY event"
    assert await fetch(database, events) == [("repaired", "missed"), ("witness_count", "complete")]


@pytest.mark.extended
async def test_a_replay_is_a_change(database: Dsn, changed: dict[str, str], tmp_path: Path) -> None:
    await execute(database, "UPDATE collector.walk SET digest = '\\x00' WHERE status = 'suspect'")
    assert (await run("replay", "--quiet", env=changed, cwd=tmp_path)).code == 0
    assert ("replayed", "suspect") in await fetch(database, "SELECT event, status FROM walk_history")
