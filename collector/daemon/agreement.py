"""Compares the daemon's clock with the database's, before every slot and every minute."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from collector.base.clock import GLANCE, Clock
from collector.db import clocks
from collector.db.clocks import COMPARED_EVERY, ClocksApart, Comparison, ReferenceClock
from collector.log import logger


class Agreement:
    """Compares the host's clock with a reference clock; without one the host's clock is trusted.

    `on_comparison` hears of each comparison.
    """

    def __init__(
        self,
        clock: Clock,
        reference: ReferenceClock | None,
        *,
        on_comparison: Callable[[Comparison], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._on_comparison = on_comparison
        self._reference = reference
        self._was_apart = False

    async def now(self) -> datetime:
        """Returns the host's time, confirmed by the reference clock; ClocksApart if they differ."""
        comparison = await self._compare()
        if comparison.is_apart:
            raise ClocksApart(comparison.in_words())
        return comparison.asked

    async def is_apart(self) -> bool:
        """Returns True if the clocks differ by more than a few seconds."""
        return (await self._compare()).is_apart

    async def keep(self) -> None:
        """Compares the clocks every minute until they differ, then raises ClocksApart."""
        while self._reference is not None:
            await asyncio.sleep(COMPARED_EVERY)
            await self.now()

    async def sleep_until(self, unless: asyncio.Event) -> None:
        """Waits until the clocks agree, or until `unless` is set."""
        while await self.is_apart() and not unless.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(GLANCE):
                    await unless.wait()

    async def _compare(self) -> Comparison:
        """Compares the clocks once, and logs a change since the last comparison."""
        if self._reference is None:
            now = self._clock.now()
            return Comparison(now, now, now)
        comparison = await clocks.compare(self._reference, self._clock.now)
        self._on_comparison(comparison)
        if comparison.is_apart != self._was_apart:
            self._was_apart = comparison.is_apart
            _log(comparison)
        return comparison


def _log(comparison: Comparison) -> None:
    shown = {"host": comparison.asked.isoformat(), "database": comparison.shown.isoformat()}
    if comparison.is_apart:
        logger.error("clocks.apart", difference=comparison.in_words(), **shown)
    else:
        logger.warning("clocks.agree", **shown)
