"""Reads the environment: the secrets, each directly or as the path of a file, and the locations of files."""

import codecs
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.base.yaml_text import printable, quote
from collector.config.object_access import ObjectAccess, read_object_access
from collector.errors import ConfigError
from collector.secret import Secret

MOUNTS = (Path("/run/secrets"), Path("/run/credentials"))
"""The folders of secrets of Docker and systemd, which protect them; Docker's files often have mode 0444."""

_CONFIG = Path("config/collector.yaml")
_HOME = Path(".collector")
_MAX_BYTES = 16 * 1024
# Only the scheme is checked here; the parser of the database address reports anything else.
_DATABASE = re.compile(r"\W*(?:\w+[:=\s]\W*|export\s+\w+=\W*)?postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""The characters of a key or a token in HTTP (RFC 9110, token68); Kiwoom's keys have letters, digits, - and
_."""
_ASSIGNMENT = re.compile(r"(export\s+)?\w+\s*[=:]\s*[^=\s]")
_BETWEEN_URLS = re.compile(r"\s+|,(?=\s*[A-Za-z][A-Za-z0-9+.-]{1,30}://)")
_SERVICE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}://.")
_MOST_URLS = 20
_WEB_TOKEN = re.compile(r"[!-~]+")
_WEB_TOKEN_LENGTH = 16
_WEB_TOKEN_VARIETY = 5
"""Fewest different characters of a token: of 16 random hex digits, 4 or fewer differ once in a million."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The values of the environment; None is "not set"."""

    app_key: Secret | None = None
    secret_key: Secret | None = None
    database_url: Secret | None = None
    base_url: str | None = None
    config: Path = _CONFIG
    home: Path = _HOME
    web_token: Secret | None = None
    web_listen: str | None = None
    keys: Path | None = None
    """The folder with the keys named by the configuration."""
    notify_urls: tuple[Secret, ...] = ()
    """The services that get messages, one URL each; a URL holds a token."""
    object_access: ObjectAccess = field(default_factory=ObjectAccess)
    """The keys and the server of an object store."""


def settings(environ: Mapping[str, str], *, mounts: Iterable[Path] = MOUNTS) -> Environment:
    """Read and check the environment.

    ConfigError names the variable, the path and the remedy, never a value. `mounts` are folders with files
    that other users may read.
    """
    database_url = _secret("DATABASE_URL", environ, mounts)
    if database_url is not None and not _DATABASE.match(database_url.reveal()):
        raise ConfigError("DATABASE_URL is not a PostgreSQL URL; use postgresql://USER:PASSWORD@HOST/NAME")
    return Environment(
        app_key=_key("KIWOOM_APP_KEY", environ, mounts),
        secret_key=_key("KIWOOM_SECRET_KEY", environ, mounts),
        database_url=database_url,
        base_url=_plain("KIWOOM_BASE_URL", environ),
        config=Path(_plain("COLLECTOR_CONFIG", environ) or _CONFIG),
        home=Path(_plain("COLLECTOR_HOME", environ) or _HOME),
        web_token=_web_token("COLLECTOR_WEB_TOKEN", environ, mounts),
        web_listen=_listen("COLLECTOR_WEB_LISTEN", environ),
        keys=Path(folder) if (folder := _plain("KIWOOM_KEYS", environ)) else None,
        notify_urls=_notify_urls("COLLECTOR_NOTIFY_URLS", environ, mounts),
        object_access=read_object_access(
            environ, lambda file: secret_of(Path(_clean(environ[file], file)), file, mounts)
        ),
    )


def _plain(name: str, environ: Mapping[str, str]) -> str | None:
    return None if name not in environ else _clean(environ[name], name)


def listen_place(text: str, where: str) -> str:
    """Check a HOST:PORT to listen on; ConfigError, prefixed by its source `where`, if it is wrong."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536):
        raise ConfigError(f"{where}: {quote(text)} is not HOST:PORT; use for example 127.0.0.1:8020")
    return text


def _listen(name: str, environ: Mapping[str, str]) -> str | None:
    text = _plain(name, environ)
    return None if text is None else listen_place(text, name)


def _secret(name: str, environ: Mapping[str, str], mounts: Iterable[Path]) -> Secret | None:
    file = f"{name}_FILE"
    if name in environ and file in environ:
        raise ConfigError(f"both {name} and {file} are set; unset one of them")
    if file not in environ:
        plain = _plain(name, environ)
        return None if plain is None else Secret(plain)
    return secret_of(Path(_clean(environ[file], file)), file, mounts)


def _notify_urls(name: str, environ: Mapping[str, str], mounts: Iterable[Path]) -> tuple[Secret, ...]:
    """Read the URLs of services: between them a blank, a line end or a comma. The text is never shown."""
    file = f"{name}_FILE"
    if name in environ and file in environ:
        raise ConfigError(f"both {name} and {file} are set; unset one of them")
    if file in environ:
        text = _read(Path(_clean(environ[file], file)), file, mounts)
    else:
        text = environ.get(name, "")
        if name in environ:
            _clean(" ".join(text.split()), name)
    urls = [part for part in _BETWEEN_URLS.split(text) if part]
    where = _origin(name, environ)
    if file in environ and not urls:
        raise ConfigError(f"{where} is empty; give it a value, or unset it")
    if len(urls) > _MOST_URLS:
        raise ConfigError(f"{where} has {len(urls)} URLs; use {_MOST_URLS} at most")
    for number, url in enumerate(urls, 1):
        if not (_SERVICE_URL.match(url) and url.isprintable()):
            raise ConfigError(
                f"{where}: entry {number} is no URL of a service (it is not shown)",
                hint="use for example tgram://TOKEN/CHAT or slack://A/B/C, with a blank between two of them",
            )
    return tuple(map(Secret, urls))


def secret_of(path: Path, variable: str, mounts: Iterable[Path] = MOUNTS) -> Secret:
    """Read a secret from the single line of a file; ConfigError, prefixed by `variable`, if the file is
    unsuitable."""
    return Secret(_clean(_read(path, variable, mounts), f"{variable}: {printable(str(path))}"))


def key_of(path: Path, variable: str, mounts: Iterable[Path] = MOUNTS) -> Secret:
    """Read a key from a file; ConfigError as in `secret_of`, and for a text that cannot be a key."""
    key = secret_of(path, variable, mounts)
    refuse_unlike_key(key, f"{variable}: {printable(str(path))}")
    return key


def refuse_unlike_key(key: Secret, where: str) -> None:
    """Raise ConfigError, prefixed by `where`, for a text that cannot be an app key or a secret key; the text
    is not shown."""
    if reason := _why_no_key(key.reveal()):
        raise ConfigError(f"{where} {reason}; use the key alone, as Kiwoom shows it")


def _why_no_key(text: str) -> str | None:
    """Return the reason a text cannot be a key, frequent mistakes first; None if it can."""
    if _KEY.fullmatch(text):
        return None
    if _ASSIGNMENT.match(text):
        return "holds NAME=value"
    if {text[0], text[-1]} & set("\"'`\u2018\u2019\u201c\u201d"):
        return "holds quotation marks"
    if any(mark.isspace() for mark in text):
        return "holds a blank inside"
    if not text.isascii():
        return "holds letters outside ASCII, such as Hangul or full-width ones"
    return "holds a forbidden character (a key has letters, digits and - _ . ~ + / =)"


def _key(name: str, environ: Mapping[str, str], mounts: Iterable[Path]) -> Secret | None:
    """Read a key. Blanks inside a variable are accepted as the operator's; in a file they are copying errors."""
    key = _secret(name, environ, mounts)
    if key is not None:
        text = key.reveal()
        is_file = f"{name}_FILE" in environ
        refuse_unlike_key(key if is_file else Secret(text.replace(" ", "")), _origin(name, environ))
    return key


def _web_token(name: str, environ: Mapping[str, str], mounts: Iterable[Path]) -> Secret | None:
    """Read the token of the status page; ConfigError if it can be guessed or does not fit in a header."""
    token = _secret(name, environ, mounts)
    if token is not None and (reason := _why_no_web_token(token.reveal())):
        raise ConfigError(
            f"{_origin(name, environ)} {reason}; use at least {_WEB_TOKEN_LENGTH} characters of ASCII"
            " without a blank",
            hint="`openssl rand -hex 24` makes one",
        )
    return token


def _why_no_web_token(text: str) -> str | None:
    if len(text) < _WEB_TOKEN_LENGTH:
        return f"is shorter than {_WEB_TOKEN_LENGTH} characters and can be guessed"
    if not _WEB_TOKEN.fullmatch(text):
        return "holds a blank or a letter beyond ASCII"
    if len(set(text)) < _WEB_TOKEN_VARIETY:
        return f"repeats fewer than {_WEB_TOKEN_VARIETY} characters and can be guessed"
    return None


def _origin(name: str, environ: Mapping[str, str]) -> str:
    """Return the source of a value for a message: the variable, or the variable and its file."""
    file = f"{name}_FILE"
    return f"{file}: {printable(environ[file].strip())}" if file in environ else name


def _clean(text: str, where: str) -> str:
    text = text.strip()
    if not text:
        raise ConfigError(f"{where} is empty; give it a value, or unset it")
    if not text.isprintable():
        raise ConfigError(f"{where} holds a control character or a line break; use one line of text")
    return text


def _read(path: Path, variable: str, mounts: Iterable[Path]) -> str:
    where = f"{variable}: {printable(str(path))}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{where} does not exist; create the file, or correct the path") from None
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror}); use a file that you own") from None
    if mode & 0o077 and not any(path.resolve().is_relative_to(mount) for mount in mounts):
        raise ConfigError(
            f"{where} can be read by others (mode {mode & 0o777:04o}); chmod 600 {printable(str(path))}"
        )
    return _text(data, where)


def _text(data: bytes, where: str) -> str:
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{where} holds more than {_MAX_BYTES // 1024} kB; a key is one short line")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if len(data) > len(codecs.BOM_UTF16) and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ConfigError(f"{where} is UTF-16; save it again as UTF-8, one line of plain text") from None
        raise ConfigError(f"{where} is not UTF-8; a key is one line of plain text") from None
