"""Hands a message to the services, in a child process with a time limit."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec

from collector.notify.messages import Message
from collector.secret import Secret

TIME_LIMIT = 20.0
"""Seconds for all services together. apprise itself waits four seconds for a connection and four for an answer."""
SILENT = f"no answer in {TIME_LIMIT:g} s"


@dataclass(frozen=True)
class Delivery:
    """What came of one message at one service. `name` is the service's, "" if it is unknown."""

    name: str
    reason: str

    @property
    def is_accepted(self) -> bool:
        return not self.reason


def is_installed() -> bool:
    """Whether apprise, of the extra [notify], can be imported."""
    return find_spec("apprise") is not None


async def send(
    urls: Mapping[int, Secret], message: Message, *, limit: float = TIME_LIMIT
) -> Mapping[int, Delivery]:
    """Send a message to services, and return what came of it, by the numbers of the services."""
    content = {"title": message.title, "body": message.body, "level": message.level}
    return await _run_child(urls, content, limit)


async def check(urls: Mapping[int, Secret], *, limit: float = TIME_LIMIT) -> Mapping[int, Delivery]:
    """Say of each URL which service it is, without a message."""
    return await _run_child(urls, {}, limit)


async def _run_child(
    urls: Mapping[int, Secret], content: Mapping[str, str], limit: float
) -> Mapping[int, Delivery]:
    numbers = list(urls)
    deliveries = {index: Delivery("", SILENT) for index in numbers}
    order = json.dumps({"urls": [urls[index].reveal() for index in numbers], **content})
    try:
        process = await _start_child()
    except OSError as error:  # short of memory or of processes
        failed = Delivery("", f"the process that sends does not start: {error.strerror}")
        return dict.fromkeys(numbers, failed)
    assert process.stdin
    assert process.stdout
    try:
        with suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            async with asyncio.timeout(limit):
                process.stdin.write(order.encode())
                process.stdin.write_eof()
                while line := await process.stdout.readline():
                    index, name, reason = json.loads(line)
                    deliveries[numbers[index]] = Delivery(name, reason)
                await process.wait()
    finally:
        # Not for a child that has ended: kill() would collect its status, which asyncio's own thread waits for.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return deliveries


async def _start_child() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "collector.notify.child"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,  # warnings of libraries may quote a URL
    )


def label(index: int, delivery: Delivery) -> str:
    """A service as an operator sees it: its place in COLLECTOR_NOTIFY_URLS, from 1, and its name."""
    return f"{index + 1} ({delivery.name})" if delivery.name else str(index + 1)
