"""The daemon's archiving: `collector archive` as a process of its own, so that its memory is gone by morning."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from collector.cli.context import CliContext
from collector.config import Config
from collector.errors import ConfigError
from collector.log import logger

_GOODBYE = 3.0


def refuse_without_parquet(config: Config) -> None:
    """ConfigError if days are to be archived and there is nothing to write files with."""
    if config.database.archive_after_days and find_spec("pyarrow") is None:
        text = "database.archive_after_days needs the package pyarrow, which is not installed"
        raise ConfigError(
            config.format_error(("database", "archive_after_days"), text),
            hint="pip install pyarrow, or set it to 0",
        )


def make_archive_job(context: CliContext) -> Callable[[date], Awaitable[None]]:
    """Moves the days before a date into files, and logs what became of them. Cancelled, it stops; nothing is lost."""

    async def archive(before: date) -> None:
        options = ("--force", "--keep-restored", "--config", context.config.origin)
        command = ("-P", "-m", "collector", "archive", "--before", before.isoformat(), *options)
        try:
            process = await start_process(command, child_environment(context))
        except OSError as error:  # short of memory or of processes: sweeps go on, and there is another night
            logger.error("archive.failed", reason=f"it does not start: {error.strerror}", code=None)
            return
        try:
            out, err = await process.communicate()
        finally:
            await terminate(process)
        for line in out.decode().splitlines():
            logger.info("archive.output", line=line)
        if process.returncode:
            logger.error(
                "archive.failed", reason=err.decode(errors="replace").strip(), code=process.returncode
            )

    return archive


def prover(context: CliContext) -> Callable[[date, Sequence[tuple[Path, str]]], Awaitable[str]]:
    """Reads the files of an archived day whole; why they are not what was archived, "" if they are."""

    async def prove(day: date, files: Sequence[tuple[Path, str]]) -> str:
        if gone := [str(path) for path, _ in files if not path.is_file()]:
            return f"{gone[0]} is not there"
        listed = [text for path, digest in files for text in (str(path), digest)]
        command = ("-P", "-m", "collector.archive.proof", day.isoformat(), *listed)
        try:
            process = await start_process(command, child_environment(context))
        except OSError as error:
            return f"its files cannot be read: {error.strerror}"
        try:
            out, err = await process.communicate()
        finally:
            await terminate(process)
        if not process.returncode:
            return ""
        return (out or err).decode(
            errors="replace"
        ).strip() or f"reading its files ended with {process.returncode}"

    return prove


async def start_process(command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A command of this program as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE
    )


def child_environment(context: CliContext) -> dict[str, str]:
    """Ours, which has lost its secrets when they were read; of those, only the database's goes back in."""
    environ = dict(os.environ)
    url = context.environment.database_url
    if url is not None and "DATABASE_URL_FILE" not in environ:
        environ["DATABASE_URL"] = url.reveal()
    return environ


async def terminate(process: asyncio.subprocess.Process) -> None:
    """Have it gone, whatever it was doing: its transaction is rolled back, its file stays a part."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_GOODBYE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
