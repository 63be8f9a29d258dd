"""Two daemons, a backfill and `once` on one key, killed and frozen all the time: what the server counts.

Its own book of arrivals is the witness: hardly a second may hold more requests than the quota, of one call or of all
together, and next to nothing of the quota may be left unused while four programs have work for it.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import cycle
from random import Random

from collector.model import Target
from tests.support.command_process import Process
from tests.torture.figures import Figures
from tests.torture.work import FILLING
from tests.torture.world import Stage, World, now

NAME = "quota"
LONG, SHORT = 600, 120
"""Seconds."""

PER_SECOND = 5
USED, USED_SHORT = 0.95, 0.92
"""Of the quota, at least. In two minutes a kill, or what else the machine does, weighs five times as much."""
REFUSED = 0.002
"""Of the requests, at most, and as many seconds above the quota: the limiter learns from refusals."""
WARM_UP = 8.0
"""Seconds after which all of them have begun."""
STRICT = replace(
    FILLING,
    quota=PER_SECOND,
    total=PER_SECOND,
    latency=timedelta(milliseconds=20),
    jitter=timedelta(milliseconds=10),
)
TARGETS = (
    Target.of("KOSPI", "027", "KRX"),
    *(Target.of("KOSPI", f"{code:03}", "KRX") for code in range(5, 22)),
    *(Target.of("KOSPI", f"{code:03}", "CONSOLIDATED") for code in range(5, 22)),
)
"""40 requests."""
MINUTELY = "schedules:\n  minutely: {universe: all, every: 1m, during: day}\n"

MONTHS = [f"{year}-{month:02}" for year in (2026, 2025) for month in range(10, 0, -1)]
"""What a backfill may be asked for: one month is filled in six minutes, and then there would be nothing to do."""


def commands() -> dict[str, Callable[[], Sequence[str]]]:
    """What runs all the time, by name; each backfill has another month than the one before."""
    months = cycle(MONTHS)
    return {
        "daemon": lambda: ("daemon", "--force"),
        "its stand-in": lambda: ("daemon", "--force"),
        "backfill": lambda: _backfill(next(months)),
        "once": lambda: ("once", "--slot", now().isoformat()),
    }


def _backfill(month: str) -> Sequence[str]:
    return "backfill", "--from", f"{month}-01", "--to", f"{month}-28"


PAUSE = 8.0
"""Seconds after each `once` in which the backfill has its turn, if it is awake."""
COMING = 5.0
"""Seconds that a backfill takes to begin."""


@dataclass
class Programs:
    """Those that run, by name, and which of them cannot work at the moment."""

    living: dict[str, Process] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures(facts={"kills": 0, "freezes": 0})
    async with world.stage(
        *TARGETS, options=STRICT, more=MINUTELY, requests_per_second=PER_SECOND, timeout="10s"
    ) as stage:
        programs = Programs()
        tasks = [
            asyncio.ensure_future(_live(stage, name, command, programs))
            for name, command in commands().items()
        ]
        await asyncio.sleep(WARM_UP)
        since = stage.simulator.api.book.count
        disturbing = asyncio.ensure_future(_disturb(programs, chance, figures))
        await asyncio.wait([disturbing, *tasks], timeout=count, return_when=asyncio.FIRST_COMPLETED)
        log = [line for line in stage.simulator.api.book.since(since) if str(line["api_id"]).startswith("ka")]
        for task in (disturbing, *tasks):
            task.cancel()
        ended = await asyncio.gather(disturbing, *tasks, return_exceptions=True)
    figures.tried = len(log)
    broken = [f"broken: {error!r}" for error in ended if isinstance(error, Exception)]
    figures.lose(0, [*broken, *_judged(log, figures, USED if count > SHORT else USED_SHORT)])
    return figures


async def _live(stage: Stage, name: str, command: Callable[[], Sequence[str]], programs: Programs) -> None:
    """Begin a command again whenever it has ended, however it has."""
    while True:
        async with stage.start(*command()) as process:
            programs.living[name] = process
            _, errors = await process.communicate()
            assert process.returncode in (0, 1, -signal.SIGKILL), f"{name}: {errors.decode()[-500:]}"
        end = time.monotonic() + (PAUSE if name == "once" else 1.0)
        while time.monotonic() < end and "backfill" not in programs.away:  # noqa: ASYNC110 - it changes in between
            await asyncio.sleep(0.1)


async def _disturb(programs: Programs, chance: Random, figures: Figures) -> None:
    """Kill one or freeze one, again and again; some freezes outlast every lease."""
    while True:
        await asyncio.sleep(chance.uniform(6, 14))
        name = chance.choice(sorted(programs.living))
        process = programs.living[name]
        programs.away.add(name)
        if chance.random() < 0.5:
            figures.count("kills")
            process.kill()
            await asyncio.sleep(COMING)
        else:
            figures.count("freezes")
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(chance.choice((0.3, 1.2, 2.5, 6, 20)))
            process.send_signal(signal.SIGCONT)
        programs.away.discard(name)


def _judged(log: Sequence[dict[str, object]], figures: Figures, least: float) -> list[str]:
    """What the arrivals say against the quota, and against our use of it."""
    arrivals = [float(str(line["arrived"])) for line in log]
    calls = {str(line["api_id"]) for line in log}
    over = {call: _over([line for line in log if line["api_id"] == call]) for call in calls}
    over["all calls"] = _over(log)
    found = [f"exceeded: {call}: {seconds}" for call, seconds in over.items() if seconds > REFUSED * len(log)]
    used = (len(arrivals) - PER_SECOND) / (PER_SECOND * (arrivals[-1] - arrivals[0]))
    refused = sum(line["answer"] == "throttled" for line in log)
    figures.facts |= {"used": f"{used:.1%}", "refused": refused, "by call": _shares(log)}
    if used < least:
        found.append(f"unused: only {used:.1%} of the quota was used")
    if refused > REFUSED * len(log):
        found.append(f"refused: {refused} of {len(log)} requests")
    return found


def _over(log: Sequence[dict[str, object]]) -> int:
    """How many seconds, each from an arrival on, hold more than the quota."""
    at = sorted(float(str(line["arrived"])) for line in log)
    return sum(later - sooner < 1.0 for sooner, later in zip(at, at[PER_SECOND:], strict=False))


def _shares(log: Iterable[dict[str, object]]) -> str:
    calls = [str(line["api_id"]) for line in log]
    return " ".join(f"{call}:{calls.count(call)}" for call in sorted(set(calls)))
