"""What is done while it is disturbed: a sweep by `once`, a sweep by `daemon`, a backfill; and how it is undisturbed."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.db.errors import DRIVER_ERRORS
from collector.db.pool import connect
from collector.errors import StoreError
from collector.model import KST, Target
from kiwoom_simulator import Options
from tests.support.command_process import Process, ended
from tests.support.harness import OPEN
from tests.torture import judge
from tests.torture.cluster import Cluster
from tests.torture.world import Stage, World, now

ANSWERING = timedelta(milliseconds=4)
SWEEPING = Options(quota=0, freeze=OPEN, latency=ANSWERING)
FILLING = Options(quota=0, freeze=datetime(2026, 11, 22, 12, 0, tzinfo=KST), latency=ANSWERING)
SWEPT = tuple(
    Target.of(market, code, exchange)
    for market, code, exchange in (
        *(("KOSPI", f"{code:03}", "KRX") for code in (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)),
        *(("KOSPI", f"{code:03}", exchange) for code in (5, 13) for exchange in ("NXT", "CONSOLIDATED")),
        ("KOSDAQ", "138", "KRX"),
        ("KOSDAQ", "139", "KRX"),
    )
)
"""Most are walks of one page, as most sectors are; the largest has three."""
FILLED = (Target.of("KOSPI", "010", "KRX"),)
"""22 listings."""
TELECOM = Target.of("KOSPI", "020", "KRX")
"""5 listings."""


_LONGEST = 60.0
_BEFORE_LONG = 0.5
_ASKING = 3.0
_TIME_PASSES = """
UPDATE collector.lease SET expires_at = clock_timestamp();
UPDATE collector.claim SET expires_at = '-infinity'
"""
"""What the dead still hold runs out: nobody has to wait for that a thousand times."""


_SETTLED = (
    "SELECT EXISTS (SELECT FROM collector.accounted AS a JOIN collector.sweep AS s ON s.slot <= a.until)"
)


_ASIDE = (
    "prepare",
    "ask: SELECT current_setting('jit')",
    "ask: WITH RECURSIVE typeinfo",
    "told: SELECT current_setting",
    "told: WITH RECURSIVE typeinfo",
)
"""What the driver does for itself, now and then."""


@dataclass(frozen=True)
class Work:
    """A command and what it works on."""

    name: str
    options: Options
    targets: tuple[Target, ...]

    def arguments(self, slot: datetime) -> tuple[str, ...]:
        return {
            "once": ("once", "--slot", slot.isoformat()),
            "daemon": ("daemon",),
            "backfill": ("backfill", "--from", "2026-11-16", "--to", "2026-11-20"),
        }[self.name]

    @asynccontextmanager
    async def stage(
        self, world: World, cluster: Cluster | None = None, database: str = ""
    ) -> AsyncIterator["Doing"]:
        """A stage for this work, and its slot."""
        async with world.stage(
            *self.targets, options=self.options, cluster=cluster, database=database
        ) as stage:
            yield Doing(self, stage, now())


@dataclass(frozen=True)
class Reference:
    """What it is like when nobody disturbs it: what is there in the end, how long it takes, the steps of it."""

    everything: Counter[str]
    seconds: float
    requests: int
    steps: Counter[str]

    def points(self, at_least: int = 1) -> list[tuple[str, int]]:
        """The first, the middle and the last time of each step that is taken so often."""
        return [
            (step, number)
            for step, count in self.steps.items()
            if count >= at_least and not step.startswith(_ASIDE)
            for number in sorted({1, (count + 1) // 2, count})
        ]


@dataclass(frozen=True)
class Doing:
    """A piece of work on its stage, begun as often as it takes."""

    work: Work
    stage: Stage
    slot: datetime

    @asynccontextmanager
    async def under_way(self, **more: str) -> AsyncIterator[Process]:
        """The command, from the beginning or from where the last one was stopped."""
        await self.let_go()
        async with self.stage.start(*self.work.arguments(self.slot), **more) as process:
            yield process

    async def let_go(self) -> None:
        """Take from the dead what they hold."""
        await self.stage.connection.execute(_TIME_PASSES)

    async def torn(self) -> list[str]:
        return await judge.torn(self.stage.connection)

    async def finish(self, process: Process, *, after: float = 0.0) -> list[str]:
        """Wait until the work is done; what is wrong with the end of it. `after` is how long a trouble lasts."""
        if self.work.name == "daemon":
            if not await self._sweeps(process, _LONGEST + after):
                return [f"broken: no sweep ended in {_LONGEST + after} s: {tail(process)}"]
            process.send_signal(signal.SIGTERM)
        found = await ended(process)
        if found.code:
            return [f"broken: {self.work.name} ended with {found.code}: {found.err[-300:]}"]
        return []

    async def _sweeps(self, process: Process, within: float) -> bool:
        """Whether it ends its sweep in time, or ends itself, or had none to do: one before it was at the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not (await _comes(process, "sweep.ended") or await self._is_settled()):
                    pass
                return True
        return False

    async def _is_settled(self) -> bool:
        """Whether the books are beyond today's slot; not known as long as the server is in trouble."""
        with suppress(StoreError, *DRIVER_ERRORS):
            async with asyncio.timeout(_ASKING), connect(self.stage.database) as connection:
                return bool(await connection.fetchval(_SETTLED))
        return False

    async def held(self) -> tuple[set[Target], set[str]]:
        """What is stored: targets, and listings with their history."""
        return await judge.complete(self.stage.connection), await judge.settled(self.stage.connection)

    async def unsound(self, process: Process) -> list[str]:
        """What is wrong with the database after the death of a process, whenever it came."""
        return [*await self.torn(), *await self.unkept(process)]

    async def unkept(self, process: Process) -> list[str]:
        """What a process said was stored and is not."""
        there = {str(target) for target in await judge.complete(self.stage.connection)}
        claimed = {
            str(line["target"]) for line in said(process, "walk.stored") if line["status"] == "complete"
        }
        return [f"lost: {target} was said to be stored" for target in sorted(claimed - there)]

    async def unlike(self, reference: Reference) -> list[str]:
        """What is wrong with everything in the end."""
        connection = self.stage.connection
        found = [*await judge.torn(connection), *await judge.altered(connection, self.stage.simulator)]
        found += await judge.missing(connection, self.work.targets)
        return [*found, *judge.differing(await judge.everything(connection), reference.everything)]


ONCE = Work("once", SWEEPING, SWEPT)
DAEMON = Work("daemon", SWEEPING, SWEPT)
BACKFILL = Work("backfill", FILLING, FILLED)
EVERY = (ONCE, DAEMON, BACKFILL)


def small(work: Work) -> Work:
    """The same with less to do, for when each step is tried by itself."""
    return replace(work, targets=(TELECOM,) if work.name == "backfill" else work.targets[:6])


def said(process: Process, event: str) -> list[dict[str, object]]:
    """The lines of an event that a process has logged so far."""
    text = (process._folder / "err").read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    mark = f'"event": "{event}"'
    return [json.loads(line) for line in whole.splitlines() if mark in line]


async def _comes(process: Process, event: str) -> bool:
    """Whether it says so, or ends, before long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_BEFORE_LONG):
            while not said(process, event) and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return True
    return False


def tail(process: Process) -> str:
    """The last that it said."""
    return (process._folder / "err").read_text(encoding="utf-8")[-1500:]


async def undisturbed(world: World, work: Work) -> Reference:
    """Do it once in peace."""
    async with work.stage(world) as doing:
        began = time.monotonic()
        async with doing.under_way() as process:
            assert not (wrong := await doing.finish(process)), wrong
        seconds = time.monotonic() - began
        everything = await judge.everything(doing.stage.connection)
        reference = Reference(
            everything, seconds, doing.stage.simulator.api.book.count, Counter(doing.stage.tap.heard)
        )
        assert not (wrong := await doing.unlike(reference)), wrong
        return reference
