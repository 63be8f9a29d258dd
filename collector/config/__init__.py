"""The configuration: which targets are wanted, when, and how Kiwoom is asked for them.

`load` reads the file, `settings` the environment; both refuse whatever could not be carried out, with the
place and what is allowed there, before anything is fetched.
"""

from collector.config.credentials import Credentials, keys
from collector.config.environment import Environment, listen_place, settings
from collector.config.load import load, parse
from collector.config.render import describe, digest
from collector.config.schema import ApiConfig, Config, DatabaseConfig, ScheduleSpec, TargetSpec, WebConfig
from collector.config.universes import universe_targets

__all__ = [
    "ApiConfig",
    "Config",
    "Credentials",
    "DatabaseConfig",
    "Environment",
    "ScheduleSpec",
    "TargetSpec",
    "WebConfig",
    "describe",
    "digest",
    "keys",
    "listen_place",
    "load",
    "parse",
    "settings",
    "universe_targets",
]
