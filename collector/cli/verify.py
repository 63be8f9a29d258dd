"""`collector verify`: compare the rows with their committed digests."""

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector verify
  collector verify --from 2026-11-16 --to 2026-11-20
"""
)
@click.option("--from", "first", type=DayParam(), help="From this day, KST (default: the ledger's first) ...")
@click.option("--to", "last", type=DayParam(), help="... to this one, both included (default: its last).")
@config_option
@run_from("collector.cli.verify_job")
def verify() -> None:
    """Compare every stored walk with the digest committed with it.

    Finds rows changed, deleted or added since then, and lists their walks. Rows with impossible prices are
    counted; they are stored as sent by the API.

    Exit status 1: a walk is damaged.
    """
