"""The standby: while another daemon leads, walks targets of its sweeps with keys the leader lacks.

The sweep stays the leader's: it starts the sweep, waits for the standby's walks, and accounts for missed
targets. A standby writes under the leader's epoch, so it writes nothing after the lease has changed hands.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from collector.base.outages import Outages
from collector.db.lease import LeaseLost
from collector.db.worklist import OpenSweep, SharedWorklist
from collector.errors import Denied
from collector.log import logger
from collector.sweep.sweeper import Collector

ASKED_EVERY = 1.0
"""Seconds between two looks for walks to help with."""
AGAIN = 60.0
"""Seconds before a denied key is tried again."""

Assemble = Callable[[OpenSweep], AbstractAsyncContextManager[Collector]]
"""Opens a collector writing under the epoch of an open sweep, with keys the leader lacks."""


class StandbyWorker:
    """Helps the leader until cancelled."""

    def __init__(self, claims: SharedWorklist, assemble: Assemble) -> None:
        self._claims = claims
        self._assemble = assemble

    async def run(self, outages: Outages) -> None:
        """Runs until cancelled. StoreError if the database is away."""
        while True:
            open_sweep = await self._claims.find_open_sweep()
            pause = ASKED_EVERY if open_sweep is None else await self._help(open_sweep, outages)
            await asyncio.sleep(pause)

    async def _help(self, open_sweep: OpenSweep, outages: Outages) -> float:
        """Walks the free targets of one sweep; returns the seconds until the next look."""
        try:
            async with (
                self._assemble(open_sweep) as collector,
                self._claims.join(open_sweep.slot, open_sweep.targets, open_sweep.epoch) as work,
            ):
                progress = await collector.assist(open_sweep.slot, open_sweep.targets, work)
        except Denied as error:
            outages.begin("api", f"{type(error).__name__}: {error}", hint=error.hint)
            return AGAIN
        except LeaseLost:
            return 0.0  # the new leader has offered the remaining walks
        outages.end("api")
        logger.info(
            "sweep.helped",
            slot=open_sweep.slot.isoformat(),
            walks=len(progress.outcomes),
            rows=progress.rows,
            seconds=round(progress.seconds(), 3),
        )
        return 0.0
