"""`collector sectors`: the sectors, as shipped or as listed by the API."""

from pathlib import Path

import click

from collector.cli.options import config_option


@click.command(
    epilog="""\b
Examples:
  collector sectors
  collector sectors --refresh                     request ka10101, once per market
"""
)
@click.option("--refresh", is_flag=True, help="Fetch the list from the API and store it in the database.")
@config_option
def sectors(refresh: bool, config_path: Path | None) -> None:
    """List the sectors with their markets, names and expected number of listings."""
    from collector.cli.sectors_job import run  # noqa: PLC0415 - 0.3 s that `--help` does not need

    run(refresh, config_path)
