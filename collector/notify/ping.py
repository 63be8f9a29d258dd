"""Calls the URL that hears of each complete sweep. A monitor behind it raises an alarm when the calls stop."""

from collector import __version__

TIME_LIMIT = 10.0
"""Seconds for the whole call, the look-up of the host's name included."""


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
