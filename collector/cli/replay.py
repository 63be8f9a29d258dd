"""`collector replay`: reads kept answers with today's decoder, and judges them again."""

from pathlib import Path

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector replay --dry-run                                       what today's program would read differently
  collector replay --from 2026-11-16 --to 2026-11-20               put these days right
  collector replay --from 2026-11-20 --target KOSPI/001/KRX        one target
  collector replay --force                                         also where a walk becomes worse
  collector replay --export sample.json                            answers for a bug report, without secrets
"""
)
@click.option(
    "--from", "first", type=DayParam(), help="From this day, KST (default: the first that is kept) ..."
)
@click.option("--to", "last", type=DayParam(), help="... to this one, both included (default: the last).")
@click.option("--target", metavar="M/S/X", help="One target, as market/sector/exchange (default: all).")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Replace a walk also where its status becomes worse.")
@click.option(
    "--export",
    "export",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write a sample for a bug report.",
)
@click.option("--quiet", is_flag=True, help="No progress; only what changes and what is wrong.")
@config_option
@run_from("collector.cli.replay_job")
def replay() -> None:
    """Read kept answers again with this program, and put right what an earlier one stored.

    Answers are kept for `database.raw_days` days. Each walk that reads differently now is replaced in one
    transaction; the view replay says what it was. A failed walk whose pages are complete becomes a stored one.
    A walk never gets a worse status without --force. Nothing is fetched.

    Exit status: 0 nothing is wrong. 1 something could not be replayed (listed on stderr). 2 wrongly asked.
    """
