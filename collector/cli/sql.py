"""`collector sql`: query the database, read-only, without psql."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector sql "SELECT * FROM walk ORDER BY slot DESC LIMIT 10"
  collector sql "SELECT symbol, name, price FROM latest WHERE sector = '001'" --format csv > kospi.csv
"""
)
@click.argument("query")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@config_option
@run_from("collector.cli.sql_job")
def sql() -> None:
    """Query the database in SQL, in a read-only transaction.

    The views are snapshot, walk, latest, quarantine, judgement, sector, listing, membership,
    membership_named, bar, bar_adjusted, bar_walk, daily, archive, reconstructed, repair, replay,
    walk_history, witness, index_level, listing_fact, investor_flow and api_fact. The functions are
    as_of, breadth, breadth_of, consolidated_check, filled, flows_between, index_against_members,
    krx_nxt, listing_day, membership_changes, movers, rotation and sector_days.

    JSON output is one object a line. In CSV, a text that a spreadsheet would run as a formula gets an
    apostrophe in front.
    """
