"""The context of a command: options, environment and configuration; and its run until the end or a signal."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from collector import config as configuration
from collector.config import Config, Environment, object_access
from collector.errors import ConfigError
from collector.model import Sector, Target

T = TypeVar("T")

STOPPED = 130
"""The exit status of a command stopped by a signal."""
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_LONGEST_GOODBYE = 4.5
"""Seconds from a signal to the end of the process. A look-up of a host name cannot be cancelled, so the
process is ended by force.
"""
_SECRETS = (
    "KIWOOM_APP_KEY",
    "KIWOOM_SECRET_KEY",
    "DATABASE_URL",
    "COLLECTOR_WEB_TOKEN",
    "COLLECTOR_NOTIFY_URLS",
    *object_access.SECRETS,
)


@dataclass(frozen=True)
class CliContext:
    """The input of a command, before anything is opened."""

    environment: Environment
    config: Config

    def targets(self, universe: str | None, table: Mapping[str, Sector]) -> tuple[str, tuple[Target, ...]]:
        """A universe's label and targets. With None: every universe of the file, each target once."""
        names = list(self.config.universes) if universe is None else [universe]
        targets_by_universe = [configuration.universe_targets(self.config, name, table) for name in names]
        return "+".join(names), tuple(
            dict.fromkeys(target for targets in targets_by_universe for target in targets)
        )


def take_environment() -> Environment:
    """Read the settings, and remove the secrets from os.environ, because child processes inherit it."""
    environment = configuration.settings(os.environ)
    for name in _SECRETS:
        os.environ.pop(name, None)
    return environment


def find_configuration(environment: Environment, config_path: Path | None) -> Path | None:
    """The path of the configuration; None if it is not named and the default path is empty."""
    named = config_path is not None or "COLLECTOR_CONFIG" in os.environ
    return (config_path or environment.config) if named or os.path.lexists(environment.config) else None


def read_context(config_path: Path | None, universe: str | None = None) -> CliContext:
    """Take the environment and load the configuration; ConfigError names the fault.

    `universe` is the universe of the command, None for all of them.
    """
    environment = take_environment()
    path = find_configuration(environment, config_path)
    if path is None:
        usual = environment.config
        raise ConfigError(
            f"there is no configuration at {usual}",
            hint=f"write one with `mkdir -p {usual.parent} && collector check --example > {usual}`",
        )
    world = CliContext(environment, configuration.load(path, base_url=environment.base_url))
    world.targets(universe, {})  # report an unknown name before anything is opened
    return world


def run_command(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. SIGTERM and SIGINT cancel the work, which is always safe, and exit with 130.

    Signals that arrive after the loop has closed, while a report is printed, also exit with 130.
    """
    try:
        return asyncio.run(_run_until_signal(work))
    except asyncio.CancelledError:
        raise SystemExit(STOPPED) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signal_number in _STOPPING:
            signal.signal(signal_number, lambda *_: sys.exit(STOPPED))


async def _run_until_signal(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for signal_number in _STOPPING:
        loop.add_signal_handler(signal_number, _stop, task)
    return await task


def _stop(task: asyncio.Future[Any]) -> None:
    signal.signal(signal.SIGALRM, lambda *_: os._exit(STOPPED))
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_GOODBYE)
    task.cancel()
