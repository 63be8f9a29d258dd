"""The Date of the API's answers: a third clock beside the host's and the database's."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

PATIENCE = 5.0
"""Seconds for one answer; it is only needed for a hint."""


async def date_of(base_url: str) -> datetime | None:
    """The Date of an answer, in whole seconds, None if there is none to be had.

    Nothing secret is sent. Under a clock that is far off a good certificate looks wrong, and there is no answer.
    """
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(URL(base_url), allow_redirects=False) as answer,
        ):
            return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
