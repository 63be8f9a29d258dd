"""The daemon's repair: `collector repair` as a process of its own, which yields to sweeps and ends by morning."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import date

from collector.cli.archive_job import child_environment, start_process, terminate
from collector.cli.context import CliContext
from collector.log import logger

LONGEST = 5 * 3600.0
"""Seconds: a repair begins after midnight and must end before sweeps need the machine; the next night continues."""


def make_repair_job(context: CliContext, *, longest: float = LONGEST) -> Callable[[date], Awaitable[None]]:
    """Returns a function to repair one day and log the outcome. It stops if cancelled or out of time; the next
    run continues."""

    async def repair(day: date) -> None:
        command = ("-P", "-m", "collector", "repair", "--from", day.isoformat(), "--to", day.isoformat())
        environ = child_environment(context) | _keys(context)
        try:
            process = await start_process((*command, "--config", context.config.origin), environ)
        except OSError as error:  # short of memory or of processes: there is another night
            logger.error("repair.failed", reason=f"it does not start: {error.strerror}", code=None)
            return
        try:
            async with asyncio.timeout(longest):
                out, err = await process.communicate()
        except TimeoutError:
            logger.warning("repair.failed", reason="the night is over; the next one goes on", code=None)
            return
        finally:
            await terminate(process)
        for line in out.decode(errors="replace").splitlines():
            logger.info("repair.output", line=line)
        if process.returncode:
            logger.warning(
                "repair.failed", reason=err.decode(errors="replace").strip(), code=process.returncode
            )

    return repair


def _keys(context: CliContext) -> dict[str, str]:
    """The key for the child's environment: this process removed it from its own. The child finds keys in files."""
    pairs = {
        "KIWOOM_APP_KEY": context.environment.app_key,
        "KIWOOM_SECRET_KEY": context.environment.secret_key,
    }
    return {
        name: secret.reveal()
        for name, secret in pairs.items()
        if secret is not None and f"{name}_FILE" not in os.environ
    }
