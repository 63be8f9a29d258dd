"""Reads database URLs. The program parses them itself, because the driver's errors quote parts of passwords.

    postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=/ca.pem
    postgresql://USER@/DATABASE?host=/socket/folder

No error message quotes a part of the URL with a possible password.
"""

import getpass
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from collector.errors import ConfigError
from collector.secret import Secret

SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"

_URL = re.compile(r"postgres(?:ql)?://([^/?#]*)(?:/([^?#]*))?(?:\?([^#]*))?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00", re.ASCII)
_PARAMETERS = ("host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "pgbouncer")
# Parameters of other clients. Without them the connection reaches the same database with the same safety.
_IGNORED = (
    *("application_name", "fallback_application_name", "client_encoding", "connect_timeout"),
    *("connection_limit", "pool_timeout", "socket_timeout", "pool_size", "max_overflow"),
    *("statement_cache_size", "prepared_statement_cache_size", "prepare_threshold"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    *("sslcompression", "sslsni", "krbsrvname", "gsslib", "load_balance_hosts", "uselibpqcompat"),
    *("max_idle_connection_lifetime", "server_version"),
)
_HARMLESS = {
    "channel_binding": ("prefer", "disable"),
    "gssencmode": ("prefer", "disable"),
    "schema": ("public",),
    "target_session_attrs": ("any", "read-write", "primary", "prefer-standby"),
}
_REFUSED = {
    "channel_binding": "asks for a feature the driver lacks; take it out, and write sslmode=verify-full instead",
    "gssencmode": "asks for a feature the driver lacks; take it out, and write sslmode=require instead",
    "hostaddr": "is not supported; write the address as the host",
    "options": "would change settings collector sets itself; take it out",
    "passfile": "is not supported; take it out, and name the file in PGPASSFILE",
    "schema": "belongs to another program; take it out: the tables are in the schemas public and collector",
    "search_path": "would change a setting collector sets itself; take it out",
    "service": "is not supported; write host, port, user and dbname instead",
    "ssl": "belongs to another driver; write sslmode=require, or sslmode=verify-full, instead",
    "sslcert": "is not supported, and neither are client certificates; take it out, and use a password",
    "sslkey": "is not supported, and neither are client certificates; take it out, and use a password",
    "target_session_attrs": "asks for a read-only server; take it out, and name the primary",
}
# SQLAlchemy writes the driver's name after the scheme.
_DRIVER = re.compile(r"(postgres(?:ql)?)(?:\+[a-z0-9_]+)?(?=://)", re.ASCII | re.IGNORECASE)
# Text often copied along with the URL.
_BEFORE = re.compile(r"(jdbc:|psql\s|(?:export\s+)?DATABASE_URL\s*=)", re.ASCII)
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_INVISIBLE = "\ufeff\u200b\u2060"
# An unknown parameter is named in a message only if it reads as a name. Other text may be a part of a password that
# contains an ampersand.
_NAME = re.compile(r"[a-z_]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dsn:
    """The address of one database.

    `host` is a name, an address, or the folder of a socket (it starts with `/`). Without `password` the
    driver looks in PGPASSWORD, then in ~/.pgpass, like every PostgreSQL client. `sslrootcert` is the file of
    the trusted authority for the two verify modes, "" for the system's authorities. `pgbouncer` marks a
    pooler in transaction mode between, so nothing may be kept in the session. `is_private` marks a server run
    by the program itself.
    """

    host: str
    database: str
    user: str
    password: Secret | None = None
    port: int = 5432
    sslmode: str = "prefer"
    sslrootcert: str = ""
    pgbouncer: bool = False
    is_private: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}/{self.database}" if self.is_socket else f"{host}:{self.port}/{self.database}"

    @property
    def is_socket(self) -> bool:
        return self.host.startswith("/")


def parse_dsn(url: str) -> Dsn:
    """Parses a DATABASE_URL; ConfigError names the mistake and never quotes the password."""
    url = _bare(url)
    match = _URL.fullmatch(url)
    if match is None or "@" in (match[2] or "") + (match[3] or ""):
        raise _wrong(_why_not(url))
    credentials, _, location = match[1].rpartition("@")
    user, _, password = credentials.partition(":")
    host, port = _place(location)
    given = {"user": user, "password": password, "host": host, "port": port, "dbname": match[2] or ""}
    given |= dict(_parameters(match[3] or ""))
    return _address({name: _decode(name, text) for name, text in given.items() if text})


def _bare(url: str) -> str:
    """Removes white space, quotes and the driver's name, as found in the settings of other programs."""
    url = url.strip().strip(_INVISIBLE).strip()
    if len(url) > 1 and _QUOTES.get(url[0]) == url[-1]:
        url = url[1:-1].strip()
    return _DRIVER.sub(lambda match: match[1].lower(), url, count=1) if _DRIVER.match(url) else url


def _why_not(url: str) -> str:
    if not url:
        return "it is empty"
    if before := _BEFORE.match(url):
        return f"it begins with {before[1].strip()}; leave that out"
    if not re.match(r"postgres(ql)?://", url):
        return f"it does not start with postgresql:// (its form is {FORM})"
    return (
        "a character of the user or password must be percent-encoded: "
        "/ is %2F, ? is %3F, # is %23, @ is %40, % is %25"
    )


def _place(text: str) -> tuple[str, str]:
    """Splits HOST, HOST:PORT, [IPv6] or [IPv6]:PORT into host and port; "" for a missing part."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, _, text = pair.partition("=")
        if name in _PARAMETERS:
            yield name, text
        elif not _is_harmless(name, text):
            raise _wrong(_why_refused(name, text))


def _is_harmless(name: str, text: str) -> bool:
    """Returns True if the connection reaches the same database with the same safety without the parameter."""
    return name in _IGNORED or text in _HARMLESS.get(name, ())


def _why_refused(name: str, text: str) -> str:
    if name in _REFUSED:
        return f"its parameter {name} {_REFUSED[name]}"
    shown = f"its parameter {name}" if text and _NAME.fullmatch(name) else "one of its parameters"
    return f"{shown} is unknown; use {', '.join(_PARAMETERS)}"


def _decode(name: str, text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise _wrong(f"in its {name}, a % is not followed by two hexadecimal digits; a % itself is %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(f"its {name} is not UTF-8 once it is decoded") from None


def _address(given: dict[str, str]) -> Dsn:
    if not given.get("host"):
        raise _wrong(f"it names no host (its form is {FORM}, or ?host=/socket/folder)")
    if "," in given["host"]:
        raise _wrong("it names more than one host; use one")
    user = given.get("user") or getpass.getuser()
    authority = given.get("sslrootcert", "")
    default = "verify-full" if authority == "system" else "prefer"
    return Dsn(
        host=given["host"],
        port=_port(given.get("port", "5432")),
        user=user,
        password=Secret(given["password"]) if "password" in given else None,
        database=given.get("dbname", user),
        sslmode=_one_of("sslmode", SSL_MODES, given.get("sslmode", default)),
        sslrootcert="" if authority == "system" else authority,
        pgbouncer=_one_of("pgbouncer", ("true", "false"), given.get("pgbouncer", "false")) == "true",
    )


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise _wrong("its port is not a number; use 1 to 65535 (or add the missing @ before the host)")
    return int(text)


def _one_of(name: str, allowed: tuple[str, ...], text: str) -> str:
    if text not in allowed:
        raise _wrong(f"its {name} is unknown; use {', '.join(allowed)}")
    return text


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"DATABASE_URL cannot be read: {why}", hint=f"write it as {FORM}")
