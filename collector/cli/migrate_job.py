"""`collector migrate`: update the schema."""

from collections.abc import Sequence

import click

from collector import log
from collector.base import resources
from collector.cli import bootstrap
from collector.cli.context import run_command, take_environment
from collector.db import migrations, setup
from collector.db.pool import check_server


def run(dry_run: bool, config_path: object) -> None:
    """Do the work of `collector migrate`."""
    log.configure()
    applied = run_command(_migrate(dry_run=dry_run))
    verb = "to apply" if dry_run else "applied"
    click.echo(f"{verb}: {', '.join(f'{version:04}' for version in applied)}" if applied else "up to date")
    if dry_run and applied:
        raise SystemExit(1)


async def _migrate(*, dry_run: bool) -> Sequence[int]:
    folder = resources.path("migrations")
    async with (
        bootstrap.open_database(take_environment(), migrated=False) as database,
        database.connection("migrating", timeout=migrations.SCHEMA_TIMEOUT) as connection,
    ):
        for warning in await check_server(connection, database.address):
            click.echo(f"warning: {warning}", err=True)
        if dry_run:
            return (await migrations.check(connection, database.address, folder)).pending
        applied = await setup.prepare_database(connection, database.address, folder)
        if statements := await setup.grant_reading(connection):
            click.echo("for a role that only reads, an administrator runs:", err=True)
            click.echo("".join(f"  {statement};\n" for statement in statements), nl=False, err=True)
        return applied
