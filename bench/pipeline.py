"""The pipeline beside a bare loop that only fetches the same pages: wall time, CPU a row, peak memory.

    python -m bench pipeline [--rounds N] [--in-flight N] [--latency SECONDS] [--connecting SECONDS]

`--latency 0.4 --connecting 1` is what Kiwoom's host was seen to take for a warm call and for a new connection.

Both run as processes of their own, in turn, against the same server; PostgreSQL is on the same cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.contenders import PAGES, ROWS, TARGETS

LATENCY = 0.02


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench pipeline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--latency", type=float, default=LATENCY)
    parser.add_argument("--connecting", type=float, default=0.0)
    chosen = parser.parse_args(arguments)
    with server(chosen.latency, chosen.connecting) as url, tempfile.TemporaryDirectory() as home:
        runs: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
        for _ in range(chosen.rounds + 1):
            for who, found in runs.items():
                found.append(child(who, url, home, chosen.in_flight))
    Console().print(_table({who: found[1:] for who, found in runs.items()}, chosen))


@contextmanager
def server(latency: float = LATENCY, connecting: float = 0.0) -> Iterator[str]:
    command = (sys.executable, "-m", "bench.pages", str(latency), str(connecting))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def child(who: str, url: str, home: str, in_flight: int) -> dict[str, float]:
    command = (sys.executable, "-m", "bench.contenders", who, url, home, str(in_flight))
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def _table(runs: dict[str, list[dict[str, float]]], chosen: argparse.Namespace) -> Table:
    title = (
        f"{TARGETS} targets × {PAGES} pages × {ROWS} rows, {chosen.latency * 1000:g} ms,"
        f" {chosen.connecting * 1000:g} ms for a new connection,"
        f" {chosen.in_flight} in flight, no quota; median (least–most) of {chosen.rounds}"
    )
    table = Table("", "wall s", "CPU µs a row", "peak MB", title=title, title_justify="left")
    for who, label in (("bare", "aiohttp, fetching only"), ("ours", "collector, into PostgreSQL")):
        table.add_row(label, *(spread([run[name] for run in runs[who]]) for name in ("wall", "cpu", "rss")))
    table.add_row("ratio", _ratio(runs, "wall"), _ratio(runs, "cpu"), "")
    return table


def _ratio(runs: dict[str, list[dict[str, float]]], name: str) -> str:
    return spread([ours[name] / bare[name] for ours, bare in zip(runs["ours"], runs["bare"], strict=True)])


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main(sys.argv[1:])
