"""`collector quota`: show the request rate of each key, and forget a rate learned from the server."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from collector import config as configuration
from collector import log
from collector.cli import bootstrap
from collector.cli.console import console, print_table
from collector.cli.context import find_configuration, run_command, take_environment
from collector.cli.sql_job import format_value
from collector.config import Config
from collector.db.status import quotas
from collector.errors import ConfigError
from collector.model import KST
from collector.ratelimit import permits


def run(forget: bool, name: str | None, as_json: bool, config_path: Path | None) -> None:
    """Do the work of `collector quota`."""
    log.configure(level="warning")
    lines = run_command(_quota(config_path, name, forget=forget))
    if as_json:
        click.echo(json.dumps(lines, ensure_ascii=False, default=format_value))
    elif lines:
        print_table(console(), _table(lines))
    else:
        click.echo("no request was sent yet")


async def _quota(config_path: Path | None, name: str | None, *, forget: bool) -> list[dict[str, Any]]:
    environment = take_environment()
    path = find_configuration(environment, config_path)
    config = configuration.load(path, base_url=environment.base_url) if path else None
    names = bootstrap.key_names(config, environment) if config else {}
    keys = None if name is None else [_digest(names, name)]
    async with (
        bootstrap.open_database(environment) as database,
        database.connection("reading the quota") as connection,
    ):
        if forget:
            forgotten = await permits.forget(connection, keys)
            click.echo(f"forgotten: {len(forgotten)} learned rates", err=True)
        lines = await quotas(connection, _configured_rate(config))
    return [
        {**line, "key": names.get(line["key"], line["key"])}
        for line in lines
        if keys is None or line["key"] in keys
    ]


def _configured_rate(config: Config | None) -> int | None:
    return config.api.requests_per_second if config else None


def _digest(names: Mapping[str, str], name: str) -> str:
    """The digest of the key with this name."""
    for digest, known in names.items():
        if known == name:
            return digest
    known_names = ", ".join(sorted(names.values())) or "none that can be read"
    raise ConfigError(f"--name: {name!r} is not a key of api.keys", hint=f"use one of: {known_names}")


def _table(lines: list[dict[str, Any]]) -> Table:
    table = Table("key", "call", title="requests a second", title_justify="left")
    for title in ("configured", "learned", "in use"):
        table.add_column(title, justify="right")
    table.add_column("tried higher at (KST)")
    for line in lines:
        figures = [_figure(line[name]) for name in ("configured", "learned", "in_use")]
        at = line["retested_at"]
        table.add_row(
            line["key"], line["api_id"], *figures, f"{at.astimezone(KST):%m-%d %H:%M}" if at else ""
        )
    return table


def _figure(value: int | None) -> str:
    return "" if value is None else f"{value}"
