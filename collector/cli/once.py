"""`collector once`: one snapshot of the configured targets, now."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector once                                  every universe of the configuration
  collector once --universe boards                one of them
  collector once --target KOSPI/013/KRX           one target, in a universe or not
  collector once --slot 2026-11-20T15:30          complete this slot (at most 10 minutes ago, KST)
"""
)
@click.option("--universe", metavar="U", help="One universe of the configuration (default: all of them).")
@click.option("--target", metavar="M/S/X", help="One target, as market/sector/exchange.")
@click.option("--slot", metavar="INSTANT", help="The instant of the snapshot (default: now).")
@click.option("--quiet", is_flag=True, help="No progress and no table; only errors.")
@config_option
@run_from("collector.cli.once_job")
def once() -> None:
    """Take one snapshot of the configured targets, now.

    A sweep stopped in the last 10 minutes is continued: only missing targets are fetched.

    Exit status 0: all complete. 1: something is missing or suspect (listed on stderr). 2: could not start.
    """
