"""The daemon as a process: configuration, signals, systemd."""

import asyncio
import os
import signal
import sys
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
from typing import NoReturn

from collector import config as configuration
from collector import daemon, log
from collector.base.aio import task_group
from collector.cli import bootstrap, feasibility
from collector.cli.archive_job import make_archive_job, prover, refuse_without_parquet
from collector.cli.context import CliContext, read_context
from collector.cli.notices import make_scene, make_worker, refuse_without_apprise
from collector.cli.repair_job import make_repair_job
from collector.cli.schedule import read_calendar
from collector.cli.start_check import checking
from collector.db import clocks
from collector.db.catalog import Registry
from collector.db.clocks import ReferenceClock
from collector.db.errors import is_refusal
from collector.db.lease import Fence, Lease, fence
from collector.db.process_token import new_process_token
from collector.db.snapshots import SnapshotStore
from collector.db.worklist import OpenSweep
from collector.errors import CollectorError, ConfigError, StoreError
from collector.log import logger
from collector.market.calendar import Calendar
from collector.notify.worker import NoticeWorker
from collector.sweep.sweeper import Collector

LONGEST_GOODBYE = 4.5
"""Seconds from a signal to the end of the process. A forced end is safe: a commit is complete or absent at
any moment.
"""


def run(config_path: Path | None, *, force: bool, with_page: bool = False) -> NoReturn:
    """Run until stopped, and end the process with status 0. `with_page` serves the status page, too."""
    log.configure()
    order = ReloadableConfig(config_path, force=force)
    asyncio.run(_until_stopped(order, with_page=with_page))
    _exit_now()


def _exit_now() -> NoReturn:
    """End the process with status 0, without the interpreter's own end.

    The interpreter would wait for threads, and it resets signal handlers before that: the alarm of a stopped
    daemon would then kill the process with a status that reads as a crash.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


class ReloadableConfig:
    """The configuration in force with its keys and its calendar, and their reload.

    Only a reload reads the files. A file that changes or disappears has no effect before the next SIGHUP,
    even if the database connection is opened again.
    """

    def __init__(self, config_path: Path | None, *, force: bool) -> None:
        self.context = read_context(config_path)
        self.calendar = read_calendar(Path(self.context.config.origin))
        self.keys = configuration.keys(self.context.config, self.context.environment)
        self.is_checked = False
        """True once the keys in force were tried."""
        self._force = force
        self._refuse(self.context, self.calendar)

    async def reload(self) -> bool:
        """Load the file as it is now. If it is wrong, return False and change nothing."""
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
        """ConfigError if the schedules do not fit the quota; StoreError if the database refuses the
        connection.
        """
        await self._refuse_infeasible(self.context, self.calendar)

    async def _refuse_infeasible(self, context: CliContext, calendar: Calendar) -> None:
        """The same for a given configuration. An unavailable database skips the check, so the daemon can wait
        for it.
        """
        try:
            async with bootstrap.open_database(context.environment) as database:
                if not self._force:
                    await feasibility.refuse_infeasible(context.config, calendar, database, datetime.now(UTC))
        except StoreError as error:
            if is_refusal(error):
                raise
            logger.warning("plan.check_skipped", reason=str(error))

    def _refuse_another_source(self, config: configuration.Config) -> None:
        """ConfigError if the source changes. A database takes the data of one source only."""
        old, new = self.context.config.api, config.api
        if bootstrap.source(new) != bootstrap.source(old):
            text = f"api.base_url: {new.base_url} is another source than {old.base_url}"
            raise ConfigError(
                config.format_error(("api", "base_url"), text),
                hint="a source needs its own database: start another daemon with it",
            )

    def _refuse(self, context: CliContext, calendar: Calendar) -> None:
        feasibility.refuse_bad_schedules(context.config, calendar, datetime.now(UTC), force=self._force)
        refuse_without_parquet(context.config)
        refuse_without_apprise(context.environment)


CollectorScope = Callable[[Collector], AbstractContextManager[object]]
"""Shows a collector to the page while the block runs."""


@asynccontextmanager
async def open_daemon(
    order: ReloadableConfig,
    holder: str,
    shown: CollectorScope = nullcontext,
    *,
    reference_clock: ReferenceClock | None = None,
) -> AsyncIterator[daemon.DaemonContext]:
    """Open the parts of the daemon. Everything it writes is fenced by the lease.

    `reference_clock` is the clock to compare with, None for the database's.
    """
    async with bootstrap.open_collector(order.context, order.keys, token=holder) as plain:
        lease = Lease(plain.store.database, holder)
        database = fence(plain.store.database, lease)
        registry = Registry(database)
        await registry.open()
        collector = replace(plain, store=SnapshotStore(database, registry))
        collector = replace(
            collector, worklist=bootstrap.make_worklist(collector, holder, lambda: lease.epoch)
        )
        config = order.context.config
        collector = replace(collector, witness=bootstrap.make_witness(collector, config, order.calendar))
        timetable = configuration.build_timetable(config, order.calendar, collector.sectors)
        upkeep = daemon.Upkeep(
            config.database.keep_days,
            config.database.archive_after_days,
            make_archive_job(order.context),
            prover(order.context),
            config.database.raw_days,
            make_repair_job(order.context) if config.repair == "nightly" else None,
        )
        with shown(collector):
            helper = daemon.StandbyWorker(
                bootstrap.make_worklist(plain, holder), partial(_open_helper, plain)
            )
            yield daemon.DaemonContext(
                timetable,
                upkeep,
                collector,
                daemon.SlotAccounting(database, registry),
                lease,
                helper,
                reference_clock or clocks.database_clock(plain.store.database),
            )


@asynccontextmanager
async def _checking_keys(
    order: ReloadableConfig, assembly: AbstractAsyncContextManager[daemon.DaemonContext]
) -> AsyncIterator[daemon.DaemonContext]:
    """The same, and try each key once at the same time, unless the keys in force were tried before."""
    async with assembly as parts:
        keys = () if order.is_checked else parts.collector.keys
        order.is_checked = True
        async with checking(keys, order.context.config.api.base_url):
            yield parts


@asynccontextmanager
async def _noticing(
    worker: NoticeWorker | None,
    order: ReloadableConfig,
    assembly: AbstractAsyncContextManager[daemon.DaemonContext],
) -> AsyncIterator[daemon.DaemonContext]:
    """The same, and let the sender of notices see the parts."""
    async with assembly as parts:
        if worker is None:
            yield parts
            return
        with worker.attach(make_scene(parts, order.context.config.api.requests_per_second)):
            yield parts


@asynccontextmanager
async def _open_helper(plain: Collector, wanted: OpenSweep) -> AsyncIterator[Collector]:
    """A collector for a sweep under another daemon's lease, with the keys of this daemon alone."""
    database = fence(plain.store.database, Fence(wanted.epoch))
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
    from collector.cli import web  # noqa: PLC0415 - the page's modules cost start-up time, and most daemons serve no page
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
    holder = new_process_token()
    worker = make_worker(lambda: order.context)
    running = daemon.DaemonService(
        lambda: _noticing(worker, order, _checking_keys(order, open_daemon(order, holder, shown))),
        daemon.SystemClock(),
        notify,
        worker,
    )
    async with task_group() as group:
        if worker is not None:
            group.create_task(worker.run())
        group.create_task(_reread_on_hup(order, running))
        group.create_task(_show_life(notify))
        await running.run()


def _mind_signals(task: asyncio.Task[None], notify: daemon.Notify) -> None:
    """The first SIGTERM or SIGINT cancels the work, which is always safe. The second ends the process at
    once.
    """
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
