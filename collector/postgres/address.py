"""Where a database is: read from a URL by ourselves, because the driver's errors quote pieces of passwords.

    postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=/ca.pem
    postgresql://USER@/DATABASE?host=/socket/folder

No complaint quotes what stands where a password may stand.
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


@dataclass(frozen=True, slots=True)
class Address:
    """One database of one server.

    `host` is a name, an address, or (with a leading `/`) the folder of a socket. Without a `password` the
    driver looks where every PostgreSQL client looks: PGPASSWORD, then ~/.pgpass. `sslrootcert` is the file
    of the authority to trust with the two verify modes, "" for the system's. `pgbouncer`: a pooler in
    transaction mode stands between, so nothing may be kept in the session.
    """

    host: str
    database: str
    user: str
    password: Secret | None = None
    port: int = 5432
    sslmode: str = "prefer"
    sslrootcert: str = ""
    pgbouncer: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}/{self.database}" if self.is_socket else f"{host}:{self.port}/{self.database}"

    @property
    def is_socket(self) -> bool:
        return self.host.startswith("/")


def parse(url: str) -> Address:
    """Read a DATABASE_URL; ConfigError says what is wrong with it, never what its password is."""
    match = _URL.fullmatch(url.strip())
    if match is None or "@" in (match[2] or "") + (match[3] or ""):
        raise _wrong(_why_not(url))
    credentials, _, place = match[1].rpartition("@")
    user, _, password = credentials.partition(":")
    host, port = _place(place)
    given = {"user": user, "password": password, "host": host, "port": port, "dbname": match[2] or ""}
    given |= dict(_parameters(match[3] or ""))
    return _address({name: _decoded(name, text) for name, text in given.items() if text})


def _why_not(url: str) -> str:
    if not re.match(r"postgres(ql)?://", url.strip()):
        return f"it does not start with postgresql:// (its form is {FORM})"
    return (
        "a character of the user or password must be percent-encoded: "
        "/ is %2F, ? is %3F, # is %23, @ is %40, % is %25"
    )


def _place(text: str) -> tuple[str, str]:
    """HOST, HOST:PORT, [IPv6] or [IPv6]:PORT, as host and port ("" for what is not there)."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        name, _, text = pair.partition("=")
        if name not in _PARAMETERS:
            raise _wrong(f"it has a parameter that is not known; allowed are {', '.join(_PARAMETERS)}")
        yield name, text


def _decoded(name: str, text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise _wrong(f"in its {name}, a % is not followed by two hexadecimal digits; a % itself is %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(f"its {name} is not UTF-8 once it is decoded") from None


def _address(given: dict[str, str]) -> Address:
    if not given.get("host"):
        raise _wrong(f"it names no host (its form is {FORM}, or ?host=/socket/folder)")
    if "," in given["host"]:
        raise _wrong("it names more than one host; one is possible")
    user = given.get("user") or getpass.getuser()
    return Address(
        host=given["host"],
        port=_port(given.get("port", "5432")),
        user=user,
        password=Secret(given["password"]) if "password" in given else None,
        database=given.get("dbname", user),
        sslmode=_one_of("sslmode", SSL_MODES, given.get("sslmode", "prefer")),
        sslrootcert=given.get("sslrootcert", ""),
        pgbouncer=_one_of("pgbouncer", ("true", "false"), given.get("pgbouncer", "false")) == "true",
    )


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise _wrong("its port is no number from 1 to 65535 (or the @ before the host is missing)")
    return int(text)


def _one_of(name: str, allowed: tuple[str, ...], text: str) -> str:
    if text not in allowed:
        raise _wrong(f"its {name} is none of {', '.join(allowed)}")
    return text


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"DATABASE_URL cannot be read: {why}", hint=f"write it as {FORM}")
