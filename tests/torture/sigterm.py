"""SIGTERM at random moments, warm, from nothing and as process 1, in health and before a database that is silent:
the daemon ends with 0 within 5 seconds, nothing is torn, and the next one finishes."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.support.command_process import Process
from tests.torture.figures import Figures
from tests.torture.work import BACKFILL, DAEMON, ONCE, Doing, Reference, Work, undisturbed
from tests.torture.world import World

NAME = "sigterm"
LONG, SHORT = 500, 100

LIMITS = {"daemon": 5.0, "once": 10.0, "backfill": 10.0}
"""Seconds; only the daemon promises any."""
WORKS = (*(DAEMON,) * 6, ONCE, BACKFILL)
STOPPED = {"daemon": (0,), "once": (130, 0), "backfill": (130, 0)}
"""0 where the work was done before the signal was looked at."""

AnyProcess = Process | asyncio.subprocess.Process


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"as process 1": 0, "from nothing": 0, "before silence": 0})
    references = {work: await undisturbed(world, work) for work in set(WORKS)}

    async def one(number: int, chance: Random) -> Sequence[str]:
        work = WORKS[number % len(WORKS)]
        return await _stopped_until_done(world, work, references[work], figures, chance)

    await world.rounds(NAME, figures, one, enough=lambda: figures.tried >= count)
    return figures


async def _stopped_until_done(
    world: World, work: Work, reference: Reference, figures: Figures, chance: Random
) -> Sequence[str]:
    """Stop it a few times, then let it finish."""
    losses: list[str] = []
    async with work.stage(world) as doing:
        for _ in range(4):
            stop = Stop.drawn(chance, reference.seconds)
            losses += await stop.carried_out(doing, figures)
        async with doing.under_way() as process:
            losses += await doing.finish(process)
        return [*losses, *await doing.unlike(reference)]


@dataclass(frozen=True)
class Stop:
    """How a process is started, when it is told to stop, and before what."""

    start: str
    moment: float
    is_silent: bool

    @staticmethod
    def drawn(chance: Random, seconds: float) -> "Stop":
        can_unshare = os.geteuid() == 0 and shutil.which("unshare") is not None
        starts = ["warm"] * 16 + ["cold"] * 3 + ["process 1"] * can_unshare
        return Stop(chance.choice(starts), chance.uniform(0, seconds), chance.random() < 0.1)

    async def carried_out(self, doing: Doing, figures: Figures) -> list[str]:
        """What is wrong with the end that it brought."""
        if self.start == "warm":
            async with doing.under_way() as process:
                return await self._stop(doing, figures, process, process.pid)
        before = ("unshare", "-pf", "--mount-proc") if self.start == "process 1" else ()
        await doing.let_go()
        async with doing.stage.start_cold(*doing.work.arguments(doing.slot), before=before) as process:
            pid = await _child(process.pid) if before else process.pid
            return await self._stop(doing, figures, process, pid)

    async def _stop(self, doing: Doing, figures: Figures, process: AnyProcess, pid: int) -> list[str]:
        await _until_it_minds_signals(pid)
        await asyncio.sleep(self.moment)
        if self.is_silent:
            doing.stage.tap.silence()
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _, err = await process.communicate()
        seconds = time.monotonic() - began
        doing.stage.tap.speak()
        self._note(doing.work, figures, seconds)
        found = [*await doing.torn(), *self._wrong(doing, process.returncode, seconds)]
        if b"Traceback" in err:
            found.append(f"broken: {err[-300:].decode()}")
        return found

    def _note(self, work: Work, figures: Figures, seconds: float) -> None:
        figures.tried += 1
        figures.count("as process 1", self.start == "process 1")
        figures.count("from nothing", self.start == "cold")
        figures.count("before silence", self.is_silent)
        figures.longest(f"longest {work.name}", seconds)

    def _wrong(self, doing: Doing, code: int | None, seconds: float) -> list[str]:
        name = doing.work.name
        found = []
        # An interpreter on its way out, when all is done, has given signals back to the kernel.
        is_out = self.start == "cold" and name != "daemon" and code == -signal.SIGTERM
        if code not in STOPPED[name] and not is_out:
            found.append(f"status: {name} ended with {code} ({self})")
        if seconds > LIMITS[name]:
            found.append(f"late: {name} took {seconds:.1f} s ({self})")
        return found


async def _child(pid: int) -> int:
    """The only child of a process, as soon as there is one."""
    while not (children := _of_process(pid, f"task/{pid}/children").split()):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return int(children[0])


async def _until_it_minds_signals(pid: int) -> None:
    """Before that nobody can: while Python itself starts."""
    async with asyncio.timeout(30):
        while not _minds_signals(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def _minds_signals(pid: int) -> bool:
    """Also true of one that has ended."""
    caught = _of_process(pid, "status").partition("SigCgt:")[2].split()
    return not caught or bool(int(caught[0], 16) >> (signal.SIGTERM - 1) & 1)


def _of_process(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
