"""`collector sectors`: the sectors, as shipped or as listed by the API."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector sectors
  collector sectors --refresh                     request ka10101, once per market
"""
)
@click.option("--refresh", is_flag=True, help="Fetch the list from the API and store it in the database.")
@config_option
@run_from("collector.cli.sectors_job")
def sectors() -> None:
    """List the sectors with their markets, names and expected number of listings."""
