"""The daemon's repair: `collector repair` as a process of its own, which yields to sweeps and ends by morning."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import date

from collector.cli.archive_job import child_environment, start_process, terminate
from collector.cli.context import CliContext
from collector.log import logger

LONGEST = 5 * 3600.0
"""Seconds: begun after midnight, it is over before sweeps need the machine. What is left is done the next night."""


def make_repair_job(context: CliContext, *, longest: float = LONGEST) -> Callable[[date], Awaitable[None]]:
    """Repairs one day, and logs what became of it. Cancelled or out of time, it stops; the next run goes on."""

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
    """The key of the environment, which this process has taken out of it; keys in files are found by the child."""
    pairs = {
        "KIWOOM_APP_KEY": context.environment.app_key,
        "KIWOOM_SECRET_KEY": context.environment.secret_key,
    }
    return {
        name: secret.reveal()
        for name, secret in pairs.items()
        if secret is not None and f"{name}_FILE" not in os.environ
    }
