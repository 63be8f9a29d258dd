"""`collector verify`: compare the rows with their committed digests."""

from datetime import date
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import run_command, take_environment
from collector.config import Environment
from collector.db import audit
from collector.db.audit import Findings
from collector.model import KST


def run(first: date | None, last: date | None, config_path: Path | None) -> None:
    """Do the work of `collector verify`."""
    log.configure(level="warning")
    if first and last and last < first:
        raise click.UsageError("--to lies before --from; use the same day or a later one")
    findings = run_command(_verify(take_environment(), first, last))
    click.echo(_summary(findings))
    if findings.damaged:
        raise SystemExit(1)


async def _verify(environment: Environment, first: date | None, last: date | None) -> Findings:
    findings = Findings()
    async with bootstrap.open_database(environment) as database:
        if span := await audit.span(database):
            async for slot, target, what in audit.verify(
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
        parts.append(f"{findings.odd:,} rows with impossible prices, as sent by the API")
    return "; ".join(parts)
