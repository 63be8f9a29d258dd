"""`collector backfill`: find the gaps of a past period and fill the fillable ones."""

import click

from collector.cli.day_param import DayParam
from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector backfill --from 2025-01-02 --to 2026-11-20 --dry-run    show the requests and the time
  collector backfill --from 2025-01-02 --to 2026-11-20              every universe of the configuration
  collector backfill --from 2026-11-16 --to 2026-11-20 --universe boards
  collector backfill --from 2025-01-02 --to 2026-11-20 --adjusted   adjusted prices, kept apart
"""
)
@click.option("--from", "first", type=DayParam(), required=True, help="The first day, KST ...")
@click.option("--to", "last", type=DayParam(), required=True, help="... to this one, both included.")
@click.option("--universe", metavar="U", help="One universe of the configuration (default: all of them).")
@click.option("--adjusted", is_flag=True, help="Bars in adjusted prices, as of the newest day.")
@click.option(
    "--indices/--no-indices", default=True, help="Closing levels of the sectors' indices.  [default: yes]"
)
@click.option(
    "--flows/--no-flows", default=True, help="Net purchases of investors by sector.  [default: yes]"
)
@click.option("--dry-run", is_flag=True, help="Show the plan, and fetch nothing.")
@click.option("--quiet", is_flag=True, help="No plan and no progress; only errors.")
@config_option
@run_from("collector.cli.backfill_job")
def backfill() -> None:
    """Fill the gaps of a past period, as far as the API still has the data.

    A closing slot is walked late while the API still shows its final state. Past days come from ka10081, as
    daily bars; index levels from ka20006 (view index_level) and flows of investors from ka10051 (view
    investor_flow). Slots inside a past session stay missing. Stored data is never fetched again, and the next
    call continues a stopped one. Beside a daemon it uses only the quota left over by the daemon.

    Exit status 0: everything fillable is stored. 1: something fillable is missing (listed on stderr). 2:
    usage error or failed start, and nothing was fetched.
    """
