"""Tokens that die under four programs, and daemons that were frozen while they held the lease.

Issuing a token kills the one before, so programs that each helped themselves would never come to rest: of
each death there may come one new token, and one at the very beginning. And who wakes up from a freeze finds
that somebody else holds the lease; whatever it still had in hand it must not write.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from collector.model import Target
from tests.torture import judge
from tests.torture.figures import Figures
from tests.torture.work import SWEEPING, SWEPT, said
from tests.torture.world import Stage, World, now

NAME = "tokens"
LONG, SHORT = 200, 40

PROGRAMS = 4
APART = timedelta(seconds=144)
INVALIDATIONS_A_ZOMBIE = 20
SLOWER = replace(SWEEPING, latency=timedelta(seconds=1.0))
MANY = tuple(Target.of("KOSPI", f"{code:03}", "KRX") for code in range(5, 22))
_LEDGER = "SELECT md5(string_agg(w::text, ',' ORDER BY target)) FROM collector.walk AS w"
_PATIENCE = 60.0


async def run(world: World, count: int, chance: Random) -> Figures:
    figures = Figures()

    async def zombie(number: int, chance: Random) -> Sequence[str]:
        figures.count("zombies")
        return await _woken(world, chance)

    dying = asyncio.ensure_future(_renewed(world, count, chance, figures))
    await world.rounds(NAME, figures, zombie, count=max(2, count // INVALIDATIONS_A_ZOMBIE))
    figures.lose(0, await dying)
    return figures


async def _renewed(world: World, count: int, chance: Random, figures: Figures) -> list[str]:
    """Let the token die as often as `count` says, while four programs sweep all the time."""
    async with world.stage(*SWEPT, options=replace(SWEEPING, latency=timedelta(milliseconds=20))) as stage:
        programs = [asyncio.ensure_future(_sweep_on(stage, number)) for number in range(PROGRAMS)]
        tokens = stage.simulator.api.tokens
        async with asyncio.timeout(60 + 10 * count):
            while figures.tried < count and not any(program.done() for program in programs):
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                figures.tried += tokens.expire() > 0
            await asyncio.sleep(1.0)
        for program in programs:
            program.cancel()
        ended = await asyncio.gather(*programs, return_exceptions=True)
        figures.facts["issued"] = tokens.issued
        broken = [f"broken: {error}" for error in ended if isinstance(error, Exception)]
        torn = await judge.torn(stage.connection)
    if tokens.issued > figures.tried + 1:
        return [*broken, *torn, f"issued: {tokens.issued} tokens for {figures.tried} deaths"]
    return [*broken, *torn]


async def _sweep_on(stage: Stage, number: int) -> None:
    """Sweep after sweep, of slots that no other program has.

    A walk may fail whose token died twice, and a sweep may be given up of which two new ones died unused.
    """
    while True:
        slot = now() - number * APART
        async with stage.start("once", "--quiet", "--slot", slot.isoformat()) as process:
            _, errors = await process.communicate()
            given_up = b"a new token is refused as well" in errors
            assert given_up or process.returncode in (0, 1), errors.decode()[-500:]


async def _woken(world: World, chance: Random) -> list[str]:
    """Freeze the holder of the lease in mid-sweep; when another one has done its work, wake it."""
    async with world.stage(*MANY, options=SLOWER) as stage, stage.start("daemon") as holder:
        await _until(lambda: said(holder, "walk.stored"))
        async with stage.start("daemon") as follower:
            await _until(lambda: said(follower, "standby.started"))
            await asyncio.sleep(chance.uniform(0, 1.2))
            holder.send_signal(signal.SIGSTOP)
            await _until(lambda: said(follower, "sweep.ended"))
            before = await stage.connection.fetchval(_LEDGER)
            holder.send_signal(signal.SIGCONT)
            await _until(lambda: said(holder, "standby.started"))
            after = await stage.connection.fetchval(_LEDGER)
        losses = [*await judge.torn(stage.connection), *await judge.missing(stage.connection, MANY)]
        if before != after:
            losses.append("doubled: a daemon that had lost the lease has written")
        return losses


async def _until(condition: Callable[[], object]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody there to set an event
            await asyncio.sleep(0.05)
