"""Decides which servers may receive requests, and with them the secret key.

A URL outside a few plain forms is refused before any other parser sees it, so two parsers cannot be played
against each other.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

REAL = "api.kiwoom.com"
MOCK = "mockapi.kiwoom.com"
ALLOWED = (
    f"https://{REAL}, https://{MOCK}, a loopback host such as http://127.0.0.1:8021, "
    "or a host named under api.trusted_hosts"
)

_FORM = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?/?", re.ASCII)


class SourceKind(Enum):
    """The kind of server at a URL."""

    REAL = "real"
    MOCK = "mock"
    OURS = "ours"
    """Loopback or trusted: a simulator, with its own quotas and exchanges."""


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """An allowed base URL: scheme, host and port, without a slash at the end."""

    url: str
    kind: SourceKind


def parse_base_url(url: str, trusted: Iterable[str]) -> BaseUrl:
    """Parse an allowed base URL; ValueError with the reason if it is not allowed."""
    match = _FORM.fullmatch(url)
    if match is None:
        raise ValueError("is not a plain URL (scheme, host in lower case, port; nothing else)")
    scheme, host, port = match.groups()
    if port is not None and int(port) > 65_535:
        raise ValueError("has a port above 65535")
    return BaseUrl(url.rstrip("/"), _kind(scheme, host, port, trusted))


def _kind(scheme: str, host: str, port: str | None, trusted: Iterable[str]) -> SourceKind:
    if host in (REAL, MOCK):
        if scheme != "https":
            raise ValueError("would send the secret key in the clear")
        if port not in (None, "443"):
            raise ValueError("names a port that Kiwoom does not serve")
        return SourceKind.REAL if host == REAL else SourceKind.MOCK
    if _is_loopback(host) or host in trusted:
        return SourceKind.OURS
    raise ValueError("names a host that is not allowed")


def _is_loopback(host: str) -> bool:
    """Accept exact spellings only: 127.1, 2130706433, 0x7f.1 and [::ffff:127.0.0.1] are known evasions."""
    if host in ("localhost", "[::1]"):
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False
