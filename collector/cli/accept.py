"""`collector accept`: certify suspect walks by the decision of an operator."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  collector accept 2026-11-20T11:00 --dry-run               list the suspect walks of this slot, with reasons
  collector accept 2026-11-20T11:00                         accept all of them
  collector accept 2026-11-20T11:00 --target KOSPI/001/NXT  one walk
  collector accept 2026-11-20T11:00 --by "J. Kim"           under another name
"""
)
@click.argument("slot")
@click.option(
    "--target", metavar="M/S/X", help="One target, as market/sector/exchange (default: all suspect ones)."
)
@click.option("--by", "name", metavar="NAME", help="Name of the operator (default: user@host).")
@click.option("--dry-run", is_flag=True, help="List the walks to accept, and change nothing.")
@config_option
@run_from("collector.cli.accept_job")
def accept() -> None:
    """Certify suspect walks of a slot by your decision; later walks are judged by them.

    SLOT is the instant of the walks; without an offset it is Korean time. The walks become complete with the
    remark `accepted`, and the view judgement records the operator and the time. Failed and missed walks
    cannot be accepted, because they have no stored rows.

    Exit status: 0 all requested walks are complete now. 1 other walks of the slot failed or were missed
    (listed on stderr). 2 nothing was accepted.
    """
