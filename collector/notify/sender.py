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

TIME_LIMIT = 30.0
"""Seconds for all services together: 4 for a connection, 15 for an answer, and the rest for the start of the child."""
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


class Sender:
    """Sends messages, and can start the child for the next one in advance.

    The start of a child and its import of apprise take 0.2 s of CPU time, which are seconds on a busy machine.
    """

    def __init__(self, limit: float = TIME_LIMIT) -> None:
        """`limit`: seconds for all services of a message together."""
        self._limit = limit
        self._spare: asyncio.subprocess.Process | None = None

    async def prepare(self, urls: Mapping[int, Secret]) -> None:
        """Start a child that waits for an order of some of these URLs. Unused, it ends after a quarter of an hour."""
        if self._spare is None or self._spare.returncode is not None:
            with suppress(OSError):  # the next message starts its own
                self._spare = await _start_child(urls)

    async def send(self, urls: Mapping[int, Secret], message: Message) -> Mapping[int, Delivery]:
        """Send a message to services, and return what came of it, by the numbers of the services."""
        spare, self._spare = self._spare, None
        is_ready = spare is not None and spare.returncode is None
        content = {"title": message.title, "body": message.body, "level": message.level}
        return await _run_child(urls, content, self._limit, spare if is_ready else None)

    async def close(self) -> None:
        """End the child that waits."""
        spare, self._spare = self._spare, None
        if spare is not None:
            await _end(spare)


async def check(urls: Mapping[int, Secret], *, limit: float = TIME_LIMIT) -> Mapping[int, Delivery]:
    """Say of each URL which service it is, without a message."""
    return await _run_child(urls, {}, limit)


async def _run_child(
    urls: Mapping[int, Secret],
    content: Mapping[str, str],
    limit: float,
    child: asyncio.subprocess.Process | None = None,
) -> Mapping[int, Delivery]:
    """Give the order to a child, by default a new one, and read its answers."""
    numbers = list(urls)
    deliveries = {index: Delivery("", SILENT) for index in numbers}
    order = json.dumps({"urls": [urls[index].reveal() for index in numbers], **content})
    try:
        process = child or await _start_child(urls)
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
        await _end(process)
    return deliveries


async def _end(process: asyncio.subprocess.Process) -> None:
    # Not for a child that has ended: kill() would collect its status, which asyncio's own thread waits for.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _start_child(urls: Mapping[int, Secret]) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "collector.notify.child"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,  # warnings of libraries may quote a URL
    )
    assert process.stdin
    schemes = {url.reveal().partition("://")[0].lower() for url in urls.values()}
    process.stdin.write(json.dumps(sorted(schemes)).encode() + b"\n")
    return process


def label(index: int, delivery: Delivery) -> str:
    """A service as an operator sees it: its place in COLLECTOR_NOTIFY_URLS, from 1, and its name."""
    return f"{index + 1} ({delivery.name})" if delivery.name else str(index + 1)
