"""`collector gaps`: list missing slots and targets, with reasons."""

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector gaps                                  today
  collector gaps --from -5d --to yesterday
  collector gaps --from 2026-11-16 --to 2026-11-20
  collector gaps --from 2026-11-01 --to 2026-11-30 --format csv > gaps.csv
"""
)
@click.option(
    "--from", "first", type=DayParam(), help="From this day, KST (default: the other one, or today) ..."
)
@click.option("--to", "last", type=DayParam(), help="... to this one, both included (default: --from).")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@config_option
@run_from("collector.cli.gaps_job")
def gaps() -> None:
    """List the scheduled slots and targets that are not stored complete, with the reason.

    The slots are those of the current schedules, up to the last one whose sweep should have ended. The status
    is that of the ledger (suspect, failed, missed), or `absent` if the ledger has no line. Later changes of a
    line stand behind the reason: judged again, replayed, repaired.

    Exit status 1: something is missing or suspect.
    """
