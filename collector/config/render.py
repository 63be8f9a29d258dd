"""Renders the active configuration: as YAML for people, as a short hash for the ledger."""

import hashlib
from dataclasses import fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import yaml

from collector.base import duration
from collector.base.yaml_text import printable
from collector.config.environment import Environment
from collector.config.schema import Config
from collector.secret import Secret


class _QuotingDumper(yaml.SafeDumper):
    """Quotes every text of digits. PyYAML quotes 013, an octal number, but not 008."""


def _quote_digits(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if text.isdigit() else None)


def _keep_on_one_line(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    # PyYAML breaks a list with a quoted text into one line for each item.
    are_texts = bool(items) and all(isinstance(item, str) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=are_texts or None)


_QuotingDumper.add_representer(str, _quote_digits)
_QuotingDumper.add_representer(list, _keep_on_one_line)


def describe(config: Config, environment: Environment) -> str:
    """Render the whole configuration, defaults included, as YAML that reads back as the same; secrets are
    `***`."""
    secrets = {
        "KIWOOM_APP_KEY": environment.app_key,
        "KIWOOM_SECRET_KEY": environment.secret_key,
        "DATABASE_URL": environment.database_url,
        "COLLECTOR_NOTIFY_URLS": environment.notify_urls[0] if environment.notify_urls else None,
    }
    heads = [f"{printable(config.origin)}, digest {digest(config)}"]
    heads += [f"{name}: {_presence(secret)}" for name, secret in secrets.items()]
    if environment.keys is not None:
        heads.append(f"KIWOOM_KEYS: {printable(str(environment.keys))}")
    shown = replace(config, notify=replace(config.notify, ping=mask_path(config.notify.ping)))
    return "".join(f"# {head}\n" for head in heads) + _body(shown, _QuotingDumper)


def mask_path(url: str | None) -> str | None:
    """Return a URL with its host alone: user, path and query may hold a token."""
    if url is None:
        return None
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}/***"


def digest(config: Config) -> str:
    """Return twelve hex digits, equal for configurations with the same settings."""
    return hashlib.sha256(_body(config).encode()).hexdigest()[:12]


def _presence(secret: Secret | None) -> str:
    return "not set" if secret is None else str(secret)


def _body(config: Config, dumper: type[yaml.SafeDumper] = yaml.SafeDumper) -> str:
    sections = {
        "api": config.api,
        "quota": config.quota,
        "universes": config.universes,
        "schedules": config.schedule_specs,
        "database": config.database,
        "archive": config.archive,
        "web": config.web,
        "repair": config.repair,
        "witness": config.witness,
        "notify": config.notify,
    }
    plain = {name: _plain(section) for name, section in sections.items()}
    return yaml.dump(
        plain, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000
    )


def _plain(value: Any) -> Any:
    """Convert a value for YAML: a dataclass becomes a mapping without the absent keys."""
    if isinstance(value, timedelta):
        return duration.show(value)
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        named = {spec.name: getattr(value, spec.name) for spec in fields(value)}
        return {name: _plain(item) for name, item in named.items() if item is not None}
    return value
