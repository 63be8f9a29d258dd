"""`collector verify`: whether the rows are still those that were committed."""

from datetime import date
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import config_option, read_environment, run_command
from collector.cli.schedule import DayParam
from collector.config import Environment
from collector.db import audit as verifying
from collector.db.audit import Findings
from collector.model import KST


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
    """Hold every stored walk against the digest that was committed with it.

    Finds rows that somebody changed, deleted or added since, and lists their walks. Rows with prices that
    cannot be are counted, as they are stored as the API sent them.
    Exit status 1: a walk is damaged.
    """
    log.configure(level="warning")
    if first and last and last < first:
        raise click.UsageError("--to lies before --from; allowed is the same day or a later one")
    findings = run_command(_verify(read_environment(), first, last))
    click.echo(_summary(findings))
    if findings.damaged:
        raise SystemExit(1)


async def _verify(environment: Environment, first: date | None, last: date | None) -> Findings:
    findings = Findings()
    async with bootstrap.open_database(environment) as database:
        if span := await verifying.span(database):
            async for slot, target, what in verifying.verify(
                database, first or span[0], last or span[1], findings
            ):
                click.echo(f"{slot.astimezone(KST):%Y-%m-%d %H:%M:%S} {target}: {what}")
    return findings


def _summary(findings: Findings) -> str:
    parts = [
        f"{findings.walks:,} walks with {findings.rows:,} rows verified",
        f"{findings.damaged:,} damaged",
    ]
    if findings.not_kept:
        parts.append(f"{findings.not_kept:,} walks of days whose rows are no longer here")
    if findings.odd:
        parts.append(f"{findings.odd:,} rows with prices that cannot be, as they came")
    return "; ".join(parts)
