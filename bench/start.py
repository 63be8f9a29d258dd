"""How long the command takes to its first line of help, what importing costs, and what a daemon that waits takes.

    python -m bench start [--rounds N]

Processes from nothing, in turn. The daemon stands between two slots of a simulated API, with a private PostgreSQL
that is not counted.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.pipeline import spread
from collector.cli.main import VERBS

STANDING = 20.0
CONFIG = """
api: {base_url: http://127.0.0.1:9}
universes:
  some:
    - {market: KOSPI, sectors: [005], exchanges: [KRX]}
schedules:
  seldom: {universe: some, at: "%s", days: all}
"""


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args(arguments).rounds
    table = Table("", "median (least–most)", title=f"of {rounds}", title_justify="left")
    asked = {
        "python that does nothing, ms": ("-c", "pass"),
        "collector --help, ms": ("-m", "collector", "--help"),
        "collector once --help, ms": ("-m", "collector", "once", "--help"),
    }
    for label, command in asked.items():
        table.add_row(label, spread([_started(*command) for _ in range(rounds)]))
    helps = [_cpu_of_help(verb) for verb in VERBS]
    table.add_row("collector VERB --help, each verb once: CPU, ms", spread(helps))
    for extra in ((), ("--web",)):
        memory, cpu = _standing(*extra)
        label = " ".join(("daemon", *extra))
        table.add_row(f"{label}, waiting: memory, MB", f"{memory:.1f}")
        table.add_row(f"{label}, waiting: share of a core, %", f"{cpu:.2f}")
    Console().print(table)


def _started(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def _cpu_of_help(verb: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _started("-m", "collector", verb, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _standing(*extra: str) -> tuple[float, float]:
    """Resident memory in MB and share of a core in per cent, over some seconds between two slots."""
    with tempfile.TemporaryDirectory() as home:
        config = Path(home, "collector.yaml")
        later = time.gmtime(time.time() + 9 * 3600 + 6 * 3600)
        config.write_text(CONFIG % time.strftime("%H:%M", later))
        keys = {
            "KIWOOM_APP_KEY": "bench",
            "KIWOOM_SECRET_KEY": "bench",
            "COLLECTOR_WEB_LISTEN": "127.0.0.1:0",
        }
        environ = os.environ | keys | {"COLLECTOR_HOME": home}
        asked = (sys.executable, "-m", "collector")
        subprocess.run([*asked, "migrate", "--config", config], env=environ, check=True, capture_output=True)
        with subprocess.Popen(
            [*asked, "daemon", *extra, "--config", config], env=environ, stderr=subprocess.PIPE
        ) as daemon:
            time.sleep(STANDING / 2)
            before = _used(daemon.pid)
            time.sleep(STANDING)
            memory, used = _resident(daemon.pid), _used(daemon.pid) - before
            daemon.terminate()
    return memory, used / STANDING * 100


def _used(pid: int) -> float:
    """Seconds of CPU so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024
