"""Commands of the collector in processes of their own, with the resources that each used."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from collector import config as configuration
from collector.base import resources
from collector.config import Environment
from collector.db import embedded, migrations
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.secret import Secret

KEY = "bench-application-key"
"""Long enough for the redactor, so that its work is in the figures."""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Resources of one command: seconds, seconds of CPU, megabytes at most; and its output."""

    wall: float
    cpu: float
    peak: float
    output: str


@asynccontextmanager
async def migrated_database(home: Path) -> AsyncIterator[Dsn]:
    """A PostgreSQL in this folder, with the tables of the collector."""
    async with embedded.running(home) as address:
        async with connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
        yield address


def environment(address: Dsn) -> Environment:
    """The environment of a collector that runs in this process."""
    return Environment(app_key=Secret(KEY), secret_key=Secret(KEY), database_url=Secret(_url(address)))


def settings(text: str, url: str) -> configuration.Config:
    """A configuration with `%s` in the place of the API's address."""
    return configuration.parse((text % url).encode(), "bench.yaml", base_url=url)


def run_command(address: Dsn, *arguments: str) -> ResourceUsage:
    """Run `collector ARGUMENTS`. Exit status 1 is a result, any other but 0 ends the measurement."""
    keys = {"KIWOOM_APP_KEY": KEY, "KIWOOM_SECRET_KEY": KEY, "DATABASE_URL": _url(address)}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | keys}
    begun = time.perf_counter()
    process = subprocess.Popen((sys.executable, "-m", "collector", *arguments), **options)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}: {output}")
    return ResourceUsage(
        time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output
    )


def _url(address: Dsn) -> str:
    host = quote(address.host, safe="")
    return f"postgresql://{address.user}@/{address.database}?host={host}&port={address.port}"
