"""The collector beside what people use instead, on the same pages and the same PostgreSQL, in turn.

    python -m bench peers [--rounds N] [--in-flight N] [--only NAME ...]

Each peer is a script in this folder, written as its own documentation shows it, in an environment of its own
(`.bench/NAME`, made when it is first needed, with the versions in NAME.txt). It is given the URL of the pages, the
DSN of an empty database and how many requests may be under way; it stores every row as the API sends it, and prints
how long the work took, imports left out. CPU is that of all its processes from their start, memory that of its
largest. It knows nothing of ours, and ours does more: it certifies, types and keeps books.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.contenders import EXPECTED
from bench.pipeline import LATENCY, child, server, spread
from bench.scale import MADE
from collector.db.embedded import binaries, keeper

HERE = Path(__file__).parent
PATIENCE = 600
WHERE = "SELECT quote_ident(schemaname) || '.prices' FROM pg_tables WHERE tablename = 'prices'"


class Peer(NamedTuple):
    """Whose environment it runs in, which script, with what behind its arguments, and how it is called in the table."""

    environment: str
    script: str
    more: tuple[str, ...]
    label: str


PEERS = {
    "kiwoom": Peer("kiwoom", "kiwoom.py", (), "kiwoom-client (async) + executemany"),
    "naive": Peer("naive", "naive.py", (), "requests + psycopg executemany"),
    "scrapy": Peer("scrapy", "scrapy.py", (), "Scrapy + COPY"),
    "dlt-tuned": Peer("dlt", "dlt_rest.py", ("tuned",), "dlt rest_api, tuned, COPY of CSV"),
    "dlt-parallel": Peer("dlt", "dlt_rest.py", ("parallel",), "dlt rest_api, parallelized"),
    "dlt": Peer("dlt", "dlt_rest.py", ("default",), "dlt rest_api, as it comes"),
    "singer": Peer("singer", "singer.py", (), "Singer tap + target-postgres, COPY"),
}
Run = dict[str, float]


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=list(PEERS))
    chosen = parser.parse_args(arguments)
    pythons = {name: _environment(PEERS[name].environment) for name in chosen.only}
    runs: dict[str, list[Run]] = {"bare": [], "ours": [], **{name: [] for name in chosen.only}}
    with server() as url, tempfile.TemporaryDirectory() as home, _postgres() as dsn:
        for _ in range(chosen.rounds):
            for name, found in runs.items():
                if name in PEERS:
                    found.append(_peer(PEERS[name], pythons[name], url, dsn, chosen.in_flight))
                else:
                    found.append(child(name, url, home, chosen.in_flight))
                print(f"{name:12} {found[-1]['wall']:7.2f} s", file=sys.stderr, flush=True)
    Console(width=110).print(_table(runs, chosen))


def _environment(name: str) -> Path:
    """The Python of a peer's own environment, made if it is not there or its versions have changed."""
    wanted, place = HERE / f"{name}.txt", MADE / name
    python, mark = place / "bin" / "python", place / "made-of.txt"
    if not mark.is_file() or mark.read_bytes() != wanted.read_bytes():
        print(f"bench: making {place} (once)", file=sys.stderr, flush=True)
        venv.create(place, clear=True, with_pip=True)
        pip = (
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "-qq",
            "--no-deps",
            "-r",
            wanted,
        )
        subprocess.run(pip, check=True)
        mark.write_bytes(wanted.read_bytes())
    return python


@contextmanager
def _postgres() -> Iterator[str]:
    """The DSN of a private server that listens on TCP, as not all of them find a socket; without a database's name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        folder, run = Path(place, "data"), Path(place, "run")
        for each in (folder, run):
            each.mkdir(mode=0o700)
        (folder / "server.log").touch()
        port = 50_000 + os.getpid() % 10_000
        settings = ["listen_addresses=127.0.0.1", f"port={port}"]
        running = keeper.Server(folder, run, binaries.find(os.environ), settings)
        running.start()
        try:
            yield f"postgresql://postgres:none@127.0.0.1:{port}/"
        finally:
            running.stop()


def _peer(peer: Peer, python: Path, url: str, dsn: str, in_flight: int) -> Run:
    asyncio.run(_ask(f"{dsn}postgres", "DROP DATABASE IF EXISTS peer", "CREATE DATABASE peer"))
    command: list[str | Path] = [python, HERE / peer.script, url, f"{dsn}peer", str(in_flight), *peer.more]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=tempfile.gettempdir())
        status, used = _ended(process)
        out.seek(0)
        err.seek(0)
        if status:
            raise SystemExit(f"bench: {peer.label} ended with {status}\n{err.read()[-2000:]}")
        wall = json.loads(out.read().splitlines()[-1])["wall"]
    table = asyncio.run(_ask(f"{dsn}peer", WHERE))
    stored = asyncio.run(_ask(f"{dsn}peer", f"SELECT count(*) FROM {table}"))
    cpu = (used.ru_utime + used.ru_stime) / EXPECTED * 1e6
    return {"wall": wall, "cpu": cpu, "rss": used.ru_maxrss / 1024, "stored": stored}


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, "os.struct_rusage"]:  # type: ignore[name-defined]
    """The exit status, and what the process and its children used."""
    deadline = time.monotonic() + PATIENCE
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.05)


async def _ask(dsn: str, *statements: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        *before, last = statements
        for statement in before:
            await connection.execute(statement)
        return await connection.fetchval(last)
    finally:
        await connection.close()


def _table(runs: dict[str, list[Run]], chosen: argparse.Namespace) -> Table:
    title = (
        f"{EXPECTED:,} rows in 900 pages, {LATENCY * 1000:g} ms, {chosen.in_flight} in flight, no quota;"
        f" median (least–most) of {chosen.rounds}"
    )
    table = Table(
        "", "wall s", "÷ bare", "CPU µs a row", "peak MB", "rows stored", title=title, title_justify="left"
    )
    labels = {"bare": "aiohttp, fetching only", "ours": "collector"}
    for name, found in runs.items():
        ratios = [one["wall"] / bare["wall"] for one, bare in zip(found, runs["bare"], strict=True)]
        stored = "–" if name == "bare" else f"{min(one.get('stored', EXPECTED) for one in found):,.0f}"
        columns = (spread([one[key] for one in found]) for key in ("wall", "cpu", "rss"))
        wall, cpu, rss = columns
        table.add_row(labels.get(name) or PEERS[name].label, wall, spread(ratios), cpu, rss, stored)
    return table
