"""What each storage layout costs: bytes a row, speed of COPY, seconds a question takes.

    python -m bench layout [--rows N] [--rounds N] [--only KEY,KEY]

All candidates in one run on one private server, in turns, medians of the rounds. The walks of one day are
stored as the program stores them: four at a time, each in one transaction with its line in the ledger. Days
before and after it have partitions too, so that leaving them out is worth something. COLLECTOR_PG_BIN names
another PostgreSQL to run it on.
"""

import argparse
import asyncio
import io
import json
import random
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.candidates import AROUND, CANDIDATES, Candidate
from bench.day import DAY, ROWS, TARGETS, Listings, Walked, boards, listings, walks
from bench.streams import HEAD, TAIL
from collector.db import embedded
from collector.db.dsn import Dsn

AT_ONCE = 4
"""Walks under way at the same time."""
TIMES = 40
WARMING = 3
LONGEST = 1.5
"""Each question is asked so often in a round, the first few times unmeasured, and for so many seconds."""
TABLE = f"quote_{DAY:%Y%m%d}"
_NEXT = DAY + timedelta(days=1)
QUESTIONS = {
    "one target": """
SELECT symbol, name, price, change_percent, volume
FROM snapshot
WHERE slot = '{slot}' AND market = 'KOSPI' AND sector = '001' AND exchange = 'KRX'
""",
    "small target": """
SELECT symbol, name, price, change_percent, volume
FROM snapshot
WHERE slot = '{slot}' AND market = 'KOSDAQ' AND sector = '101' AND exchange = 'NXT'
""",
    "one listing": f"""
SELECT slot, exchange, price, volume
FROM snapshot
WHERE symbol = '{{symbol}}' AND slot >= '{DAY}' AND slot < '{_NEXT}'
""",
    "latest": "SELECT * FROM latest",
}
_WALK = """
INSERT INTO walk (slot, target, number, status, page_starts, page_times)
VALUES ($1, $2, $3, 'complete', $4, $5)
"""
_HEAP = "SELECT pg_table_size($1::regclass)"
_INDEXES = """
SELECT c.relname, pg_relation_size(c.oid)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = $1::regclass
"""
_SUMMARIZE = f"""
SELECT brin_summarize_new_values(c.oid)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_am AS a ON a.oid = c.relam
WHERE a.amname = 'brin' AND i.indrelid = '{TABLE}'::regclass
"""

Load = Sequence[tuple[Walked, bytes]]


@dataclass(slots=True)
class Measured:
    """What came out for one candidate. Speeds are rows a second, one a round; questions in milliseconds."""

    heap: float = 0.0
    indexes: dict[str, float] = field(default_factory=dict)
    wal: float = 0.0
    walked: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    asked: dict[str, list[float]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    """Partitions that the plan of each question reads."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench layout")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="candidates by key, with commas")
    wanted = parser.parse_args(arguments)
    keys = [key for key in wanted.only.split(",") if key]
    chosen = [candidate for candidate in CANDIDATES if candidate.key in keys or not keys]
    slots = max(2, round(wanted.rows / ROWS))
    asyncio.run(_measure(chosen, slots, wanted.rounds))


async def _measure(chosen: Sequence[Candidate], slots: int, rounds: int) -> None:
    known = listings()
    shown = list(boards(known, slots))
    results = {candidate.key: Measured() for candidate in chosen}
    with tempfile.TemporaryDirectory() as home:
        async with embedded.running(Path(home)) as address:
            for candidate in chosen:
                await _create(address, candidate, known, shown)
            day = list(walks(DAY, shown, known))
            loads = {encode: [(walk, encode(walk)) for walk in day] for encode in {c.encode for c in chosen}}
            for _ in range(rounds):
                for candidate in chosen:
                    await _store(address, candidate, loads[candidate.encode], results[candidate.key])
            for _ in range(rounds):
                for candidate in chosen:
                    await _ask(address, candidate, known, results[candidate.key])
            version = await _version(address)
    print_table(results, chosen, f"PostgreSQL {version}, {slots * ROWS:,} rows, {rounds} rounds")


async def _version(address: Dsn) -> str:
    async with _session(address) as connection:
        return str(await connection.fetchval("SHOW server_version")).split()[0]


@asynccontextmanager
async def _session(
    address: Dsn, candidate: Candidate | None = None
) -> AsyncIterator["asyncpg.Connection[Any]"]:
    settings = {"search_path": candidate.schema} if candidate else {}
    connection = await asyncpg.connect(
        host=address.host, user=address.user, database=address.database, server_settings=settings
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _create(address: Dsn, candidate: Candidate, known: Listings, shown: Sequence[Any]) -> None:
    async with _session(address, candidate) as connection:
        await connection.execute(f"CREATE SCHEMA {candidate.schema}")
        await connection.execute(AROUND + candidate.table + candidate.indexes + candidate.views)
        targets = [(number, *target) for number, target in TARGETS.items()]
        await connection.copy_records_to_table("target", records=targets)
        ids = [(number, *names) for names, number in known.items()]
        await connection.copy_records_to_table("listing", records=ids)
        for statement in _partitions(candidate):
            await connection.execute(statement)
        for days in (3, 2, 1):
            for walk in walks(DAY - timedelta(days=days), shown[:2], known):
                await _enter(connection, candidate, walk, candidate.encode(walk))
        await connection.execute("ANALYZE")


def _partitions(candidate: Candidate) -> Iterator[str]:
    for days in range(-3, 4):
        day = DAY + timedelta(days=days)
        name = f"quote_{day:%Y%m%d}"
        if candidate.cut_by:
            first, last = (_border(candidate, day + timedelta(days=more)) for more in (0, 1))
            yield f"CREATE TABLE {name} PARTITION OF quote FOR VALUES FROM ({first}) TO ({last})"
    if not candidate.cut_by:
        yield f"ALTER TABLE quote RENAME TO {TABLE}; CREATE VIEW quote AS SELECT * FROM {TABLE}"


def _border(candidate: Candidate, day: datetime) -> str:
    return f"'{day}'" if candidate.cut_by == "slot" else str(day.toordinal() % 10_000 * 100_000)


async def _enter(
    connection: "asyncpg.Connection[Any]", candidate: Candidate, walk: Walked, stream: bytes
) -> None:
    """Store one walk: its line in the ledger and its rows, in one transaction."""
    times = [walk.slot + timedelta(milliseconds=200 * page) for page in range(len(walk.starts))]
    async with connection.transaction():
        await connection.execute(_WALK, walk.slot, walk.target, walk.number, walk.starts, times)
        table = f"quote_{walk.slot.astimezone(DAY.tzinfo):%Y%m%d}" if candidate.cut_by else TABLE
        await _copy(connection, table, [stream])


async def _copy(connection: "asyncpg.Connection[Any]", table: str, parts: Sequence[bytes]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    await connection.copy_to_table(table, source=source(), format="binary")


async def _store(address: Dsn, candidate: Candidate, load: Load, result: Measured) -> None:
    """Store the day three times over: without indexes, as psql's \\copy would, and walk by walk."""
    rows = sum(len(walk.rows) for walk, _ in load)
    async with _session(address, candidate) as connection:
        result.bare.append(rows / await _bare(connection, load))
        result.copied.append(rows / await _as_text(connection))
        await connection.execute(f"TRUNCATE {TABLE}; CHECKPOINT")
        await connection.execute("DELETE FROM walk WHERE slot >= $1", DAY)
        before = await connection.fetchval("SELECT pg_current_wal_lsn()::text")
        result.walked.append(rows / await _by_walks(address, candidate, load))
        wal = await connection.fetchval(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::text::pg_lsn)", before
        )
        await connection.execute(_SUMMARIZE)
        await connection.execute("ANALYZE")
        result.wal = float(wal) / rows
        result.heap = await connection.fetchval(_HEAP, TABLE) / rows
        result.indexes = {name: size / rows for name, size in await connection.fetch(_INDEXES, TABLE)}


async def _bare(connection: "asyncpg.Connection[Any]", load: Load) -> float:
    await connection.execute(f"CREATE TABLE bare (LIKE {TABLE}); CHECKPOINT")
    body = [stream[len(HEAD) : -len(TAIL)] for _, stream in load]
    start = time.perf_counter()
    await _copy(connection, "bare", [HEAD, *body, TAIL])
    return time.perf_counter() - start


async def _as_text(connection: "asyncpg.Connection[Any]") -> float:
    text = io.BytesIO()
    await connection.copy_from_table("bare", output=text)
    await connection.execute(f"DROP TABLE bare; TRUNCATE {TABLE}; CHECKPOINT")
    text.seek(0)
    start = time.perf_counter()
    await connection.copy_to_table(TABLE, source=text)
    return time.perf_counter() - start


async def _by_walks(address: Dsn, candidate: Candidate, load: Load) -> float:
    waiting = iter(load)

    async def work(connection: "asyncpg.Connection[Any]") -> None:
        for walk, stream in waiting:
            await _enter(connection, candidate, walk, stream)

    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(_session(address, candidate)) for _ in range(AT_ONCE)]
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(work(session))
        return time.perf_counter() - start


async def _ask(address: Dsn, candidate: Candidate, known: Listings, result: Measured) -> None:
    chance = random.Random(7)
    symbols = [symbol for symbol, _ in known]
    async with _session(address, candidate) as connection:
        there = [
            row[0] for row in await connection.fetch("SELECT DISTINCT slot FROM walk WHERE slot >= $1", DAY)
        ]
        for name, question in QUESTIONS.items():
            asked = (
                question.format(slot=chance.choice(there), symbol=chance.choice(symbols))
                for _ in range(TIMES)
            )
            result.asked.setdefault(name, []).extend(await _timed(connection, asked))
            plan = question.format(slot=there[0], symbol=symbols[0])
            result.read[name] = await _partitions_read(connection, plan)


async def _timed(connection: "asyncpg.Connection[Any]", questions: Iterator[str]) -> list[float]:
    """Milliseconds from asking to the last row's arrival as text, planning and all; the first warm up."""
    took = []
    until = time.perf_counter() + LONGEST
    for question in questions:
        start = time.perf_counter()
        await connection.execute(question)
        took.append((time.perf_counter() - start) * 1000)
        if time.perf_counter() > until and len(took) > 2 * WARMING:
            break
    return took[WARMING:]


async def _partitions_read(connection: "asyncpg.Connection[Any]", question: str) -> int:
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}")
    return len(set(_read(json.loads(plan)[0]["Plan"])))


def _read(node: dict[str, Any]) -> Iterator[str]:
    if node["Actual Loops"] and re.fullmatch(r"quote_\d+", node.get("Relation Name", "")):
        yield node["Relation Name"]
    for below in node.get("Plans", ()):
        yield from _read(below)


def print_table(results: dict[str, Measured], chosen: Sequence[Candidate], title: str) -> None:
    """One line a candidate; bytes a row, thousands of rows a second, milliseconds as median / p95."""
    table = Table(title=title)
    for heading in ("", "layout"):
        table.add_column(heading)
    for heading in ("heap", "by listing", "by walk, key", "B a row", "WAL", "rows/s", "÷ bare", "÷ \\copy"):
        table.add_column(heading, justify="right")
    for heading in (*QUESTIONS, "days read"):
        table.add_column(heading, justify="right")
    for candidate in chosen:
        result = results[candidate.key]
        table.add_row(candidate.key, candidate.title, *_stored(result), *_asked(result))
    Console(width=200).print(table)


def _stored(result: Measured) -> Iterator[str]:
    by_listing = sum(size for name, size in result.indexes.items() if "listing" in name)
    others = sum(result.indexes.values()) - by_listing
    for size in (result.heap, by_listing, others, result.heap + by_listing + others, result.wal):
        yield f"{size:.1f}"
    yield f"{median(result.walked) / 1000:.0f} k"
    for speeds in (result.bare, result.copied):
        yield f"{median(ours / theirs for ours, theirs in zip(result.walked, speeds, strict=True)):.2f}"


def _asked(result: Measured) -> Iterator[str]:
    for took in result.asked.values():
        yield f"{median(took):.1f} / {sorted(took)[int(len(took) * 0.95)]:.1f}"
    yield " ".join(str(days) for days in result.read.values())
