"""`collector verify`: compare the rows with their committed digests."""

from datetime import date
from pathlib import Path

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option


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
def verify(first: date | None, last: date | None, config_path: Path | None) -> None:
    """Compare every stored walk with the digest committed with it.

    Finds rows changed, deleted or added since then, and lists their walks. Rows with impossible prices are
    counted; they are stored as sent by the API.

    Exit status 1: a walk is damaged.
    """
    from collector.cli.verify_job import run  # noqa: PLC0415 - 0.3 s that `--help` does not need

    run(first, last, config_path)
