"""The option that every command has. Nothing here imports what a command needs to run, so help is quick."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


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
