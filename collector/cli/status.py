"""`collector status`: the stored data, its gaps, and the state of the daemon."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector status
  collector status --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@config_option
@run_from("collector.cli.status_job")
def status() -> None:
    """Show the stored data and its gaps, the daemon's lease, and the slots before and after now.

    Exit status 1: a slot of the last open day that should be complete is not. If no daemon ever ran, the
    newest sweep counts.
    """
