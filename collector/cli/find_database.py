"""`collector url`, `collector psql` and `collector serve`: the database, for other programs."""

import asyncio
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import run_command, take_environment
from collector.cli.options import config_option
from collector.config import Environment
from collector.db import embedded
from collector.db.connection_text import FORMATS, format_address, libpq_parameters
from collector.db.dsn import Dsn, parse_dsn
from collector.errors import ConfigError


def find_address(environment: Environment) -> Dsn:
    """The database that the environment names, or the private one, whether it runs or not."""
    if environment.database_url is None:
        return embedded.private_address(environment.home)
    return parse_dsn(environment.database_url.reveal())


@click.command(
    epilog="""\b
Examples:
  collector url
  collector url --format sqlalchemy               for create_engine()
  psql "$(collector url)"
"""
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="uri", show_default=True)
@click.option("--with-password", is_flag=True, help="Print the password, too.")
@config_option
def url(form: str, with_password: bool, config_path: Path | None) -> None:
    """Print the address of the database, for psql, SQLAlchemy or any other client of PostgreSQL.

    The private PostgreSQL answers only while a command of collector runs: `collector serve` keeps it up. A password
    is left out unless asked for; PGPASSWORD or ~/.pgpass may hold it.
    """
    address = find_address(take_environment())
    click.echo(format_address(address, form, with_password=with_password))


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  collector psql
  collector psql -c "SELECT * FROM sector_days('KOSPI')"
""",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@config_option
def psql(arguments: tuple[str, ...], config_path: Path | None) -> None:
    """Start psql against the database; ARGS go to psql, and so does its exit status.

    A private PostgreSQL runs as long as psql does. Exit status 2: psql is not installed.
    """
    log.configure(level="warning")
    program = shutil.which("psql")
    if program is None:
        raise ConfigError(
            "psql is not installed", hint="apt install postgresql-client, or use `collector sql QUERY`"
        )
    raise SystemExit(run_command(_run_psql(program, arguments)))


async def _run_psql(program: str, arguments: tuple[str, ...]) -> int:
    environment = take_environment()
    async with bootstrap.open_database(environment) as database:
        settings = _client_settings(database.address)
        # Ctrl+C cancels a query in psql; it must not end the thread of psql's parent.
        process = await asyncio.to_thread(
            subprocess.run, [program, *arguments], env=os.environ | settings, check=False
        )
        return process.returncode


def _client_settings(address: Dsn) -> dict[str, str]:
    """libpq's environment: a password stands there and not among the arguments, which every user may list."""
    names = {"dbname": "PGDATABASE"}
    parameters = libpq_parameters(address)
    return {names.get(name, f"PG{name.upper()}"): text for name, text in parameters.items()}


@click.command(
    epilog="""\b
Examples:
  collector serve                                 the address is on stdout; Ctrl+C ends it
  collector serve &  psql "$(collector url)"
"""
)
@config_option
def serve(config_path: Path | None) -> None:
    """Keep the private PostgreSQL up, with the schema up to date, until told to stop.

    Other commands and clients use it meanwhile. With DATABASE_URL set there is nothing to keep up: exit status 2.
    """
    log.configure(level="warning")
    environment = take_environment()
    if environment.database_url is not None:
        raise ConfigError("DATABASE_URL names a server of its own", hint="`collector url` prints its address")
    run_command(_serve(environment))


async def _serve(environment: Environment) -> None:
    with suppress(asyncio.CancelledError):  # being told to stop is how this ends
        async with bootstrap.open_database(environment) as database:
            click.echo(format_address(database.address, "uri"))
            await asyncio.Event().wait()
