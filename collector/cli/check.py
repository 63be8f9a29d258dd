"""`collector check`: check the configuration, and with --online its database, keys and API."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from collector import config as configuration
from collector import log
from collector.base import resources
from collector.cli import bootstrap, feasibility
from collector.cli.archive_job import refuse_without_parquet
from collector.cli.context import CliContext, read_context, run_command
from collector.cli.learn import REPORT, WARNING, learn
from collector.cli.main import complain
from collector.cli.notify_job import describe_settings
from collector.cli.options import config_option
from collector.cli.schedule import read_calendar
from collector.db import clocks, outlook
from collector.errors import CollectorError, ConfigError
from collector.kiwoom.client import RequestCounter
from collector.market import sectors
from collector.model import KST

_EXAMPLES = {"config": "collector.yaml", "calendar": "calendar.example.yaml"}


@click.command(
    epilog="""\b
Examples:
  collector check                                 read, check and show the configuration
  collector check --online                        also try the database, the key and one page
  collector check --online --learn                also ask the API what no document says; it takes a minute or two
  collector check --online --learn --provoke      also what a refusal for quota shows; about a dozen are provoked
  collector check --example > config/collector.yaml
  collector check --example calendar > config/calendar.yaml     your own closures, in addition to the shipped ones
"""
)
@click.option("--online", is_flag=True, help="Also try the database, the token and one page.")
@click.option(
    "--example",
    type=click.Choice(list(_EXAMPLES)),
    is_flag=False,
    flag_value="config",
    help="Print an example (default: config) and do nothing else.",
)
@click.option(
    "--learn",
    "learns",
    is_flag=True,
    help="With --online: ask the API what no document says, within the quota and in under two minutes, and store it. "
    "A second token is issued; a daemon with the same key renews its own.",
)
@click.option(
    "--provoke",
    is_flag=True,
    help="With --learn: exceed the quota of ka10101, which no sweep needs, to see what a refusal shows and how "
    "requests are counted. It asks before it begins; --yes answers.",
)
@click.option("--yes", is_flag=True, help="With --provoke: begin without a question.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=REPORT,
    show_default=True,
    help="With --learn: the file for questions and answers, without secrets.",
)
@config_option
def check(
    *,
    online: bool,
    example: str | None,
    learns: bool,
    provoke: bool,
    yes: bool,
    report: Path,
    config_path: Path | None,
) -> None:
    """Check the configuration, and show the values in force (secrets as ***)."""
    if learns or provoke:
        _confirm_learning(online=online, learns=learns, provoke=provoke, yes=yes)
    if example:
        click.echo(resources.path("config", _EXAMPLES[example]).read_text(encoding="utf-8"), nl=False)
        return
    log.configure(level="warning")
    context = read_context(config_path)
    click.echo(configuration.describe(context.config, context.environment), nl=False)
    if context.config.api.keys:
        configuration.keys(context.config, context.environment)
    for warning in context.config.warnings:
        click.echo(f"warning: {warning}", err=True)
    for name in context.config.universes:
        _, targets = context.targets(name, sectors.bundled_sectors())
        click.echo(f"# universe {name}: {len(targets)} targets")
    calendar = read_calendar(Path(context.config.origin))
    if context.config.schedules:
        feasibility.refuse_bad_schedules(context.config, calendar, datetime.now(KST), force=False)
    refuse_without_parquet(context.config)
    click.echo(f"# {outlook.in_words(datetime.now(KST).date(), context.config.database.keep_days)}")
    for line in describe_settings(context.environment, context.config.notify):
        click.echo(f"# {line}")
    if online:
        run_command(_online(context))
    if learns:
        run_command(learn(context, report, provokes=provoke))


def _confirm_learning(*, online: bool, learns: bool, provoke: bool, yes: bool) -> None:
    """Refuse options that lack another one; explain what --provoke does, and go on if the answer is yes."""
    if learns and not online:
        raise click.UsageError("--learn asks the API; use --online --learn")
    if provoke and not learns:
        raise click.UsageError("--provoke is a part of learning; use --online --learn --provoke")
    if provoke and not yes:
        click.confirm(f"{WARNING}\nGo on?", abort=True, err=True)


async def _online(context: CliContext) -> None:
    """Try each dependency of a sweep in order. Each failure is reported once, with advice.

    Steps behind a failed one are skipped: they would fail for the same reason.
    """

    async def database() -> str:
        async with bootstrap.open_database(context.environment) as opened_database:
            return f"{opened_database.address} answers, its schema is up to date"

    async def token() -> str:
        async with bootstrap.open_collector(context) as collector:
            for kiwoom in collector.keys:
                await kiwoom.token(ignore_pause=True)
            names = " and ".join(kiwoom.name for kiwoom in collector.keys)
            return f"{context.config.api.base_url} gives a token for the key {names}"

    async def page() -> str:
        async with bootstrap.open_collector(context) as collector:
            _, targets = context.targets(None, collector.sectors)
            answer, at = await collector.kiwoom.prices(targets[0], counter=RequestCounter())
            return f"{targets[0]} answered with {answer.size} rows at {_clock(at)}"

    async def clock() -> str:
        async with bootstrap.open_database(context.environment) as opened_database:
            shown = await clocks.database_clock(opened_database)()
        return await _compare_clocks(context.config.api.base_url, shown)

    # A wrong clock makes tokens and certificates look wrong, so the clock comes first.
    failed = ""
    for name, trial in (("database", database), ("clock", clock), ("token", token), ("page", page)):
        if failed:
            click.echo(f"{name:9} not tried: it needs the {failed}", err=True)
        elif not await _try(name, trial):
            failed = name
    if failed:
        raise SystemExit(2)


async def _compare_clocks(base_url: str, database: datetime) -> str:
    """Compare this machine's clock with the database's and the API's; ConfigError if one differs."""
    from collector.kiwoom.http_date import date_of  # noqa: PLC0415 - aiohttp takes half a second

    host = datetime.now(UTC)
    api = await date_of(base_url)
    reason = clocks.why_wrong(host, database, api)
    if reason:
        raise ConfigError(reason, hint="correct the wrong clock (`timedatectl`, `chronyc makestep`)")
    seen = (
        "and the API's Date header"
        if api
        else f"(it shows {host.astimezone(KST):%Y-%m-%d %H:%M:%S} KST; the API gave no Date)"
    )
    return f"it agrees with the database {seen}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(KST):%H:%M:%S} KST"


async def _try(name: str, trial: Callable[[], Awaitable[str]]) -> bool:
    try:
        click.echo(f"{name:9} ok: {await trial()}")
    except CollectorError as error:
        click.echo(f"{name:9} does not work", err=True)
        complain(error)
        return False
    return True
