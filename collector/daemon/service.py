"""The daemon from start to end: connects to the database, waits for the lease, sweeps, and starts over after
trouble.

Any StoreError closes everything and opens it again after a pause: connections, the API session, cached ids.
So there is one way back for every trouble, and it costs no API call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from collector.base.aio import raise_if_cancelled, task_group
from collector.base.clock import Clock
from collector.base.outages import Outages
from collector.daemon.agreement import Agreement
from collector.daemon.leader import LeaderTerm
from collector.daemon.observer import DaemonObserver, NoObserver
from collector.daemon.overrun import Reason
from collector.daemon.sd_notify import Notify
from collector.daemon.standby import StandbyWorker
from collector.daemon.upkeep import Upkeep
from collector.db.accounting import SlotAccounting
from collector.db.clocks import ClocksApart, ReferenceClock
from collector.db.lease import ASKED_EVERY, Lease, LeaseLost
from collector.errors import StoreError
from collector.log import logger
from collector.market.timetable import Timetable
from collector.sweep.sweeper import Collector

LONGEST_PAUSE = 5.0
"""Longest pause in seconds between two attempts to reach an absent database."""
# A run of this many seconds counts as healthy and resets the pauses.
_STEADY = 60.0


@dataclass(frozen=True)
class DaemonContext:
    """The parts of a daemon with an open database; the collector writes under the lease.

    `helper` works while another daemon has the lease; with None this daemon only waits.
    """

    timetable: Timetable
    upkeep: Upkeep
    collector: Collector
    accounts: SlotAccounting
    lease: Lease
    helper: StandbyWorker | None = None
    reference_clock: ReferenceClock | None = None
    """The database's clock; with None this machine's clock is trusted."""


class DaemonService:
    """Runs the daemon. `assemble` opens the parts: at the start, after every trouble, and after `reload` is set."""

    def __init__(
        self,
        assemble: Callable[[], AbstractAsyncContextManager[DaemonContext]],
        clock: Clock,
        notify: Notify,
        observer: DaemonObserver | None = None,
    ) -> None:
        self.reload = asyncio.Event()
        self._assemble = assemble
        self._clock = clock
        self._notify = notify
        self._seconds = asyncio.get_running_loop().time
        self._observer = observer or NoObserver()
        self._outages = Outages(
            self._seconds, on_begin=self._observer.begin_outage, on_end=self._observer.end_outage
        )
        self._up_since = clock.now()
        self._away_since: datetime | None = None
        self._has_held = False
        self._failures = 0

    async def run(self) -> None:
        """Runs until cancelled. ConfigError if the database is unsuitable; any other error is a bug."""
        while True:
            trouble: StoreError | None = None
            began = self._seconds()
            try:
                await self._serve()
            except StoreError as error:
                trouble = error
            raise_if_cancelled()
            if self._seconds() - began > _STEADY:
                self._failures = 0
            if trouble is not None:
                self._note_trouble(trouble)
                await asyncio.sleep(min(LONGEST_PAUSE, 0.25 * 2 ** min(self._failures, 6)))

    def _note_trouble(self, error: StoreError) -> None:
        if not self._failures:
            self._away_since = self._clock.now()
        self._failures += 1
        self._outages.begin("database", str(error))
        self._notify("STATUS=the database is away")

    async def _serve(self) -> None:
        """Opens the parts and leads whenever the lease is free, until the configuration changes."""
        self.reload.clear()
        async with self._assemble() as parts:
            self._notify("READY=1")
            agreement = Agreement(
                self._clock, parts.reference_clock, on_comparison=self._observer.compare_clocks
            )
            while not self.reload.is_set():
                raise_if_cancelled()
                await self._reach_agreement(agreement)
                with suppress(ClocksApart):  # logged; another daemon may take the lease meanwhile
                    async with self._hold_lease(parts, agreement) as is_held:
                        if is_held:
                            await self._sweep(parts, agreement)

    async def _reach_agreement(self, agreement: Agreement) -> None:
        """Waits, without the lease, until the clocks of this machine and of the database agree."""
        if await agreement.is_apart():
            self._outages.end("database")
            self._failures = 0
            self._notify("STATUS=waiting: this machine's clock is not the database's")
            await agreement.sleep_until(self.reload)

    async def _sweep(self, parts: DaemonContext, agreement: Agreement) -> None:
        self._outages.end("database")
        self._notify("STATUS=collecting as scheduled")
        term = LeaderTerm(
            parts.timetable,
            parts.collector,
            parts.accounts,
            parts.lease,
            clock=self._clock,
            agreement=agreement,
            upkeep=parts.upkeep,
            outages=self._outages,
            why=self._why(),
            stop_event=self.reload,
            settled=self._observer.settle_slot,
        )
        self._has_held = True
        self._observer.lead(True)
        try:
            await term.run()
        except LeaseLost as error:
            logger.warning("lease.lost", reason=str(error))
        finally:
            self._observer.lead(False)

    def _why(self) -> Callable[[datetime], Reason]:
        """Returns a function giving the reason for slots missed while this daemon had no lease."""
        up_since, has_held = self._up_since, self._has_held
        away_since = self._away_since if self._failures else None

        def why(at: datetime) -> Reason:
            if at < up_since:
                return Reason.DOWN
            if away_since is not None and at >= away_since:
                return Reason.DATABASE
            return Reason.LATE if has_held else Reason.DOWN

        return why

    @asynccontextmanager
    async def _hold_lease(self, parts: DaemonContext, agreement: Agreement) -> AsyncIterator[bool]:
        """Holds the lease from acquisition to release; yields False if the configuration changes first."""
        lease = parts.lease
        if not await lease.take() and not await self._stand_by(parts, agreement):
            yield False
            return
        logger.info("lease.taken", holder=lease.holder, epoch=lease.epoch)
        try:
            yield True
        finally:
            with suppress(StoreError):
                await lease.release()

    async def _stand_by(self, parts: DaemonContext, agreement: Agreement) -> bool:
        """Help until the lease is free; return False if the configuration changes first."""
        holder = await parts.lease.read_holder()
        logger.info("standby.started", holder=holder, standby=parts.lease.holder)
        self._notify("STATUS=standing by")
        self._outages.end("database")
        self._failures = 0
        async with task_group() as group:
            comparing = group.create_task(agreement.keep())
            helping = group.create_task(parts.helper.run(self._outages)) if parts.helper else None
            while not self.reload.is_set() and not await parts.lease.take():
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASKED_EVERY):
                        await self.reload.wait()
            comparing.cancel()
            if helping is not None:
                helping.cancel()
        return parts.lease.epoch is not None
