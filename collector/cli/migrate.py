"""`collector migrate`: update the schema."""

import click

from collector.cli.options import config_option, run_from


@click.command(
    epilog="""\b
Examples:
  DATABASE_URL_FILE=secrets/database_url collector migrate
  collector migrate --dry-run
"""
)
@click.option(
    "--dry-run", is_flag=True, help="Only list the pending migrations; exit status 1 if there are any."
)
@config_option
@run_from("collector.cli.migrate_job")
def migrate() -> None:
    """Update the schema of the database.

    Several processes may run it at the same time, and it can be repeated. An older program refuses a newer
    schema. It also fills the table of sectors and makes the role collector_reader for reading alone; without
    the right to make roles, it prints the statements for an administrator.
    """
