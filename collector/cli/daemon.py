"""`collector daemon`: sweep at every slot, for months."""

import sys
from pathlib import Path

import click

from collector.cli import daemon_process
from collector.cli.context import config_option


@click.command(
    epilog="""\b
Examples:
  collector daemon
  collector daemon --config config/my.yaml
  collector daemon --web                          and look at http://127.0.0.1:8020/
  kill -HUP PID                                   read the configuration anew
"""
)
@click.option("--force", is_flag=True, help="Start with schedules that do not fit the quota, too.")
@click.option("--web", "with_page", is_flag=True, help="Serve the status page, /metrics and health, too.")
@config_option
def daemon(force: bool, with_page: bool, config_path: Path | None) -> None:
    """Sweep at every slot of the schedules, and account for each that could not be swept.

    Any number may run on one database: one sweeps, the others stand by and take over within 17 seconds of
    its end. SIGTERM and SIGINT end it within 5 seconds, exit status 0; a second one at once. SIGHUP reads
    the configuration anew; one that is wrong is reported and the old one stays. At its start it asks for the
    token of each key, and logs what is wrong (`key.denied`, `api.unavailable`) or that all is well
    (`api.checked`); it runs on in any case. Exit status 2: it cannot start, and nothing was fetched.
    """
    sys.exit(daemon_process.run(config_path, force=force, with_page=with_page))
