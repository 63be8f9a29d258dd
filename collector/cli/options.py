"""What many commands share: an option, and work in a module of its own that `--help` does not import."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def run_from(module: str) -> Callable[[Callable[[], None]], Callable[..., None]]:
    """Let a command be done by `run` of a module, with all options by name.

    The module is imported when the command runs, as `--help` does not need it: 0.3 s for most commands.
    """

    def decorate(command: Callable[[], None]) -> Callable[..., None]:
        @wraps(command)
        def call(**options: object) -> None:
            import_module(module).run(**options)

        return call

    return decorate


def config_option(command: Command) -> Command:
    """Add `--config PATH` to a command."""
    return _config_option()(command)


def unused_config_option(command: Command) -> Command:
    """Accept `--config PATH` without a mention in the help, for commands without a configuration."""
    return _config_option(hidden=True)(command)


def _config_option(*, hidden: bool = False) -> Callable[[Command], Command]:
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The configuration (default: COLLECTOR_CONFIG, else config/collector.yaml).",
        hidden=hidden,
    )
