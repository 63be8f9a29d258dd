"""Access policy of the page: a pure parser and judge of request heads, before any other code sees the
request.

The page only reads: GET and HEAD are allowed, and no body is read. DNS-rebinding protection: only loopback,
IP literals and host names without a dot are accepted as Host, because none of them can be rebound. More names
can be allowed.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import parse_qsl

from collector.errors import ConfigError
from collector.secret import Secret

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Server": "collector",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer."""

OPEN_TO_ALL = ("/healthz", "/readyz")
"""Addresses for monitors of the process, open without the token. The answer is then only good or bad."""

_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,2000}) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([ -~\t\x80-\xff]*?)[ \t]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(:[0-9]{1,5})?")
_FIELDS = 20


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A parsed request. `path` is as sent; `headers` are by lower-case name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    is_trusted: bool = False
    """True if the request carries the token, or no token is configured. A trusted request may see everything.
    """


@dataclass(frozen=True, slots=True)
class PageRefusal:
    """A refusal with its status, text and headers."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The rules of one listening address. `names` are allowed hosts besides loopback. A `token` of None
    allows all.
    """

    token: Secret | None = None
    names: frozenset[str] = frozenset()
    beyond_loopback: bool = False

    def judge(self, head: bytes) -> PageRequest | PageRefusal:
        """The parsed request, or its refusal."""
        request = parse(head)
        if isinstance(request, PageRefusal):
            return request
        trusted = replace(request, is_trusted=self._is_known(request.headers.get("authorization", "")))
        return self._find_refusal(trusted) or trusted

    def _find_refusal(self, request: PageRequest) -> PageRefusal | None:
        if request.method not in ("GET", "HEAD"):
            return PageRefusal(405, "only GET and HEAD are answered", {"Allow": "GET, HEAD"})
        if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
            return PageRefusal(400, "a request must not have a body", {})
        if not self._is_ours(request.headers.get("host", "")):
            return PageRefusal(403, "this host name is not served here", {})
        if _is_foreign(request.headers):
            return PageRefusal(403, "another site may not read this", {})
        if request.path not in OPEN_TO_ALL and not request.is_trusted:
            return PageRefusal(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="collector"'})
        return None

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower()
        if name in ("localhost", "127.0.0.1", "[::1]") or name in self.names:
            return True
        return self.beyond_loopback and ("." not in name or _is_address(name))

    def _is_known(self, authorization: str) -> bool:
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":  # a browser sends any user name, with the token as the password
            given = _password(given.strip())
        elif scheme.lower() != "bearer":
            return False
        return Secret(given.strip()) == self.token


def make_access_policy(host: str, token: Secret | None, names: Iterable[str] = ()) -> AccessPolicy:
    """The policy for a listening address. ConfigError if other machines reach the address and no token is
    set.
    """
    beyond = not is_loopback(host)
    if beyond and token is None:
        raise ConfigError(
            f"web.listen: other machines can reach {host}, and no token is set",
            hint="set COLLECTOR_WEB_TOKEN_FILE to the path of a file with a token, or listen on 127.0.0.1",
        )
    ours = {name.lower() for name in (*names, host) if name not in ("0.0.0.0", "::")}  # nosec B104 # noqa: S104
    return AccessPolicy(token, frozenset(f"[{name}]" if ":" in name else name for name in ours), beyond)


def is_loopback(host: str) -> bool:
    """True if only this machine reaches the listening address."""
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host.strip("[]")).is_loopback)


def parse(head: bytes) -> PageRequest | PageRefusal:
    """Parse a request's head strictly. An ambiguous head is refused."""
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = _LINE.fullmatch(line)
    matches = [_HEADER.fullmatch(item) for item in lines]
    if match is None or not all(matches):
        return PageRefusal(400, "this is not an HTTP request", {})
    headers = {item[1].lower(): item[2] for item in matches if item}
    if len(headers) < len(lines):
        return PageRefusal(400, "a header is repeated", {})
    path, _, query = match[2].partition("?")
    try:
        asked = dict(parse_qsl(query, max_num_fields=_FIELDS))
    except ValueError:
        return PageRefusal(400, f"more than {_FIELDS} query fields", {})
    return PageRequest(match[1], path, asked, headers)


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """True if another site's page sends the request. A followed link is allowed, because the user chose it."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _password(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
