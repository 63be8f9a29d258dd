"""The client's CPU by layer: microseconds a row by sampling, and Python calls a page by counting.

    python -m bench layers [--sweeps N] [--in-flight N] [--keep]

The sweeps are those of `bench pipeline`. A timer of the process's own CPU time interrupts them, and the innermost
frame of a known layer gets the sample. In one more sweep each call of a Python function is counted; this figure does
not depend on the load of the machine. The keys are as long as real ones, so each answer is searched for them, which
`bench pipeline` leaves out. `--keep`: the answers are kept as they came.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from bench.contenders import EXPECTED, PAGES, TARGETS, collecting, targets
from bench.pipeline import server
from collector import log
from collector.cli.main import tune_garbage_collection

_INTERVAL = 0.001
"""Seconds of CPU between two samples."""
_REST = 2.1
"""Seconds between two sweeps: the connections of the one before have rested."""
_SECRET = "Xq3vN8sKd0TzRw5uYb1LgHc7JfMp2AeViOn6BtSxWr4"
LAYERS = {
    "asyncio: loop, sockets, timers": r"/asyncio/|/selectors\.py|/socket\.py",
    "aiohttp": r"/aiohttp/|/yarl/|/multidict/|/aiohappyeyeballs/|/propcache/",
    "connections and framing": r"/kiwoom/(transport|connections|framing|tcp)\.py",
    "redaction": r"/kiwoom/redact\.py",
    "client: retries, token, request": r"/kiwoom/(client|auth|retry)\.py|/protocol/requests?\.py|/collector/secret\.py",
    "envelope: headers, JSON": r"/protocol/(responses?|strict_json|error_codes|pages)\.py|/msgspec/",
    "fields: texts to columns": r"/protocol/(quotes|numbers)\.py",
    "certificate": r"/sweep/certify\.py|/market/membership\.py",
    "sweep: workers, pages, outcomes": r"/collector/(sweep|base/aio)|/collector/model\.py",
    "COPY: encoding and digest": r"/db/copy_format\.py",
    "kept answers": r"/base/answers\.py|/db/answers\.py",
    "asyncpg": r"/asyncpg/",
    "store: statements, transactions": r"/collector/db/",
    "rate limiter": r"/collector/ratelimit/",
    "logging": r"/structlog/|/collector/log\.py|/logging/",
}
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in LAYERS.items()]
_OTHER = "other"


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench layers", description=__doc__)
    parser.add_argument("--sweeps", type=int, default=10)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--keep", action="store_true")
    chosen = parser.parse_args(arguments)
    with server() as url, tempfile.TemporaryDirectory() as home:
        command = (sys.executable, "-m", "bench.layers", url, home, *map(str, vars(chosen).values()))
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    Console().print(_table(json.loads(answer.splitlines()[-1]), chosen))


def _table(found: dict[str, dict[str, float]], chosen: argparse.Namespace) -> Table:
    title = f"{TARGETS} targets × {PAGES} pages, {chosen.in_flight} in flight, {chosen.sweeps} sweeps"
    table = Table("layer", "CPU µs a row", "Python calls a page", title=title, title_justify="left")
    for name in (*LAYERS, _OTHER):
        micros, calls = found["micros"].get(name, 0.0), found["calls"].get(name, 0.0)
        table.add_row(name, f"{micros:.2f}", f"{calls:.0f}")
    table.add_row("all", f"{sum(found['micros'].values()):.2f}", f"{sum(found['calls'].values()):.0f}")
    return table


def layer_of(frame: FrameType | None) -> str:
    """The layer of the innermost frame that belongs to one."""
    while frame is not None:
        for name, pattern in _PATTERNS:
            if pattern.search(frame.f_code.co_filename):
                return name
        frame = frame.f_back
    return _OTHER


async def _measured(url: str, home: str, sweeps: int, in_flight: int, *, keeps: bool) -> dict[str, object]:
    samples: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def count_call(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            calls[layer_of(frame)] += 1

    signal.signal(signal.SIGPROF, lambda _signal, frame: samples.update((layer_of(frame),)))
    spent = 0.0
    async with collecting(url, Path(home), in_flight, keeps=keeps, secret=_SECRET) as collector:
        slot = datetime.now(UTC).replace(microsecond=0)
        await collector.sweep(slot - timedelta(seconds=1), "bench", targets())
        for number in range(sweeps):
            await asyncio.sleep(_REST)
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
            await collector.sweep(slot + timedelta(seconds=number), "bench", targets())
            signal.setitimer(signal.ITIMER_PROF, 0)
            spent += time.process_time() - began
        await asyncio.sleep(_REST)
        sys.setprofile(count_call)
        await collector.sweep(slot + timedelta(seconds=sweeps), "bench", targets())
        sys.setprofile(None)
    a_sample = spent / sweeps / EXPECTED * 1e6 / max(1, samples.total())
    return {
        "micros": {name: count * a_sample for name, count in samples.items()},
        "calls": {name: count / (TARGETS * PAGES) for name, count in calls.items()},
    }


if __name__ == "__main__":
    tune_garbage_collection()
    log.configure(level="error")
    url, home, sweeps, in_flight, keeps = sys.argv[1:]
    print(json.dumps(asyncio.run(_measured(url, home, int(sweeps), int(in_flight), keeps=keeps == "True"))))
