"""`collector quota`: show the request rate of each key, and forget a rate learned from the server."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector quota                                 the rate of each key, and the rate learned from the server
  collector quota --json
  collector quota --forget                        go back to the configured rate at once
  collector quota --forget --name second          the same for one of api.keys
"""
)
@click.option("--forget", is_flag=True, help="Forget all rates learned from the server.")
@click.option("--name", metavar="NAME", help="Only the key of this name in api.keys (default: all).")
@click.option("--json", "as_json", is_flag=True, help="As one JSON list.")
@config_option
@run_from("collector.cli.quota_job")
def quota() -> None:
    """Show the requests a second of each key, per call of the API.

    api.requests_per_second is the ceiling. If the server names a lower rate in a refusal (유량=N), the program
    keeps to it and doubles it every hour up to the configured rate. --forget restores the configured rate at
    once, also for a running daemon.
    """
