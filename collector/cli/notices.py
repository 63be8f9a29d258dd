"""Wires the notices into the daemon: services, settings, and the state of its parts."""

import os
from collections.abc import Callable

from collector.cli.context import CliContext
from collector.config import Environment
from collector.daemon import DaemonContext
from collector.db.database import Database
from collector.db.notices import NoticeStore
from collector.errors import ConfigError
from collector.notify.outbox import Outbox
from collector.notify.ping import Pinger
from collector.notify.sender import is_installed
from collector.notify.watch import KeyState, Scene
from collector.notify.worker import NoticeWorker


def refuse_without_apprise(environment: Environment) -> None:
    """Raise ConfigError if there are services to notify and the package for them is missing."""
    if environment.notify_urls and not is_installed():
        raise ConfigError(
            "COLLECTOR_NOTIFY_URLS needs the package apprise, which is not installed",
            hint="pip install apprise, or unset the variable",
        )


def make_worker(context: Callable[[], CliContext]) -> NoticeWorker | None:
    """The sender of notices for the configuration in force; None if nothing is to be sent or called."""
    environment = context().environment
    if not environment.notify_urls and context().config.notify.ping is None:
        return None
    return NoticeWorker(
        lambda: context().config.notify,
        Outbox(dict(enumerate(environment.notify_urls)), lambda: context().config.notify.language),
        Pinger(lambda: context().config.notify.ping),
        host=os.uname().nodename,
        home=environment.home,
    )


def make_scene(parts: DaemonContext, rate: int) -> Scene:
    """The parts of a daemon that notices are derived from. Notices are written without the lease's fence."""
    collector = parts.collector

    def key_states() -> list[KeyState]:
        return [KeyState(key.name, key.key_digest, key.denial, key.was_accepted) for key in collector.keys]

    fenced = collector.store.database
    return Scene(NoticeStore(Database(fenced.pool, fenced.address)), parts.timetable, key_states, rate)
