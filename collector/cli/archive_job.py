"""The daemon's archiving: `collector archive` in a child process, which frees its memory at the end."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from importlib.util import find_spec

from collector.cli.context import CliContext
from collector.config import Config
from collector.config.object_access import ENDPOINTS, SECRETS
from collector.errors import ConfigError
from collector.log import logger
from collector.secret import Secret

_GOODBYE = 3.0


def refuse_without_parquet(config: Config) -> None:
    """Raise ConfigError if archiving is configured and pyarrow is missing."""
    if config.database.archive_after_days and find_spec("pyarrow") is None:
        text = "database.archive_after_days needs the package pyarrow, which is not installed"
        raise ConfigError(
            config.format_error(("database", "archive_after_days"), text),
            hint="pip install pyarrow, or set it to 0",
        )


def make_archive_job(context: CliContext) -> Callable[[date], Awaitable[None]]:
    """Make a function that archives the days before a date and logs the result. Cancelling it loses nothing."""

    async def archive(before: date) -> None:
        options = ("--force", "--keep-restored", "--config", context.config.origin)
        command = ("-P", "-m", "collector", "archive", "--before", before.isoformat(), *options)
        try:
            process = await start_process(command, archive_environment(context))
        except (
            OSError
        ) as error:  # out of memory or processes: sweeps continue, and the next night tries again
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


def prover(context: CliContext) -> Callable[[date, Sequence[tuple[str, str]]], Awaitable[str]]:
    """Make a function that reads the files of an archived day in full. It returns their fault, or "" if they
    are intact.
    """

    async def prove(day: date, files: Sequence[tuple[str, str]]) -> str:
        listed = [text for file in files for text in file]
        command = ("-P", "-m", "collector.archive.proof", day.isoformat(), *listed)
        try:
            process = await start_process(command, archive_environment(context))
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
    """This process's environment. Its secrets were removed at the start; only the database's is put back."""
    environ = dict(os.environ)
    _put_back(environ, {"DATABASE_URL": context.environment.database_url})
    return environ


def archive_environment(context: CliContext) -> dict[str, str]:
    """The same with the access to an object store."""
    environ = child_environment(context)
    access = context.environment.object_access.at(context.config.archive.endpoint_url)
    _put_back(environ, dict(zip(SECRETS, (access.secret_key, access.session_token), strict=True)))
    if access.endpoint_url:
        environ[ENDPOINTS[0]] = access.endpoint_url
    return environ


def _put_back(environ: dict[str, str], secrets: Mapping[str, Secret | None]) -> None:
    """Add secrets, except those that the environment names a file of."""
    for name, secret in secrets.items():
        if secret is not None and f"{name}_FILE" not in environ:
            environ[name] = secret.reveal()


async def terminate(process: asyncio.subprocess.Process) -> None:
    """End the process. Its transaction is rolled back, and its file stays incomplete."""
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
