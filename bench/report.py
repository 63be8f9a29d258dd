"""Write docs/explanation/proofs/benchmarks.md: what the measurements print, with the machine and the date.

    python -m bench report [NAME ...]

Each named measurement (all that the page shows, without a name) is run as a process of its own, and its section of
the page is written anew; the others stay. `NAME:ARG,ARG` hands it other arguments than the page's own. What stands
above a section's command is kept, what stands below it is replaced.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "proofs" / "benchmarks.md"
SECTIONS = {
    "pipeline": "The pipeline beside a bare fetch loop",
    "layers": "Where the CPU of the pipeline goes",
    "copying": "COPY into the real tables beside psql",
    "quota": "How much of the quota is used",
    "backfill": "A backfill",
    "cold": "Bytes a row in files, and how fast days go and come",
    "reads": "Questions over many rows",
    "start": "Start, and standing by",
}
ARGUMENTS = {
    "pipeline": "--rounds,5",
    "quota": "--seconds,240,--at-once,6",
    "copying": "--rounds,5",
    "reads": "--pages,--rows,100000000",
}


def main(arguments: list[str]) -> None:
    """Run what is asked for, and write its sections."""
    parser = argparse.ArgumentParser(prog="bench report", description=__doc__)
    parser.add_argument("measurements", nargs="*", metavar="NAME[:ARG,...]", default=list(SECTIONS))
    for each in parser.parse_args(arguments).measurements:
        name, _, more = each.partition(":")
        more = more or ARGUMENTS.get(name, "")
        if name not in SECTIONS:
            parser.error(f"{name!r} has no section; there are {', '.join(SECTIONS)}")
        PAGE.write_text(
            _with(PAGE.read_text(encoding="utf-8"), name, _measured(name, more)), encoding="utf-8"
        )


def _measured(name: str, more: str) -> str:
    """The section's text: the command, when and where, and what it printed."""
    command = ["python", "-m", "bench", name, *(more.split(",") if more else ())]
    print(f"bench: {' '.join(command[2:])}", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    environ = os.environ | {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, *command[1:]], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    where = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    return f"`{' '.join(command)}`, {when}, {where}, load {load:.1f} at its start\n\n```\n{done.stdout.strip()}\n```\n"


def _with(page: str, name: str, text: str) -> str:
    """The page with this section's text in place of what it had; its explanation above the command stays."""
    heading = f"## {SECTIONS[name]}\n"
    before, found, rest = page.partition(heading)
    if not found:
        return f"{page.rstrip()}\n\n{heading}\n{text}"
    own, following, after = rest.partition("\n## ")
    explained = re.split(r"^`python -m bench ", own, flags=re.MULTILINE)[0].strip()
    return f"{before}{heading}\n{explained}\n\n{text}{following}{after}".replace("\n\n\n", "\n\n")
