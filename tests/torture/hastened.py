"""The daemon in a process of its own, by a wall that runs fast: `python -m tests.torture.hastened CONFIG START SPEED`.

Its log goes to stderr as ever. On stdout it tells, a few times a second, how large it is.
"""

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from collector import log
from collector.cli.daemon_process import ReloadableConfig, open_daemon
from collector.daemon import DaemonService
from tests.support.daemon_parts import FastClock

EVERY = 0.2
"""Seconds between two looks at itself."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Size:
    """What a process holds: megabytes in memory, descriptors, tasks."""

    megabytes: float
    descriptors: int
    tasks: int

    @staticmethod
    def least(sizes: Sequence["Size"]) -> "Size":
        """Of each the smallest: what is left when nothing is under way."""
        return Size(
            min(size.megabytes for size in sizes),
            min(size.descriptors for size in sizes),
            min(size.tasks for size in sizes),
        )


class Hastened:
    """The process, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path, sizes: Path) -> None:
        self.process = process
        self._said = said
        self._sizes = sizes

    def events(self, name: str) -> list[dict[str, str]]:
        """The lines of an event, in order."""
        found = [json.loads(line) for line in self._lines(self._said) if line.startswith("{")]
        return [line for line in found if line.get("event") == name]

    def sizes(self) -> list[Size]:
        return [Size(**json.loads(line)) for line in self._lines(self._sizes)]

    async def said(self, name: str, *, times: int = 1, seconds: float = 180.0) -> None:
        """Wait until an event is in the log."""
        async with asyncio.timeout(seconds):
            while len(self.events(name)) < times:
                assert self.process.returncode is None, self._said.read_text()[-1000:]
                await asyncio.sleep(0.1)

    def _lines(self, path: Path) -> list[str]:
        text = path.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()


@asynccontextmanager
async def hastened(
    config: Path, env: dict[str, str], start: datetime, speed: float
) -> AsyncIterator[Hastened]:
    """The daemon, told to stop at the end of the block."""
    said, sizes = config.with_name("said"), config.with_name("sizes")
    with said.open("wb") as errors, sizes.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.torture.hastened", config, start.isoformat(), str(speed)),
            env=env,
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
    try:
        yield Hastened(process, said, sizes)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _live(config: Path, start: datetime, speed: float) -> None:
    order = ReloadableConfig(config, force=True)
    clock = FastClock(start, speed)

    async def now() -> datetime:
        """The database's clock runs fast, too: this daemon is not to see two clocks apart."""
        return clock.now()

    daemon = DaemonService(lambda: open_daemon(order, "hastened", reference_clock=now), clock, lambda _: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell_size())
        await daemon.run()


async def _tell_size() -> None:
    while True:
        gc.collect(0)
        print(json.dumps(_size()), flush=True)
        await asyncio.sleep(EVERY)


def _size() -> dict[str, float]:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return {"megabytes": pages * _PAGE / 1e6, "descriptors": descriptors, "tasks": len(asyncio.all_tasks())}


if __name__ == "__main__":
    log.configure()
    asyncio.run(_live(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3])))
