"""What a second key brings: one sweep by one program and by two, with one key and with two.

    python -m bench keys [--rounds N] [--quota N]

The server keeps a strict window for each key. "the same key twice" is what two programs come to that share one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import sleep
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench.simulated import arrivals, simulator

_CONFIG = """
api: {{base_url: "{url}", requests_per_second: {quota}, keys: [{keys}]}}
universes:
  everything:
    - {{market: KOSPI, sectors: all}}
    - {{market: KOSDAQ, sectors: all}}
"""
_ARRANGED = {
    "one program, one key": ["a"],
    "one program, two keys": ["a, b"],
    "two programs, a key each": ["a", "b"],
    "two programs, the same key twice": ["a", "a"],
}


class Run(NamedTuple):
    """One sweep: how long it took, requests sent, first pages asked for more than once, refusals."""

    seconds: float
    requests: int
    twice: int
    refused: int


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench keys", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quota", type=int, default=10)
    chosen = parser.parse_args(arguments)
    found: dict[str, list[Run]] = {name: [] for name in _ARRANGED}
    for _ in range(chosen.rounds):
        for name, programs in _ARRANGED.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(_measured(Path(folder), programs, chosen.quota))
    title = f"KOSPI and KOSDAQ, every sector; {chosen.quota}/s a key; median (least-most) of {chosen.rounds}"
    table = Table("", "seconds", "requests", "walks twice", "refused", title=title, title_justify="left")
    for name, runs in found.items():
        seconds = [run.seconds for run in runs]
        spread = f"{median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        rest = (max(run[place] for run in runs) for place in (1, 2, 3))
        table.add_row(name, spread, *map(str, rest))
    Console().print(table)


def _measured(folder: Path, programs: Sequence[str], quota: int) -> Run:
    for file in ("a.app_key", "a.secret_key", "b.app_key", "b.secret_key"):
        (folder / file).write_text(f"bench {file}")
        (folder / file).chmod(0o600)
    with simulator("--quota", str(quota), "--latency", "20ms") as url, _database(folder) as environment:
        paths = []
        for number, keys in enumerate(programs):
            paths.append(folder / f"{number}.yaml")
            paths[-1].write_text(_CONFIG.format(url=url, quota=quota, keys=keys))
            _collector("check", "--online", "--config", str(paths[-1]), environment=environment).wait()
        sleep(1.1)
        before = len(arrivals(url))
        slot = datetime.now(UTC).replace(microsecond=0).isoformat()
        running = [
            _collector("once", "--slot", slot, "--config", str(path), environment=environment)
            for path in paths
        ]
        texts = [process.communicate()[1] for process in running]
        lines = arrivals(url)[before:]
    events = [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]
    seconds = max(event["seconds"] for event in events if event["event"] == "sweep.ended")
    firsts = [line["sector"] for line in lines if line["page"] == 1]
    refused = sum(line["answer"] != "ok" for line in lines)
    return Run(seconds, len(lines), len(firsts) - len(set(firsts)), refused)


def _collector(*arguments: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "collector", *arguments)
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def _database(folder: Path) -> Iterator[Mapping[str, str]]:
    """An environment whose private PostgreSQL is kept running by a program that serves its page."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KIWOOM_")},
        "COLLECTOR_HOME": str(folder / "home"),
        "KIWOOM_KEYS": str(folder),
    }
    environment.pop("DATABASE_URL", None)
    (folder / "page.yaml").write_text(_CONFIG.format(url="http://127.0.0.1:9", quota=1, keys=""))
    command = ("web", "--listen", "127.0.0.1:0", "--config", str(folder / "page.yaml"))
    keeper = subprocess.Popen(
        (sys.executable, "-m", "collector", *command),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert keeper.stdout is not None
    keeper.stdout.readline()
    try:
        yield environment
    finally:
        keeper.terminate()
        keeper.communicate()


if __name__ == "__main__":
    main(sys.argv[1:])
