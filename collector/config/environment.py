"""Reads the environment: the secrets, each as such or as the path of a file, and where things lie."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ConfigError
from collector.secret import Secret
from collector.yamltext import quote, show

MOUNTS = (Path("/run/secrets"), Path("/run/credentials"))
"""Where Docker and systemd put secrets and guard them; Docker's files are often 0444 there."""

_CONFIG = Path("config/collector.yaml")
_HOME = Path(".collector")
_MAX_BYTES = 16 * 1024
# What is wrong beside the scheme is said where the address is read.
_DATABASE = re.compile(r"\W*(?:\w+[:=\s]\W*|export\s+\w+=\W*)?postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says; None is "not set"."""

    app_key: Secret | None = None
    secret_key: Secret | None = None
    database_url: Secret | None = None
    base_url: str | None = None
    config: Path = _CONFIG
    home: Path = _HOME
    web_token: Secret | None = None
    web_listen: str | None = None
    keys: Path | None = None
    """The folder with the keys that the configuration names."""


def settings(environ: Mapping[str, str], *, mounts: Iterable[Path] = MOUNTS) -> Environment:
    """The environment, read and checked.

    ConfigError names the variable, the path and what to do, never a value. `mounts` are folders whose files
    others may read.
    """
    database_url = _secret("DATABASE_URL", environ, mounts)
    if database_url is not None and not _DATABASE.match(database_url.reveal()):
        raise ConfigError(
            "DATABASE_URL is no URL of a PostgreSQL; allowed is postgresql://USER:PASSWORD@HOST/NAME"
        )
    return Environment(
        app_key=_secret("KIWOOM_APP_KEY", environ, mounts),
        secret_key=_secret("KIWOOM_SECRET_KEY", environ, mounts),
        database_url=database_url,
        base_url=_plain("KIWOOM_BASE_URL", environ),
        config=Path(_plain("COLLECTOR_CONFIG", environ) or _CONFIG),
        home=Path(_plain("COLLECTOR_HOME", environ) or _HOME),
        web_token=_secret("COLLECTOR_WEB_TOKEN", environ, mounts),
        web_listen=_listen("COLLECTOR_WEB_LISTEN", environ),
        keys=Path(folder) if (folder := _plain("KIWOOM_KEYS", environ)) else None,
    )


def _plain(name: str, environ: Mapping[str, str]) -> str | None:
    return None if name not in environ else _clean(environ[name], name)


def listen_place(text: str, where: str) -> str:
    """A HOST:PORT to listen on; ConfigError, opened by what named it, if it is none."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536):
        raise ConfigError(f"{where}: {quote(text)} is no HOST:PORT; allowed is for example 127.0.0.1:8020")
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


def secret_of(path: Path, variable: str, mounts: Iterable[Path] = MOUNTS) -> Secret:
    """What a file holds, on one line; ConfigError, opened by what named the file, if it is not fit to hold a secret."""
    return Secret(_clean(_read(path, variable, mounts), f"{variable}: {show(str(path))}"))


def _clean(text: str, where: str) -> str:
    text = text.strip()
    if not text:
        raise ConfigError(f"{where} is empty; give it a value, or unset it")
    if not text.isprintable():
        raise ConfigError(f"{where} holds a control character or a line break; allowed is one line of text")
    return text


def _read(path: Path, variable: str, mounts: Iterable[Path]) -> str:
    where = f"{variable}: {show(str(path))}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{where} is not there; make the file, or correct the path") from None
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror}); it must be a file of yours") from None
    if mode & 0o077 and not any(path.resolve().is_relative_to(mount) for mount in mounts):
        raise ConfigError(
            f"{where} can be read by others (mode {mode & 0o777:04o}); chmod 600 {show(str(path))}"
        )
    return _text(data, where)


def _text(data: bytes, where: str) -> str:
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{where} holds more than {_MAX_BYTES // 1024} kB; a key is one short line")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not UTF-8; a key is one line of plain text") from None
