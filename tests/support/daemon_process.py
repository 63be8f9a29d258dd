"""The daemon as a process: started, spoken to by signals, its log read line by line."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from tests.support import command_process
from tests.support.daemon_parts import url

CONFIG = """
api: {{base_url: {simulator}, requests_per_second: {quota}, timeout: 60s}}
witness: off
universes:
  some:
    - {{market: KOSPI, sectors: {sectors}, exchanges: [KRX]}}
schedules:
  today: {{universe: some, at: "00:00", days: all, grace: 1d}}
"""
"""Its slot has been today, and may still run: a sweep begins whenever the daemon does."""


class Running:
    """A process and what it said so far."""

    def __init__(
        self, process: asyncio.subprocess.Process | command_process.Process, stderr: asyncio.StreamReader
    ) -> None:
        self.process = process
        self.stderr = stderr
        self.lines: list[dict] = []
        self.text = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str) -> list[dict]:
        return [line for line in self.lines if line.get("event") == name]

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def said(self, name: str, *, times: int = 1, seconds: float = 600.0) -> dict:
        """Wait until an event is in the log; AssertionError if the process ends without it."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.events(name)) < times:
                    assert await self.read(), f"ended without {name}: {self.text[-2000:]}"
        except TimeoutError:
            raise AssertionError(f"no {name} in {seconds} s: {self.text[-2000:]}") from None
        return self.events(name)[times - 1]

    async def read(self) -> bool:
        """Take in one more line; False at the end."""
        raw = (await self.stderr.readline()).decode()
        self.text += raw
        if raw.startswith("{"):
            self.lines.append(json.loads(raw))
        return bool(raw)

    async def ended(self, *, seconds: float = 600.0) -> int:
        """Its exit status."""
        async with asyncio.timeout(seconds):
            while await self.read():
                pass
            return await self.process.wait()

    async def stopped(self) -> tuple[int, float]:
        """Tell it to stop: its exit status, and how many seconds it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return await self.ended(), time.monotonic() - began


def write(
    folder: Path, simulator: str, *, sectors: Sequence[str] = ("005", "006"), quota: int = 0, more: str = ""
) -> Path:
    """A configuration in a file."""
    path = folder / "collector.yaml"
    listed = "[" + ", ".join(sectors) + "]"
    path.write_text(CONFIG.format(simulator=simulator, sectors=listed, quota=quota) + more)
    return path


@asynccontextmanager
async def started(
    config: Path, database, *arguments: str, before: Sequence[str] = (), **environment: str | None
) -> AsyncIterator[Running]:
    """`collector daemon` on a configuration; killed at the end of the block if it still runs.

    A variable of the environment that is None is taken away.
    """
    process = await asyncio.create_subprocess_exec(
        *before,
        *(sys.executable, "-m", "collector", "daemon", "--config", config, *arguments),
        env=_variables(database, environment),
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr
    try:
        yield Running(process, process.stderr)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def forked(
    config: Path, database, *arguments: str, **environment: str | None
) -> AsyncIterator[Running]:
    """As `started`, but forked from the process of the fixture `warm`: without the imports, most of a start.

    For tests that look neither at the start nor at the environment and the arguments in /proc.
    """
    assert command_process.starter is not None
    err = config.parent / f"stderr-{uuid4().hex}"
    os.mkfifo(err)
    stderr = asyncio.StreamReader()
    pipe = os.fdopen(os.open(err, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
    reading, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stderr), pipe
    )
    process = await command_process.starter.start(
        *("daemon", "--config", str(config), *arguments),
        env=_variables(database, environment),
        cwd=Path.cwd(),
        err=err,
    )
    try:
        yield Running(process, stderr)
    finally:
        process.kill()
        await process.wait()
        reading.close()


def _variables(database, environment: Mapping[str, str | None]) -> dict[str, str]:
    keys = {
        "KIWOOM_APP_KEY": "an app key",
        "KIWOOM_SECRET_KEY": "a secret key",
        "DATABASE_URL": url(database),
    }
    given = {**os.environ, **keys, **environment}
    return {name: value for name, value in given.items() if value is not None}
