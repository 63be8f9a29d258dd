"""How soon after its slot the first rows are stored, and how long a whole sweep takes at the real host's durations.

    python -m bench slots [--slots N] [--count before|after]

A daemon sweeps the 65 sectors of KRX every two minutes: longer than an idle connection is kept, so that each slot needs
connections that were opened ahead. The quota's own time is the number of requests ÷ 5 a second.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.pipeline import spread
from bench.simulated import simulator

QUOTA = 5
EVERY = 120
STARTED = 60.0
"""Seconds after which a daemon with a new database is ready for its first slot."""
WAITED = 100.0
"""Seconds from a slot to the look at it: a sweep takes about 37."""
CONFIG = """
api: {{base_url: "{url}", requests_per_second: 5}}
universes:
  all:
    - {{market: KOSPI, sectors: all, exchanges: [KRX]}}
    - {{market: KOSDAQ, sectors: all, exchanges: [KRX]}}
schedules:
  often: {{universe: all, every: 2m, during: day, days: all}}
"""
SWEEPS = """
SELECT extract(epoch FROM min(w.committed_at) - w.slot) AS first,
       extract(epoch FROM max(w.committed_at) - w.slot) AS last,
       sum(w.pages) AS pages, count(*) AS walks
FROM walk AS w
WHERE w.status = 'complete'
GROUP BY w.slot
ORDER BY w.slot
"""


def main(arguments: list[str]) -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="bench slots", description=__doc__)
    parser.add_argument("--slots", type=int, default=5)
    parser.add_argument("--count", choices=("before", "after"), default="before")
    chosen = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as home,
        simulator("--quota", str(QUOTA), "--latency", "real", "--count", chosen.count) as url,
    ):
        sweeps = _swept(Path(home), url, chosen.slots)
    table = Table(
        "",
        "median (least–most)",
        title=f"{len(sweeps)} slots, {sweeps[0][3]:.0f} walks each, counts {chosen.count} the work",
        title_justify="left",
    )
    table.add_row("first rows stored, s after the slot", spread([first for first, *_ in sweeps]))
    table.add_row("requests of a sweep", spread([pages for _, _, pages, _ in sweeps]))
    table.add_row(
        "time of a sweep ÷ the quota's own", spread([last / (pages / QUOTA) for _, last, pages, _ in sweeps])
    )
    Console().print(table)


def _swept(home: Path, url: str, slots: int) -> list[list[float]]:
    """First and last commit, pages and walks of each slot but those during the start of the daemon."""
    config = home / "collector.yaml"
    config.write_text(CONFIG.format(url=url))
    keys = {"KIWOOM_APP_KEY": "bench", "KIWOOM_SECRET_KEY": "bench", "COLLECTOR_HOME": str(home)}
    environ = os.environ | keys
    asked = (sys.executable, "-m", "collector")
    command = [*asked, "daemon", "--config", str(config)]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as daemon:
        ready = time.time() + STARTED
        time.sleep(STARTED + EVERY - ready % EVERY + (slots - 1) * EVERY + WAITED)
        answer = subprocess.run(
            [*asked, "sql", SWEEPS, "--format", "csv", "--config", str(config)],
            env=environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        daemon.terminate()
    return [[float(value) for value in line.split(",")] for line in answer.splitlines()[1:]][-slots:]


if __name__ == "__main__":
    main(sys.argv[1:])
