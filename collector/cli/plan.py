"""`collector plan`: the cost of a sweep, and a check of the schedules against the quota."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector plan
  collector plan --universe boards
"""
)
@click.option("--universe", metavar="U", help="One universe of the configuration (default: each of them).")
@config_option
@run_from("collector.cli.plan_job")
def plan() -> None:
    """Show the cost of a sweep of each universe, and the load of each schedule.

    The figures come from the last complete walks, else from the sector table. The quota is the rate granted
    by the server if it named one, else the configured one. Exit status 1: the schedules do not fit the quota;
    stderr has the reason and the nearest alternative.
    """
