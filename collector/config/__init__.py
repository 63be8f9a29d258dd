"""Reads the configuration: the targets, their schedules, and the settings of the Kiwoom client.

`load` reads the file, `settings` the environment. Both refuse a setting that cannot be carried out, before
anything is fetched. The error gives its position and the allowed values.
"""

from collector.config.credentials import Credentials, keys
from collector.config.environment import Environment, listen_place, settings
from collector.config.load import load, parse
from collector.config.render import describe, digest, mask_path
from collector.config.schema import (
    ApiConfig,
    ArchiveConfig,
    Config,
    DatabaseConfig,
    NotifyConfig,
    ScheduleSpec,
    TargetSpec,
    WebConfig,
)
from collector.config.universes import build_timetable, universe_targets

__all__ = [
    "ApiConfig",
    "ArchiveConfig",
    "Config",
    "Credentials",
    "DatabaseConfig",
    "Environment",
    "NotifyConfig",
    "ScheduleSpec",
    "TargetSpec",
    "WebConfig",
    "build_timetable",
    "describe",
    "digest",
    "keys",
    "listen_place",
    "load",
    "mask_path",
    "parse",
    "settings",
    "universe_targets",
]
