"""Calls the URL that hears of each complete sweep. A monitor behind it raises an alarm when the calls stop."""

import asyncio
from collections.abc import Awaitable, Callable

from collector import __version__
from collector.log import logger

TIME_LIMIT = 10.0
"""Seconds for the whole call, the look-up of the host's name included."""

_PAUSES = (5.0, 30.0)
"""Seconds before a failed call is repeated."""


async def ping(url: str, *, limit: float = TIME_LIMIT) -> str:
    """Call a URL once; return "" or the reason of the failure. No reason holds a part of the URL."""
    from aiohttp import ClientError, ClientSession, ClientTimeout  # noqa: PLC0415 - half a second

    timeout = ClientTimeout(total=limit)
    headers = {"User-Agent": f"collector/{__version__}"}
    try:
        async with (
            ClientSession(timeout=timeout, headers=headers) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return "" if answer.ok else f"it answered HTTP {answer.status}"
    except TimeoutError:
        return f"no answer in {limit:g} s"
    except (ClientError, OSError, ValueError) as error:
        return f"it cannot be reached ({type(error).__name__})"


class Pinger:
    """Calls the URL in the background. While a call is under way, one more is remembered."""

    def __init__(
        self,
        url: Callable[[], str | None],
        call: Callable[[str], Awaitable[str]] = ping,
        pauses: tuple[float, ...] = _PAUSES,
    ) -> None:
        self._url = url
        self._call = call
        self._pauses = pauses
        self._task: asyncio.Task[None] | None = None
        self._is_due = False
        self._is_failing = False

    def start(self) -> None:
        """Call the URL, without waiting for the answer. Without a URL nothing is called."""
        self._is_due = self._url() is not None
        if self._is_due and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End the call that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._is_due and (url := self._url()) is not None:
            self._is_due = False
            reason = await self._call(url)
            for pause in self._pauses if reason else ():
                self._note(reason)
                await asyncio.sleep(pause)
                if not (reason := await self._call(url)):
                    break
            self._note(reason)

    def _note(self, reason: str) -> None:
        """Log the first call that fails."""
        if reason and not self._is_failing:
            logger.warning("ping.failed", reason=reason, hint="try it with `collector notify --test`")
        self._is_failing = bool(reason)
