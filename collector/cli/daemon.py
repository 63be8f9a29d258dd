"""`collector daemon`: sweep at every slot, for months.

This module is small so that signals are minded before anything large is imported: as process 1 of a
container, a signal that nobody minds is lost.
"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  collector daemon
  collector daemon --config config/my.yaml
  kill -HUP PID                                   read the configuration anew
"""
)
@click.option("--force", is_flag=True, help="Start with schedules that do not fit the quota, too.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The configuration (default: COLLECTOR_CONFIG, else config/collector.yaml).",
)
def daemon(force: bool, config_path: Path | None) -> None:
    """Sweep at every slot of the schedules, and account for each that could not be swept.

    Any number may run on one database: one sweeps, the others stand by and take over within 17 seconds of
    its end. SIGTERM and SIGINT end it within 5 seconds, exit status 0; a second one at once. SIGHUP reads
    the configuration anew; one that is wrong is reported and the old one stays. Exit status 2: it cannot
    start, and nothing was fetched.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(import_module("collector.cli.running").run(config_path, force=force))
