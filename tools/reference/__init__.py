"""The pages of docs/reference and the page of faults, made from the program: `./dev docs` writes them.

`tests/project/test_reference.py` compares the pages with the files.
"""

from collections.abc import Mapping
from pathlib import Path

from collector.db.pool import Connection
from tools.reference import commands, configuration, faults, source, tables

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTE = "<!-- Made by `./dev docs`; do not edit. -->"


async def pages(connection: Connection) -> Mapping[str, str]:
    """Each page by its path under docs/; `connection` is to a migrated database."""
    data = DOCS / "data"
    made = {
        "reference/commands.md": commands.page(),
        "reference/exit-codes.md": commands.exit_codes(data / "exit-codes.yaml"),
        "reference/configuration.md": configuration.page(ROOT / "config"),
        "reference/environment.md": source.environment_page(data / "environment.yaml"),
        "reference/http.md": source.http_page(data / "http.yaml"),
        "reference/metrics.md": source.metrics_page(),
        "reference/log-events.md": source.events_page(data / "log-events.yaml"),
        "reference/tables.md": await tables.page(connection),
        "explanation/proofs/faults.md": faults.page(data / "faults.yaml"),
    }
    return {path: f"{NOTE}\n{text.rstrip()}\n" for path, text in made.items()}
