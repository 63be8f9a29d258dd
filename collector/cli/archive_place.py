"""The place of archived days: from an option, the configuration, or the default under COLLECTOR_HOME."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from collector import config as configuration
from collector.cli.context import find_configuration
from collector.config import ArchiveConfig, Environment

if TYPE_CHECKING:
    from collector.archive.store import Location, Locator

FOLDER = "archive"
"""The default folder of the files, under COLLECTOR_HOME."""


class ArchivePlace(NamedTuple):
    """The folder of the files, and the opener of other locations with the same access."""

    folder: "Location"
    locate: "Locator"


def read_archive_config(environment: Environment, config_path: Path | None) -> ArchiveConfig:
    """The section `archive`; the default without a configuration."""
    path = find_configuration(environment, config_path)
    if path is None:
        return ArchiveConfig()
    return configuration.load(path, base_url=environment.base_url).archive


def find_archive(environment: Environment, config: ArchiveConfig, named: str | None) -> ArchivePlace:
    """The place that the option names, else that of the configuration; ConfigError for an unusable one."""
    from collector.archive.store import Locator  # noqa: PLC0415 - pyarrow may not be there

    locate = Locator(environment.object_access.at(config.endpoint_url))
    text = named or config.to or str(environment.home / FOLDER)
    return ArchivePlace(locate(text).absolute(), locate)
