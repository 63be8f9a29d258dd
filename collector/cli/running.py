"""The daemon in its process: configuration, signals, systemd."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from collector import clocks, daemon, log, postgres
from collector import config as configuration
from collector.calendar import Calendar
from collector.claims import Wanted
from collector.cli import nightly, timetable, wiring, world
from collector.cli.schedule import read_calendar
from collector.cli.start_check import checking
from collector.clocks import Witness
from collector.collect import Collector
from collector.errors import CollectorError, ConfigError, StoreError
from collector.lease import Lease, leased
from collector.log import logger
from collector.registry import Registry
from collector.store import Store
from collector.together import together

LONGEST_GOODBYE = 4.5
"""Seconds after a signal until the process ends, come what may: a commit is whole or not there at any moment."""


def run(config_path: Path | None, *, force: bool, with_page: bool = False) -> int:
    """The exit status, when it has been told to stop; `with_page` serves the status page meanwhile."""
    log.configure()
    order = Order(config_path, force=force)
    asyncio.run(_until_stopped(order, with_page=with_page))
    return 0


class Order:
    """The configuration in force with the keys and the calendar that it names, and how all that is read anew.

    What is in force has been read: a file that goes or changes meanwhile counts from the next SIGHUP on, and
    not when the database comes back.
    """

    def __init__(self, config_path: Path | None, *, force: bool) -> None:
        self.world = world.read(config_path)
        self.calendar = read_calendar(Path(self.world.config.origin))
        self.keys = configuration.keys(self.world.config, self.world.environment)
        self.is_checked = False
        """Whether the keys in force were tried."""
        self._force = force
        self._refuse(self.world, self.calendar)

    async def reread(self) -> bool:
        """Take the file as it is now; False if it is wrong, and then nothing has changed."""
        path = Path(self.world.config.origin)
        try:
            config = configuration.load(path, base_url=self.world.environment.base_url)
            found, calendar = replace(self.world, config=config), read_calendar(path)
            keys = configuration.keys(config, found.environment)
            self._refuse_another_source(config)
            await asyncio.to_thread(self._refuse, found, calendar)
            await self._refuse_infeasible(found, calendar)
        except CollectorError as error:
            logger.error("config.refused", reason=str(error), hint=error.hint)
            return False
        self.world, self.calendar, self.keys, self.is_checked = found, calendar, keys, False
        logger.info("config.reread", digest=configuration.digest(config))
        return True

    async def refuse_infeasible(self) -> None:
        """ConfigError if the schedules do not fit the quota; StoreError if the database lets nobody in."""
        await self._refuse_infeasible(self.world, self.calendar)

    async def _refuse_infeasible(self, found: world.World, calendar: Calendar) -> None:
        """As far as the database is there to tell: one that is away must not keep the daemon from waiting."""
        try:
            async with wiring.database(found.environment) as held:
                if not self._force:
                    await timetable.refuse_infeasible(found.config, calendar, held, datetime.now(UTC))
        except StoreError as error:
            if postgres.is_refusal(error):
                raise
            logger.warning("plan.unchecked", reason=str(error))

    def _refuse_another_source(self, config: configuration.Config) -> None:
        """A database takes the data of one source only, and ours stays the one that we began with."""
        old, new = self.world.config.api, config.api
        if wiring.source(new) != wiring.source(old):
            text = f"api.base_url: {new.base_url} is another source than {old.base_url}"
            raise ConfigError(
                config.complaint(("api", "base_url"), text),
                hint="its data go into a database of their own: start another daemon on that",
            )

    def _refuse(self, found: world.World, calendar: Calendar) -> None:
        timetable.refuse_complaints(found.config, calendar, datetime.now(UTC), force=self._force)
        nightly.refuse_without_parquet(found.config)


Shown = Callable[[Collector], AbstractContextManager[object]]
"""Shows a collector to somebody while it is at work."""


@asynccontextmanager
async def assembled(
    order: Order, holder: str, shown: Shown = nullcontext, *, witness: Witness | None = None
) -> AsyncIterator[daemon.Parts]:
    """All that the daemon works with, everything that it writes under the lease.

    `witness` is the clock that the daemon's own is compared with, None for the database's.
    """
    async with wiring.collector(order.world, order.keys) as plain:
        lease = Lease(plain.store.database, holder)
        database = leased(plain.store.database, lease)
        registry = Registry(database)
        await registry.open()
        collector = replace(plain, store=Store(database, registry))
        collector = replace(collector, worklist=wiring.worklist(collector, lambda: lease.epoch))
        config = order.world.config
        universes = {schedule.universe for schedule in config.schedules}
        roster = daemon.Roster(
            config.schedules,
            order.calendar,
            {name: configuration.universe_targets(config, name, collector.sectors) for name in universes},
            config.database.keep_days,
            config.database.archive_after_days,
            nightly.archiver(order.world),
            nightly.prover(order.world),
        )
        with shown(collector):
            helper = daemon.Helper(wiring.worklist(plain), partial(_helping, plain))
            yield daemon.Parts(
                roster,
                collector,
                daemon.Accounts(database, registry),
                lease,
                helper,
                witness or clocks.witness(plain.store.database),
            )


@asynccontextmanager
async def _checking_keys(
    order: Order, assembly: AbstractAsyncContextManager[daemon.Parts]
) -> AsyncIterator[daemon.Parts]:
    """The same, with each key tried once beside it, unless those in force were tried before."""
    async with assembly as parts:
        keys = () if order.is_checked else parts.collector.keys
        order.is_checked = True
        async with checking(keys, order.world.config.api.base_url):
            yield parts


@asynccontextmanager
async def _helping(plain: Collector, wanted: Wanted) -> AsyncIterator[Collector]:
    """The same for a while under another daemon's lease, with the keys that this one has not."""
    lease = Lease(plain.store.database, "")
    lease.epoch = wanted.epoch
    database = leased(plain.store.database, lease)
    registry = Registry(database)
    await registry.open()
    kiwoom, *others = (kiwoom for kiwoom in plain.keys if kiwoom.key not in wanted.keys)
    yield replace(plain, kiwoom=kiwoom, others=others, store=Store(database, registry))


async def _until_stopped(order: Order, *, with_page: bool) -> None:
    notify = daemon.notifier(os.environ)
    task = asyncio.ensure_future(_run_with_page(order, notify) if with_page else _run(order, notify))
    _mind_signals(task, notify)
    with suppress(asyncio.CancelledError):
        await task


async def _run_with_page(order: Order, notify: daemon.Notify) -> None:
    from collector.cli import web  # noqa: PLC0415 - what draws pages need not be loaded where none is served
    from collector.web import Live  # noqa: PLC0415

    live = Live()
    async with web.serving(order.world, lambda: (order.world.config, order.calendar), live) as address:
        logger.info("web.listening", address=address)
        await _run(order, notify, live.attached)


async def _run(order: Order, notify: daemon.Notify, shown: Shown = nullcontext) -> None:
    await order.refuse_infeasible()
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    running = daemon.Daemon(
        lambda: _checking_keys(order, assembled(order, holder, shown)), daemon.SystemClock(), notify
    )
    async with together() as group:
        group.create_task(_reread_on_hup(order, running))
        group.create_task(_show_life(notify))
        await running.run()


def _mind_signals(task: asyncio.Task[None], notify: daemon.Notify) -> None:
    """The first of SIGTERM and SIGINT cancels, which is always safe; the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        logger.info("daemon.stopping", signal=number.name)
        notify("STOPPING=1")
        for other in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(other)
            signal.signal(other, lambda number, _: os._exit(128 + number))
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, LONGEST_GOODBYE)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _reread_on_hup(order: Order, running: daemon.Daemon) -> None:
    called = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, called.set)
    while True:
        await called.wait()
        called.clear()
        if await order.reread():
            running.reload.set()


async def _show_life(notify: daemon.Notify) -> None:
    every = daemon.watchdog(os.environ, os.getpid())
    while every is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(every)
