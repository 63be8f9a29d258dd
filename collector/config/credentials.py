"""Reads the app keys: the one in the environment, or those named by the configuration.

The key `main` is in two files of the folder KIWOOM_KEYS, `main.app_key` and `main.secret_key`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from collector.base.yaml_text import printable
from collector.config.environment import MOUNTS, Environment, key_of
from collector.config.errors import nearest
from collector.config.schema import Config
from collector.errors import ConfigError
from collector.secret import Secret

_ONLY = "main"
"""The name of the key in the environment."""


class Credentials(NamedTuple):
    """An app key with its secret key, under the operator's name for it."""

    name: str
    app_key: Secret
    secret_key: Secret


def keys(config: Config, environment: Environment, *, mounts: Iterable[Path] = MOUNTS) -> list[Credentials]:
    """Read and check all keys. ConfigError names the setting, the file and the remedy, never a value."""
    if not config.api.keys:
        return [_environment_key(environment)]
    credentials = list(_read_named_keys(config, environment, mounts))
    _refuse_shared(config, credentials)
    return credentials


def _environment_key(environment: Environment) -> Credentials:
    return Credentials(
        _ONLY,
        _set("KIWOOM_APP_KEY", environment.app_key),
        _set("KIWOOM_SECRET_KEY", environment.secret_key),
    )


def _set(name: str, secret: Secret | None) -> Secret:
    if secret is None:
        raise ConfigError(
            f"{name} is not set",
            hint=f"set {name}_FILE to the path of a file that holds it, or {name} itself;"
            " `collector demo` needs no key",
        )
    return secret


def _read_named_keys(
    config: Config, environment: Environment, mounts: Iterable[Path]
) -> Iterator[Credentials]:
    folder = environment.keys
    if folder is None:
        raise ConfigError(
            config.format_error(("api", "keys"), "api.keys names keys, but KIWOOM_KEYS is not set"),
            hint="set KIWOOM_KEYS to the folder with their files NAME.app_key and NAME.secret_key",
        )
    if environment.app_key or environment.secret_key:
        raise ConfigError(
            config.format_error(
                ("api", "keys"), "api.keys names keys, and KIWOOM_APP_KEY or KIWOOM_SECRET_KEY is set, too"
            ),
            hint="unset them, or leave api.keys out",
        )
    for index, name in enumerate(config.api.keys):
        _refuse_unknown(config, index, folder)
        app_key, secret_key = (
            key_of(folder / f"{name}.{part}", f"api.keys[{index}]", mounts)
            for part in Credentials._fields[1:]
        )
        yield Credentials(name, app_key, secret_key)


def _refuse_unknown(config: Config, position: int, folder: Path) -> None:
    name = config.api.keys[position]
    available = sorted(path.name.removesuffix(".app_key") for path in folder.glob("*.app_key"))
    if name not in available:
        text = f"api.keys[{position}]: there is no key {name} in {printable(str(folder))}"
        known = (
            f"use one of: {', '.join(available)}{nearest(name, available)}"
            if available
            else f"create the file {name}.app_key"
        )
        raise ConfigError(config.format_error(("api", "keys", position), f"{text}; {known}"))


def _refuse_shared(config: Config, credentials: Iterable[Credentials]) -> None:
    """Refuse two names for one key: they would use twice the granted quota, and one of them is a mistake."""
    first: dict[Secret, str] = {}
    for index, key in enumerate(credentials):
        for part, secret in zip(Credentials._fields[1:], key[1:], strict=True):
            file = f"{key.name}.{part}"
            if (before := first.setdefault(secret, file)) != file:
                text = (
                    f"api.keys[{index}]: {file} holds the same as {before}; use a separate key for each name"
                )
                raise ConfigError(config.format_error(("api", "keys", index), text))
