"""`collector migrate`: the schema, up to date."""

from collections.abc import Sequence

import click

from collector import log
from collector.base import resources
from collector.cli import bootstrap
from collector.cli.context import config_option, read_environment, run_command
from collector.db import migrations
from collector.db.pool import check_server


@click.command(
    epilog="""\b
Examples:
  DATABASE_URL_FILE=secrets/database_url collector migrate
  collector migrate --dry-run
"""
)
@click.option(
    "--dry-run", is_flag=True, help="Only say what would be applied; exit status 1 if there is any."
)
@config_option
def migrate(dry_run: bool, config_path: object) -> None:
    """Bring the database's schema up to date.

    Safe to run from several places at once, and again. An older program refuses a newer schema.
    """
    log.configure()
    applied = run_command(_migrate(dry_run=dry_run))
    verb = "to apply" if dry_run else "applied"
    click.echo(f"{verb}: {', '.join(f'{version:04}' for version in applied)}" if applied else "up to date")
    if dry_run and applied:
        raise SystemExit(1)


async def _migrate(*, dry_run: bool) -> Sequence[int]:
    folder = resources.path("migrations")
    async with (
        bootstrap.open_database(read_environment(), migrated=False) as database,
        database.connection("migrating", timeout=migrations.SCHEMA_TIMEOUT) as connection,
    ):
        for warning in await check_server(connection, database.address):
            click.echo(f"warning: {warning}", err=True)
        if dry_run:
            return (await migrations.check(connection, database.address, folder)).pending
        return await migrations.migrate(connection, database.address, folder)
