"""The command `collector`. Each verb has its own module, imported on use."""

import errno
import gc
import sys
from importlib import import_module
from typing import NoReturn

import click

from collector import __version__
from collector.cli.early_signals import discard_output, escape_unencodable_text, lose_unwritable_lines
from collector.cli.words import in_plain_words
from collector.errors import CollectorError, ConfigError

_UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

VERBS = {
    "demo": "collector.cli.demo:demo",
    "check": "collector.cli.check:check",
    "plan": "collector.cli.plan:plan",
    "migrate": "collector.cli.migrate:migrate",
    "once": "collector.cli.once:once",
    "daemon": "collector.cli.daemon:daemon",
    "backfill": "collector.cli.backfill:backfill",
    "repair": "collector.cli.repair:repair",
    "web": "collector.cli.web:serve",
    "status": "collector.cli.status:status",
    "gaps": "collector.cli.gaps:gaps",
    "quota": "collector.cli.quota:quota",
    "notify": "collector.cli.notify:notify",
    "accept": "collector.cli.accept:accept",
    "replay": "collector.cli.replay:replay",
    "verify": "collector.cli.verify:verify",
    "archive": "collector.cli.archive:archive",
    "restore": "collector.cli.archive:restore",
    "export": "collector.cli.export:export",
    "schedule": "collector.cli.schedule:schedule",
    "sectors": "collector.cli.sectors:sectors",
    "sql": "collector.cli.sql:sql",
    "url": "collector.cli.find_database:url",
    "psql": "collector.cli.find_database:psql",
    "serve": "collector.cli.find_database:serve",
    "mcp": "collector.cli.mcp:mcp",
    "simulate": "collector.cli.simulate:simulate",
}
ONE_LINE = {
    "demo": "Try it: a simulated API, a private database, one whole sweep. No key needed.",
    "check": "Check the configuration, and show the values in force.",
    "plan": "Show the cost of a sweep: targets, requests, seconds at the quota, rows.",
    "migrate": "Update the schema of the database.",
    "once": "Take one snapshot of the configured targets, now.",
    "daemon": "Sweep at every slot of the schedules, for months; account for missed slots.",
    "backfill": "Fill the gaps of a past period, as far as the API still has the data.",
    "web": "Serve the status page, the metrics and the health checks.",
    "status": "Show the stored data: the newest sweeps and their gaps.",
    "gaps": "List scheduled slots and targets that are not stored complete, with the reason.",
    "repair": "Reconstruct missed slots from minute bars, and label them so.",
    "quota": "Show the request rate of each key; forget a rate learned from the server.",
    "notify": "List the events that people are told of, or send a test message.",
    "accept": "Certify suspect walks of a slot by your decision; your name and the time are kept.",
    "replay": "Read kept answers again with this program, and correct the stored walks.",
    "verify": "Compare the stored rows with their digests, to find later changes.",
    "archive": "Move old days into Parquet files, each verified before it leaves the database.",
    "restore": "Bring archived days back, equal row by row.",
    "export": "Write a period to one file, Parquet or CSV.",
    "schedule": "List the coming slots of the schedules, and the skipped days.",
    "sectors": "List the sectors, or fetch their list from the API.",
    "sql": "Query the database in SQL, read-only.",
    "url": "Print the address of the database, for psql, SQLAlchemy and others.",
    "psql": "Start psql against the database.",
    "serve": "Keep the private PostgreSQL up until Ctrl+C.",
    "mcp": "Serve the stored data to an assistant (Model Context Protocol), read-only.",
    "simulate": "Serve a simulated Kiwoom REST API.",
}


class LazyGroup(click.Group):
    """A group that imports a command on use, for a fast `--help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        location = VERBS.get(cmd_name)
        if location is None:
            return None
        module, _, name = location.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's own, with the nearest name for an unknown command."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            from collector.config.errors import nearest  # noqa: PLC0415 - 0.1 s that no other command needs

            raise click.UsageError(f"No such command {name!r}{nearest(name, VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(ONE_LINE.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`collector COMMAND --help` has examples. Start with `collector demo`.",
)
@click.version_option(__version__)
def cli() -> None:
    """Certified snapshots of Korean sector prices: ka20002 of the Kiwoom REST API, into PostgreSQL.

    Exit status: 0 everything requested is stored and complete; 1 something is missing or suspect; 2 usage
    error or failed start, and nothing was fetched.
    """


def main() -> None:
    """Run the command line. Expected errors become one clear line and exit status 2."""
    tune_garbage_collection()
    escape_unencodable_text()
    lose_unwritable_lines()
    try:
        sys.exit(cli(prog_name="collector", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        _end(error.exit_code)
    except click.ClickException as error:
        complain_of_usage(error)
        _end(error.exit_code)
    except click.Abort:
        click.echo("Aborted!", err=True)
        _end(1)
    except CollectorError as error:
        complain(error)
        _end(2)
    except SystemExit as ended:
        _end(ended.code)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _end_unwritten(error)


def _end(code: object) -> NoReturn:
    """Exit with this status. If the buffer of stdout cannot be written, never exit with success."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not code:
            _end_unwritten(error)
        discard_output()
    raise SystemExit(code)


def _end_unwritten(error: OSError) -> NoReturn:
    discard_output()
    if isinstance(error, BrokenPipeError):
        # The reader of the output has gone (`| head`). This is not an error.
        raise SystemExit(1)
    complain(ConfigError(f"the output cannot be written: {error.strerror}"))
    raise SystemExit(2)


def _is_of_output(error: OSError) -> bool:
    """True if a write to stdout failed. Other OS errors were translated before, or name a file."""
    return error.errno in _UNWRITABLE and error.filename is None


def tune_garbage_collection() -> None:
    """Collect less often. A sweep makes many short-lived tuples and no cycles, so the default wastes time."""
    gc.set_threshold(50_000, 20, 50)


def complain_of_usage(error: click.ClickException) -> None:
    """Print a usage error in one line, and a pointer to the help in another."""
    context = getattr(error, "ctx", None)
    click.echo(f"collector: {error.format_message()}", err=True)
    click.echo(f"  see `{context.command_path if context else 'collector'} --help`", err=True)


def complain(error: CollectorError) -> None:
    """Print an error on stderr, then its hint."""
    click.echo(f"collector: {in_plain_words(str(error))}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
