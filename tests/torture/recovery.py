"""kill -9 of `replay` and `repair` at random moments, until one run comes through.

Replay: each walk has the rows of before or of after, with one line of history if it was replaced. Repair: each listing
has all its rows or none, and its line with them; no listing that was settled is asked for again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from collector import log
from collector.model import KST, Target
from kiwoom_simulator import Options
from tests.support.command_process import ended
from tests.support.day_collector import list_slots
from tests.support.harness import OPEN, collecting
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.world import Stage, World

NAME = "recovery"
LONG, SHORT = 200, 20
"""Kills, half of them of each command."""

READ = (
    *(Target.of("KOSPI", code, exchange) for code in ("005", "013") for exchange in ("KRX", "NXT")),
    *(Target.of("KOSPI", code, "KRX") for code in ("008", "012")),
    Target.of("KOSDAQ", "139", "KRX"),
)
MENDED = Target.of("KOSPI", "006", "KRX")
"""28 listings, all of them traded on the day."""
SLOTS = 78
SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=KST)
SCHEDULE = "schedules:\n  intraday: {universe: all, every: 5m, during: KRX.regular}\n"

# The rows as they were served, kept aside; then what a decoder with a bug leaves.
SPOIL = """
CREATE SCHEMA aside;
CREATE TABLE aside.good AS SELECT * FROM collector.snapshot;
UPDATE collector.snapshot SET price = price * 10;
UPDATE collector.walk SET digest = '\\x00'
"""
_MIXED = """
WITH expected AS (
    SELECT g.slot, g.target, g.position, g.listing, g.volume,
           CASE WHEN w.digest = '\\x00' THEN g.price * 10 ELSE g.price END AS price
    FROM aside.good AS g
    JOIN collector.walk AS w USING (slot, target)
), present AS (
    SELECT slot, target, position, listing, volume, price FROM collector.snapshot
)
SELECT count(*)
FROM ((TABLE expected EXCEPT ALL TABLE present) UNION ALL (TABLE present EXCEPT ALL TABLE expected)) AS d
"""
_HISTORY = """
SELECT (SELECT count(*) FROM collector.replay),
       (SELECT count(DISTINCT (slot, target)) FROM collector.replay),
       (SELECT count(*) FROM collector.walk WHERE digest <> '\\x00')
"""
# A listing without minute bars is settled, too, without rows.
_TORN_LISTINGS = """
SELECT symbol, exchange, count(r.slot) AS rows, max(p.outcome) AS outcome
FROM collector.reconstructed AS r
FULL JOIN collector.repair AS p USING (symbol, exchange)
GROUP BY symbol, exchange
HAVING count(r.slot) IS DISTINCT FROM CASE max(p.outcome) WHEN 'repaired' THEN $1 WHEN 'empty' THEN 0 END
"""
_SETTLED = "SELECT symbol FROM collector.repair WHERE outcome IN ('repaired', 'empty')"
_UNMARKED = "SELECT count(*) FROM collector.walk WHERE status IN ('missed', 'failed') AND repaired_at IS NULL"


class _Recovery(Protocol):
    """A command on its stage: its arguments, and the losses after a kill and at the end."""

    arguments: Sequence[str]
    stage: Stage

    async def losses(self) -> list[str]: ...

    async def losses_at_the_end(self) -> list[str]: ...


@dataclass
class ReplayRecovery:
    stage: Stage
    arguments: Sequence[str] = ("replay", "--quiet")
    replaced: int = 0

    async def losses(self) -> list[str]:
        connection = self.stage.connection
        found = await judge.torn(connection)
        if mixed := await connection.fetchval(_MIXED):
            found.append(f"torn: {mixed} rows are neither those of before nor those of after")
        lines, walks, replaced = await connection.fetchrow(_HISTORY)
        if not lines == walks == replaced:
            found.append(f"doubled: {lines} lines of history, {walks} walks in them, {replaced} replaced")
        if replaced < self.replaced:
            found.append(f"lost: {replaced} walks are replaced, and {self.replaced} were")
        self.replaced = replaced
        return found

    async def losses_at_the_end(self) -> list[str]:
        left = await self.stage.connection.fetchval(
            "SELECT count(*) FROM collector.walk WHERE digest = '\\x00'"
        )
        return [f"lost: {left} walks are not replaced"] if left else []


@dataclass
class RepairRecovery:
    stage: Stage
    members: int
    arguments: Sequence[str] = ("repair", "--quiet", "--from", "2026-11-20", "--to", "2026-11-20")
    asked: int = 0
    settled: frozenset[str] = frozenset()

    async def losses(self) -> list[str]:
        connection, book = self.stage.connection, self.stage.simulator.api.book
        found = [
            f"torn: {symbol} on {exchange} has {rows} rows, and its line says {outcome}"
            for symbol, exchange, rows, outcome in await connection.fetch(_TORN_LISTINGS, SLOTS)
        ]
        again = {line["symbol"] for line in book.since(self.asked) if line["api_id"] == "ka10080"}
        found += [f"doubled: {symbol} was settled, and is asked again" for symbol in again & self.settled]
        settled = frozenset(row["symbol"] for row in await connection.fetch(_SETTLED))
        found += [f"lost: {symbol} was settled" for symbol in sorted(self.settled - settled)]
        self.asked, self.settled = book.count, settled
        return found

    async def losses_at_the_end(self) -> list[str]:
        found = [f"lost: {self.members - len(self.settled)} listings"] * (len(self.settled) != self.members)
        unmarked = await self.stage.connection.fetchval(_UNMARKED)
        return [*found, *[f"lost: {unmarked} lines without repaired_at"] * bool(unmarked)]


async def run(world: World, count: int, chance: Random) -> Figures:
    log.configure(level="error")  # the sweeps that prepare a stage run in this process
    figures = Figures(facts={"of replay": 0, "of repair": 0})
    longest = [await _undisturbed(stage) for stage in (_replaying(world), _repairing(world))]

    async def one(number: int, chance: Random) -> Sequence[str]:
        kind = number % 2
        async with (_replaying, _repairing)[kind](world) as recovery:
            return await _killed_until_done(recovery, longest[kind], figures, chance)

    await world.rounds(NAME, figures, one, enough=lambda: _is_enough(figures, count))
    return figures


def _is_enough(figures: Figures, count: int) -> bool:
    """Whether each of the two commands was killed often enough; a round kills one of them."""
    kills = [figures.facts[fact] for fact in ("of replay", "of repair")]
    return all(isinstance(number, int) and 2 * number >= count for number in kills)


async def _undisturbed(recovering: AbstractAsyncContextManager[_Recovery]) -> float:
    async with recovering as recovery:
        began = time.monotonic()
        async with recovery.stage.start(*recovery.arguments) as process:
            found = await ended(process)
        assert found.code == 0, found
        seconds = time.monotonic() - began
        assert not (losses := [*await recovery.losses(), *await recovery.losses_at_the_end()]), losses
        return seconds


async def _killed_until_done(
    recovery: _Recovery, longest: float, figures: Figures, chance: Random
) -> Sequence[str]:
    losses: list[str] = []
    deaths = 0
    while await _killed(recovery, longest * (1 + deaths / 8), chance, losses):
        deaths += 1  # it is given more time after each, so that there is an end
        figures.tried += 1
        figures.count(f"of {recovery.arguments[0]}")
    return [*losses, *await recovery.losses_at_the_end()]


async def _killed(recovery: _Recovery, longest: float, chance: Random, losses: list[str]) -> bool:
    """Whether death came before the end of the command."""
    async with recovery.stage.start(*recovery.arguments) as process:
        finishing = asyncio.ensure_future(ended(process))
        await asyncio.wait([finishing], timeout=chance.uniform(0, longest))
        is_done = finishing.done()
        if is_done:
            code = (await finishing).code
            losses += [f"broken: {recovery.arguments[0]} ended with {code}"] * bool(code)
        else:
            finishing.cancel()
            process.kill()
            await process.communicate()
    losses += await recovery.losses()
    return not is_done


@asynccontextmanager
async def _replaying(world: World) -> AsyncIterator[_Recovery]:
    """Twelve slots of seven targets whose rows a bug has spoilt, and their answers."""
    slots = list_slots(OPEN, 12)
    async with world.stage(*READ, options=Options(quota=0, freeze=OPEN)) as stage:
        async with collecting(stage.database, stage.simulator.url, *READ) as collector:
            for slot in slots:
                stage.simulator.clock.turn(at=slot)
                await collector.sweep(slot, "all", READ)
        await stage.connection.execute(SPOIL)
        yield ReplayRecovery(stage)


@asynccontextmanager
async def _repairing(world: World) -> AsyncIterator[_Recovery]:
    """A day of which one slot was observed, and two lines say missed and failed."""
    options = Options(quota=0, freeze=OPEN, latency=timedelta(milliseconds=4))
    line = "INSERT INTO collector.walk (slot, target, status) SELECT $1, id, $2 FROM collector.target"
    async with world.stage(MENDED, options=options, more=SCHEDULE, timeout="60s") as stage:
        async with collecting(stage.database, stage.simulator.url, MENDED) as collector:
            sweep = await collector.sweep(OPEN, "all", [MENDED])
        for minutes, status in ((5, "missed"), (10, "failed")):
            await stage.connection.execute(line, OPEN + timedelta(minutes=minutes), status)
        stage.simulator.clock.turn(at=SUNDAY)
        yield RepairRecovery(stage, sweep.outcomes[0].rows)
