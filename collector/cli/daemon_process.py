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

from collector import config as configuration
from collector import daemon, log
from collector.base.aio import task_group
from collector.cli import bootstrap, feasibility
from collector.cli.archive_job import make_archive_job, prover, refuse_without_parquet
from collector.cli.context import CliContext, read_context
from collector.cli.schedule import read_calendar
from collector.cli.start_check import checking
from collector.db import clocks
from collector.db.catalog import Registry
from collector.db.clocks import Witness
from collector.db.errors import is_refusal
from collector.db.lease import Lease, fence
from collector.db.snapshots import SnapshotStore
from collector.db.worklist import OpenSweep
from collector.errors import CollectorError, ConfigError, StoreError
from collector.log import logger
from collector.market.calendar import Calendar
from collector.sweep.sweeper import Collector

LONGEST_GOODBYE = 4.5
"""Seconds after a signal until the process ends, come what may: a commit is whole or not there at any moment."""


def run(config_path: Path | None, *, force: bool, with_page: bool = False) -> int:
    """The exit status, when it has been told to stop; `with_page` serves the status page meanwhile."""
    log.configure()
    order = ReloadableConfig(config_path, force=force)
    asyncio.run(_until_stopped(order, with_page=with_page))
    return 0


class ReloadableConfig:
    """The configuration in force with the keys and the calendar that it names, and how all that is read anew.

    What is in force has been read: a file that goes or changes meanwhile counts from the next SIGHUP on, and
    not when the database comes back.
    """

    def __init__(self, config_path: Path | None, *, force: bool) -> None:
        self.context = read_context(config_path)
        self.calendar = read_calendar(Path(self.context.config.origin))
        self.keys = configuration.keys(self.context.config, self.context.environment)
        self.is_checked = False
        """Whether the keys in force were tried."""
        self._force = force
        self._refuse(self.context, self.calendar)

    async def reload(self) -> bool:
        """Take the file as it is now; False if it is wrong, and then nothing has changed."""
        path = Path(self.context.config.origin)
        try:
            config = configuration.load(path, base_url=self.context.environment.base_url)
            context, calendar = replace(self.context, config=config), read_calendar(path)
            keys = configuration.keys(config, context.environment)
            self._refuse_another_source(config)
            await asyncio.to_thread(self._refuse, context, calendar)
            await self._refuse_infeasible(context, calendar)
        except CollectorError as error:
            logger.error("config.refused", reason=str(error), hint=error.hint)
            return False
        self.context, self.calendar, self.keys, self.is_checked = context, calendar, keys, False
        logger.info("config.reread", digest=configuration.digest(config))
        return True

    async def refuse_infeasible(self) -> None:
        """ConfigError if the schedules do not fit the quota; StoreError if the database lets nobody in."""
        await self._refuse_infeasible(self.context, self.calendar)

    async def _refuse_infeasible(self, context: CliContext, calendar: Calendar) -> None:
        """As far as the database is there to tell: one that is away must not keep the daemon from waiting."""
        try:
            async with bootstrap.open_database(context.environment) as database:
                if not self._force:
                    await feasibility.refuse_infeasible(context.config, calendar, database, datetime.now(UTC))
        except StoreError as error:
            if is_refusal(error):
                raise
            logger.warning("plan.check_skipped", reason=str(error))

    def _refuse_another_source(self, config: configuration.Config) -> None:
        """A database takes the data of one source only, and ours stays the one that we began with."""
        old, new = self.context.config.api, config.api
        if bootstrap.source(new) != bootstrap.source(old):
            text = f"api.base_url: {new.base_url} is another source than {old.base_url}"
            raise ConfigError(
                config.format_error(("api", "base_url"), text),
                hint="its data go into a database of their own: start another daemon on that",
            )

    def _refuse(self, context: CliContext, calendar: Calendar) -> None:
        feasibility.refuse_bad_schedules(context.config, calendar, datetime.now(UTC), force=self._force)
        refuse_without_parquet(context.config)


CollectorScope = Callable[[Collector], AbstractContextManager[object]]
"""Shows a collector to somebody while it is at work."""


@asynccontextmanager
async def open_daemon(
    order: ReloadableConfig,
    holder: str,
    shown: CollectorScope = nullcontext,
    *,
    witness: Witness | None = None,
) -> AsyncIterator[daemon.DaemonContext]:
    """All that the daemon works with, everything that it writes under the lease.

    `witness` is the clock that the daemon's own is compared with, None for the database's.
    """
    async with bootstrap.open_collector(order.context, order.keys) as plain:
        lease = Lease(plain.store.database, holder)
        database = fence(plain.store.database, lease)
        registry = Registry(database)
        await registry.open()
        collector = replace(plain, store=SnapshotStore(database, registry))
        collector = replace(collector, worklist=bootstrap.make_worklist(collector, lambda: lease.epoch))
        config = order.context.config
        collector = replace(collector, witness=bootstrap.make_witness(collector, config, order.calendar))
        universes = {schedule.universe for schedule in config.schedules}
        roster = daemon.Timetable(
            config.schedules,
            order.calendar,
            {name: configuration.universe_targets(config, name, collector.sectors) for name in universes},
            config.database.keep_days,
            config.database.archive_after_days,
            make_archive_job(order.context),
            prover(order.context),
        )
        with shown(collector):
            helper = daemon.StandbyWorker(bootstrap.make_worklist(plain), partial(_open_helper, plain))
            yield daemon.DaemonContext(
                roster,
                collector,
                daemon.SlotAccounting(database, registry),
                lease,
                helper,
                witness or clocks.witness(plain.store.database),
            )


@asynccontextmanager
async def _checking_keys(
    order: ReloadableConfig, assembly: AbstractAsyncContextManager[daemon.DaemonContext]
) -> AsyncIterator[daemon.DaemonContext]:
    """The same, with each key tried once beside it, unless those in force were tried before."""
    async with assembly as parts:
        keys = () if order.is_checked else parts.collector.keys
        order.is_checked = True
        async with checking(keys, order.context.config.api.base_url):
            yield parts


@asynccontextmanager
async def _open_helper(plain: Collector, wanted: OpenSweep) -> AsyncIterator[Collector]:
    """The same for a while under another daemon's lease, with the keys that this one has not."""
    lease = Lease(plain.store.database, "")
    lease.epoch = wanted.epoch
    database = fence(plain.store.database, lease)
    registry = Registry(database)
    await registry.open()
    kiwoom, *others = (kiwoom for kiwoom in plain.keys if kiwoom.key_digest not in wanted.keys)
    yield replace(plain, kiwoom=kiwoom, others=others, store=SnapshotStore(database, registry))


async def _until_stopped(order: ReloadableConfig, *, with_page: bool) -> None:
    notify = daemon.make_notifier(os.environ)
    task = asyncio.ensure_future(_run_with_page(order, notify) if with_page else _run(order, notify))
    _mind_signals(task, notify)
    with suppress(asyncio.CancelledError):
        await task


async def _run_with_page(configuration_in_force: ReloadableConfig, notify: daemon.Notify) -> None:
    from collector.cli import web  # noqa: PLC0415 - what draws pages need not be loaded where none is served
    from collector.web import Live  # noqa: PLC0415

    live = Live()
    async with web.serving(
        configuration_in_force.context,
        lambda: (configuration_in_force.context.config, configuration_in_force.calendar),
        live,
    ) as address:
        logger.info("web.listening", address=address)
        await _run(configuration_in_force, notify, live.attach)


async def _run(order: ReloadableConfig, notify: daemon.Notify, shown: CollectorScope = nullcontext) -> None:
    await order.refuse_infeasible()
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    running = daemon.DaemonService(
        lambda: _checking_keys(order, open_daemon(order, holder, shown)), daemon.SystemClock(), notify
    )
    async with task_group() as group:
        group.create_task(_reread_on_hup(order, running))
        group.create_task(_show_life(notify))
        await running.run()


def _mind_signals(task: asyncio.Task[None], notify: daemon.Notify) -> None:
    """The first of SIGTERM and SIGINT cancels, which is always safe; the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def stop(received: signal.Signals) -> None:
        logger.info("daemon.stopping", signal=received.name)
        notify("STOPPING=1")
        for other in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(other)
            signal.signal(other, lambda second, _: os._exit(128 + second))
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, LONGEST_GOODBYE)
        task.cancel()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop, signal_number)


async def _reread_on_hup(order: ReloadableConfig, running: daemon.DaemonService) -> None:
    called = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, called.set)
    while True:
        await called.wait()
        called.clear()
        if await order.reload():
            running.reload.set()


async def _show_life(notify: daemon.Notify) -> None:
    every = daemon.watchdog_interval(os.environ, os.getpid())
    while every is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(every)
