"""What a daemon does while another one holds the lease: walk, with keys that the holder has not, what it shared out.

The sweep stays the holder's: it begins it, waits for what is walked for it, and accounts for what is missed. A
helper writes under the holder's epoch, so that it writes nothing once the lease has changed hands.
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
"""Seconds until a key that was denied is tried again."""

Assemble = Callable[[OpenSweep], AbstractAsyncContextManager[Collector]]
"""A collector that writes under the epoch of what is wanted, with the keys that its holder has not."""


class StandbyWorker:
    """Helps for as long as it runs."""

    def __init__(self, claims: SharedWorklist, assemble: Assemble) -> None:
        self._claims = claims
        self._assemble = assemble

    async def run(self, outages: Outages) -> None:
        """Until cancelled. StoreError if the database is away."""
        while True:
            wanted = await self._claims.find_open_sweep()
            pause = ASKED_EVERY if wanted is None else await self._help(wanted, outages)
            await asyncio.sleep(pause)

    async def _help(self, wanted: OpenSweep, outages: Outages) -> float:
        """Walk what is free of one sweep; seconds until the next look."""
        try:
            async with (
                self._assemble(wanted) as collector,
                self._claims.join(wanted.slot, wanted.targets, wanted.epoch) as work,
            ):
                tally = await collector.assist(wanted.slot, wanted.targets, work)
        except Denied as error:
            outages.begin("api", f"{type(error).__name__}: {error}", hint=error.hint)
            return AGAIN
        except LeaseLost:
            return 0.0  # whoever has it now has shared out what is left
        outages.end("api")
        logger.info(
            "sweep.helped",
            slot=wanted.slot.isoformat(),
            walks=len(tally.outcomes),
            rows=tally.rows,
            seconds=round(tally.seconds(), 3),
        )
        return 0.0
