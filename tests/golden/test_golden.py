"""The public face as files: help texts, schema `public`, metric names, log events.

A difference is either a mistake or a decision. `GOLDEN=write ./dev test tests/golden` writes the files anew; the
commit then shows what has changed.
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from collector.cli.main import VERBS
from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.model import Target
from kiwoom_simulator import Simulator
from tests.support import web_harness
from tests.support.command_process import config, environment, run
from tests.support.harness import STILL, fetch

HERE = Path(__file__).parent
FAULTS = (
    "extra_field:sector=139,rows=5",
    "padded_number:sector=139,rows=5",
    "rejected_15xx:sector=013,times=1",
    # A date beside the rows of OPEN would contradict them in the hours of KRX alone: the slot has the real date.
    "rejected_15xx:api=ka20009",
)
TARGETS = [
    Target.of("KOSDAQ", "139", "KRX"),
    Target.of("KOSPI", "013", "KRX"),
    Target.of("KOSPI", "005", "KRX"),
]
COLUMNS = """
SELECT table_name::text, column_name::text, data_type::text
FROM information_schema.columns
WHERE table_schema = 'public'
ORDER BY table_name, ordinal_position
"""
FUNCTIONS = """
SELECT p.proname::text, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
ORDER BY 1, 2
"""


def agree(name: str, text: str) -> None:
    """Compare a text with its golden file, or write the file if GOLDEN=write."""
    path = HERE / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("verb", ["", *VERBS])
async def test_help_stays(verb: str, tmp_path: Path) -> None:
    help_text = await run(*([verb] if verb else []), "--help", env=environment(COLUMNS="80"), cwd=tmp_path)
    assert help_text.err == ""
    agree(f"help/{verb or 'collector'}.txt", help_text.out)


def test_the_help_of_sql_names_all_views_and_functions() -> None:
    text = (HERE / "help" / "sql.txt").read_text(encoding="utf-8")
    schema = (HERE / "schema.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"^[a-z_]+", schema, re.MULTILINE))
    assert {"snapshot", "breadth"} <= names
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()


async def test_the_public_schema_stays(database: Dsn) -> None:
    columns = [f"{table}.{column} {kind}" for table, column, kind in await fetch(database, COLUMNS)]
    functions = [
        f"{name}({arguments}) -> {result}" for name, arguments, result in await fetch(database, FUNCTIONS)
    ]
    agree("schema.txt", "\n".join([*columns, "", *functions, ""]))


async def test_metric_names_and_labels_stay(database: Dsn) -> None:
    async with open_pool(database, size=3) as pool:
        await web_harness.fill(Database(pool, database))
    async with web_harness.page(database) as page:
        _, _, body = await web_harness.get(page.url, "/metrics")
    lines = body.decode().splitlines()
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    # The metrics of the process are the client library's, and not the same on every system.
    histograms = [name for name, kind in kinds.items() if kind == "histogram"]
    series = {shape(line, histograms) for line in lines if line and not line.startswith(("#", "process_"))}
    agree(
        "metrics.txt", "".join(f"{name} {kinds.get(name.partition('{')[0], '')}\n" for name in sorted(series))
    )


def shape(line: str, histograms: list[str]) -> str:
    """A series without its values: `name{label,label}`. The series of a histogram have one shape."""
    name, _, labels = line.rpartition(" ")[0].partition("{")
    names = sorted(part.partition("=")[0] for part in labels.rstrip("}").split(",") if "=" in part)
    for histogram in histograms:
        if name in (f"{histogram}_bucket", f"{histogram}_sum", f"{histogram}_count"):
            name, names = histogram, [label for label in names if label != "le"]
    return f"{name}{{{','.join(names)}}}" if names else name


@pytest.mark.usefixtures("warm")
async def test_log_events_of_a_sweep_stay(database: Dsn, tmp_path: Path) -> None:
    async with Simulator(replace(STILL, faults=FAULTS)) as simulator:
        path = config(tmp_path, *TARGETS, witness="on")
        env = environment(simulator.url, database)
        sweep = await run("once", "--config", str(path), env=env, cwd=tmp_path)
    events = [json.loads(line) for line in sweep.err.splitlines() if line.startswith("{")]
    events = [
        event for event in events if not event["event"].startswith("database.")
    ]  # depends on the server
    lines = {
        f"{event['event']} {event['level']} {','.join(sorted(event.keys() - {'event', 'level', 'timestamp'}))}"
        for event in events
    }
    agree("log_events.txt", "".join(f"{line}\n" for line in sorted(lines)))
