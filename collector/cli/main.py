"""The command `collector`: each verb lives in its own module and is imported only when it is asked for."""

import errno
import gc
import sys
from importlib import import_module
from typing import NoReturn

import click

from collector import __version__
from collector.cli.early_signals import discard_output, lose_unwritable_lines
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
    "accept": "collector.cli.accept:accept",
    "replay": "collector.cli.replay:replay",
    "verify": "collector.cli.verify:verify",
    "archive": "collector.cli.archive:archive",
    "restore": "collector.cli.archive:restore",
    "export": "collector.cli.export:export",
    "schedule": "collector.cli.schedule:schedule",
    "sectors": "collector.cli.sectors:sectors",
    "sql": "collector.cli.sql:sql",
    "simulate": "collector.cli.simulate:simulate",
}
ONE_LINE = {
    "demo": "See it work: a simulated API, a private database, one whole sweep. No key needed.",
    "check": "Say whether the configuration is right, and show what is in force.",
    "plan": "Say what a sweep will cost: targets, requests, seconds at the quota, rows.",
    "migrate": "Bring the database's schema up to date.",
    "once": "Take one snapshot of the configured targets, now.",
    "daemon": "Sweep at every slot of the schedules, for months; account for what could not be swept.",
    "backfill": "Fill what a past period still lacks, from what the API can still give.",
    "repair": "Reconstruct slots that were missed from minute bars, and label them so.",
    "web": "Serve the status page, the metrics and the health beside whatever sweeps.",
    "status": "Show what is stored: the newest sweeps and what is missing of them.",
    "gaps": "List what the schedules asked for and is not stored complete, with the reason.",
    "quota": "Show the rate that each key keeps to; forget one that the server named.",
    "accept": "Certify suspect walks of a slot on your word; who and when is kept.",
    "replay": "Read kept answers again with this program, and put right what an earlier one stored.",
    "verify": "Hold what is stored against its digests: find what was changed by hand.",
    "archive": "Move old days into Parquet files; each is verified before it leaves the database.",
    "restore": "Bring archived days back, equal row by row.",
    "export": "Write any period to one file, for a notebook: Parquet or CSV.",
    "schedule": "Show when the daemon will sweep, and on which days it will not.",
    "sectors": "List the sectors, or fetch the list anew from the API.",
    "sql": "Ask the database, read-only.",
    "simulate": "Serve a simulated Kiwoom REST API.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when named, so that `--help` stays quick."""

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
        """As click's own, and a command that does not exist gets the nearest that does."""
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

    Exit status: 0 everything asked for is stored and complete; 1 something is missing or suspect; 2 wrongly
    asked or cannot start, and nothing was fetched.
    """


def main() -> None:
    """Run the command line; expected failures become one clear line and exit status 2."""
    tune_garbage_collection()
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
    """End with this status, unless what stands in the buffer of stdout cannot be written: then no success is said."""
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
        # Whoever read our output has gone (`| head`): not an error, and nothing is left to say it to.
        raise SystemExit(1)
    complain(ConfigError(f"the answer cannot be written: {error.strerror}"))
    raise SystemExit(2)


def _is_of_output(error: OSError) -> bool:
    """Whether writing to stdout failed: whatever else fails has become one of our errors, or names a file."""
    return error.errno in _UNWRITABLE and error.filename is None


def tune_garbage_collection() -> None:
    """A sweep makes many short-lived tuples and no cycles: the default would look through them all too often."""
    gc.set_threshold(50_000, 20, 50)


def complain_of_usage(error: click.ClickException) -> None:
    """One line that says what is wrong with the command line, and one that says where the help is."""
    context = getattr(error, "ctx", None)
    click.echo(f"collector: {error.format_message()}", err=True)
    click.echo(f"  see `{context.command_path if context else 'collector'} --help`", err=True)


def complain(error: CollectorError) -> None:
    """The error on stderr: what happened, then what to do."""
    click.echo(f"collector: {in_plain_words(str(error))}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
