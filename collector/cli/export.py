"""`collector export`: a period in one file, for notebooks."""

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector export --from 2026-11-02 --to 2026-11-20
  collector export --from -5d --to today
  collector export --from 2026-11-20 --to 2026-11-20 --format csv --output - | head
"""
)
@click.option("--from", "first", type=DayParam(), required=True, help="From this day, KST ...")
@click.option("--to", "last", type=DayParam(), required=True, help="... to this one, both included.")
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option(
    "--output",
    metavar="PATH",
    help="The file, s3://BUCKET/NAME, or - for the standard output (default: snapshot-FROM-TO.FORMAT).",
)
@config_option
@run_from("collector.cli.export_job")
def export() -> None:
    """Write the rows of a period to one file, archived days included.

    The columns are those of the view snapshot and the status of the walk; certified rows have `status =
    'complete'`. Rows are sorted by day, exchange, listing and slot. In CSV, a text that a spreadsheet would
    run as a formula gets an apostrophe in front. The file mode follows the umask. Exit status 2: the file
    could not be written, and no new file was left behind.
    """
