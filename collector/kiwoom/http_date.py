"""Reads the Date header of the API's answers: a third clock beside the host's and the database's."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

TIMEOUT = 5.0
"""Seconds for each step of the request; the answer serves only a hint."""


async def date_of(base_url: str) -> datetime | None:
    """Return the Date of an answer, in whole seconds, None if there is none.

    No secret is sent, and no redirect is followed. If the local clock is far off, a good certificate looks
    invalid, and there is no answer.
    """
    return await asyncio.to_thread(_date_of, base_url)


def _date_of(base_url: str) -> datetime | None:
    parts = urlsplit(base_url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=TIMEOUT)) as connection:
            connection.request("GET", parts.path or "/")
            shown = connection.getresponse().getheader("Date", "")
        return parsedate_to_datetime(shown).astimezone(UTC)
    except (HTTPException, OSError, ValueError):
        return None
