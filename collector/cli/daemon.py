"""`collector daemon`: sweep at every slot, for months."""

from pathlib import Path

import click

from collector.cli.options import config_option


@click.command(
    epilog="""\b
Examples:
  collector daemon
  collector daemon --config config/my.yaml
  collector daemon --web                          with the page at http://127.0.0.1:8020/
  kill -HUP PID                                   read the configuration again
"""
)
@click.option("--force", is_flag=True, help="Start even if the schedules do not fit the quota.")
@click.option("--web", "with_page", is_flag=True, help="Also serve the status page, /metrics and health.")
@config_option
def daemon(force: bool, with_page: bool, config_path: Path | None) -> None:
    """Sweep at every slot of the schedules, and account for each missed slot.

    Any number of daemons may run on one database: one sweeps, the others stand by and take over within 17
    seconds of its end. SIGTERM and SIGINT end it within 5 seconds, with exit status 0; a second signal ends
    it at once. SIGHUP reads the configuration again; a wrong one is reported, and the old one stays. At its
    start it requests the token of each key, and logs the fault (`key.denied`, `api.unavailable`) or the
    success (`api.checked`); it continues in any case. Exit status 2: it cannot start, and nothing was
    fetched.
    """
    from collector.cli import daemon_process  # noqa: PLC0415 - 0.3 s that `--help` does not need

    daemon_process.run(config_path, force=force, with_page=with_page)
