"""`collector mcp`: a server of the Model Context Protocol over stdio, which reads the stored data."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from collector import __version__, log
from collector.base.day_text import parse_day
from collector.cli import bootstrap
from collector.cli.context import run_command, take_environment
from collector.cli.options import config_option
from collector.cli.sql_job import format_value
from collector.config import Environment
from collector.db import assistant
from collector.db.assistant import MOST_ROWS, Answer
from collector.db.database import Database
from collector.errors import CollectorError, ConfigError
from collector.model import KST

_ABOUT = (
    "Certified snapshots of Korean sector prices (Kiwoom ka20002) in PostgreSQL, read-only. Instants are in Korea's"
    " time. Ask freshness first. Views: snapshot, walk, latest, sector, listing, membership_named, bar, daily."
    " Functions: breadth(market, sector, exchange, day), sector_days(market, exchange, from_day, to_day), rotation(…),"
    " as_of(market, sector, exchange, at), listing_day(symbol, day), movers(…), krx_nxt(…)."
    " Markets: KOSPI, KOSDAQ, KOSPI200, KOSPI100, KRX100; exchanges: KRX, NXT, CONSOLIDATED; a sector is three digits."
)


@click.command(
    epilog="""\b
Examples:
  collector mcp                                   the command for the settings of an assistant
"""
)
@config_option
def mcp(config_path: Path | None) -> None:
    """Serve what is stored to an assistant, over the Model Context Protocol on stdin and stdout.

    Tools: freshness, gaps, breadth, sector_days, sql. Every question runs as the role collector_reader, in a
    transaction that only reads, for 20 s at most, and gives 1,000 rows at most. Needs the extra `mcp`.
    """
    log.configure(level="warning")
    run_command(_serve(take_environment(), config_path))


async def _serve(environment: Environment, config_path: Path | None) -> None:
    server_type = _import_server()
    async with bootstrap.open_database(environment) as database:
        await assistant.refuse_without_role(database)
        server = server_type("collector", version=__version__, instructions=_ABOUT, log_level="WARNING")
        for tool in (*_database_tools(database), _gaps_tool(config_path, environment)):
            server.tool()(_say_failures(tool))
        await server.run_stdio_async()


def _import_server() -> Any:
    try:
        from mcp.server import MCPServer  # noqa: PLC0415 - it may not be there
    except ImportError:
        raise ConfigError(
            "`collector mcp` needs the package mcp, which is not installed",
            hint="pip install mcp",
        ) from None
    return MCPServer


def _database_tools(database: Database) -> list[Callable[..., Awaitable[str]]]:
    async def freshness() -> str:
        """How fresh the data is: of each market and exchange the newest complete slot, and whose data it is."""
        return await _answer(assistant.ask_freshness(database))

    async def breadth(market: str, sector: str, exchange: str = "KRX", day: str = "today") -> str:
        """A sector's day by slot: advancers, decliners, mean and weighted change in percent, volume, turnover."""
        return await _answer(assistant.ask_breadth(database, market, sector, exchange, _read_day(day)))

    async def sector_days(
        from_day: str = "today", to_day: str = "today", market: str | None = None, exchange: str = "KRX"
    ) -> str:
        """The breadth of all sectors, a row a sector and day. Days: 2026-11-20, 20261120, today, yesterday, -5d."""
        return await _answer(
            assistant.ask_sector_days(database, market, exchange, _read_day(from_day), _read_day(to_day))
        )

    async def sql(query: str) -> str:
        """One SELECT statement in PostgreSQL's SQL, read-only; at most 1,000 rows."""
        return await _answer(assistant.ask_sql(database, query))

    return [freshness, breadth, sector_days, sql]


def _gaps_tool(config_path: Path | None, environment: Environment) -> Callable[..., Awaitable[str]]:
    async def gaps(from_day: str = "today", to_day: str = "today") -> str:
        """What the schedules asked for and is not stored complete, by slot and target, with the reason."""
        return await _answer(_find_gaps(environment, config_path, _read_day(from_day), _read_day(to_day)))

    return gaps


async def _find_gaps(environment: Environment, config_path: Path | None, first: date, last: date) -> Answer:
    from collector import config as configuration  # noqa: PLC0415
    from collector.cli.context import CliContext  # noqa: PLC0415
    from collector.cli.gaps_job import list_gaps  # noqa: PLC0415
    from collector.db.gaps import Gap  # noqa: PLC0415

    path = config_path or environment.config
    context = CliContext(environment, configuration.load(path, base_url=environment.base_url))
    rows: list[tuple[Any, ...]] = []
    async for gap in list_gaps(context, first, last):
        if len(rows) == MOST_ROWS:
            return Answer(Gap._fields, rows, is_cut=True)
        rows.append(tuple(gap))
    return Answer(Gap._fields, rows, is_cut=False)


def _say_failures(tool: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """The same tool; an expected failure reaches the assistant as the line that says it."""
    from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415

    @wraps(tool)
    async def ask(*args: Any, **kwargs: Any) -> str:
        try:
            return await tool(*args, **kwargs)
        except CollectorError as error:
            raise ToolError(f"{error} ({error.hint})" if error.hint else str(error)) from None

    return ask


async def _answer(question: Awaitable[Answer]) -> str:
    """The rows as JSON, one object a line."""
    answer = await question
    lines = [_line(answer.columns, row) for row in answer.rows]
    if answer.is_cut:
        lines.append(f"… more rows were left out; the limit is {MOST_ROWS}")
    return "\n".join(lines) or "no rows"


def _line(columns: Sequence[str], row: Sequence[Any]) -> str:
    return json.dumps(dict(zip(columns, map(_plain, row), strict=True)), ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else format_value(value)


def _read_day(text: str) -> date:
    try:
        return parse_day(text, datetime.now(KST).date())
    except ValueError as error:
        raise ConfigError(str(error)) from None
