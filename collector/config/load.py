"""Turns a file into a configuration that can be carried out, or into errors.

All values get their types first; their meaning is checked after that.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from collector.base import yaml_text
from collector.base.yaml_text import Mapping, Node, Scalar, Sequence, describe
from collector.config.decode import decode, keys, value
from collector.config.errors import ConfigErrors, nearest
from collector.config.schema import (
    ApiConfig,
    ArchiveConfig,
    Config,
    DatabaseConfig,
    Name,
    NotifyConfig,
    QuotaConfig,
    RepairMode,
    ScheduleSpec,
    TargetSpec,
    WebConfig,
    Witnessing,
)
from collector.config.validate import check, warnings
from collector.market import schedule

T = TypeVar("T")

_SECTIONS = (
    "api",
    "quota",
    "universes",
    "schedules",
    "database",
    "archive",
    "web",
    "repair",
    "witness",
    "notify",
)


def load(path: Path, *, base_url: str | None = None) -> Config:
    """Load the configuration from a file; ConfigError with a line for each error.

    `base_url`, from the environment, wins over the file's.
    """
    return _build(yaml_text.read_file(path), str(path), base_url)


def parse(data: bytes, origin: str, *, base_url: str | None = None) -> Config:
    """Parse a configuration from bytes as `load` does; `origin` is its name in errors."""
    return _build(yaml_text.read(data, origin), origin, base_url)


def _build(source: Mapping, origin: str, base_url: str | None) -> Config:
    errors = ConfigErrors(origin, source)
    config = _decode_config(source, origin, errors)
    errors.stop_if_any()
    schedules = tuple(_schedules(config, errors))
    base = check(config, errors, base_url=base_url)
    errors.stop_if_any()
    assert base is not None  # else there was an error
    api = replace(config.api, base_url=base.url)
    return replace(config, api=api, schedules=schedules, warnings=tuple(warnings(config)))


def _decode_config(source: Mapping, origin: str, errors: ConfigErrors) -> Config:
    top = keys(source, "the configuration", errors, allowed=_SECTIONS)

    def section(name: str, kind: type[T]) -> T:
        node = top.entries.get(name, Mapping(1))
        return decode(kind, node, name, errors) or kind()

    return Config(
        universes=_universes(top, errors),
        api=section("api", ApiConfig),
        quota=section("quota", QuotaConfig),
        schedule_specs=_schedule_specs(top, errors),
        database=section("database", DatabaseConfig),
        archive=section("archive", ArchiveConfig),
        web=section("web", WebConfig),
        repair=_repair(top, errors),
        witness=_witness(top, errors),
        notify=section("notify", NotifyConfig),
        origin=origin,
        source=source,
    )


def _repair(top: Mapping, errors: ConfigErrors) -> RepairMode:
    node = top.entries.get("repair")
    return "off" if node is None else value(RepairMode, node, "repair", errors) or "off"


def _witness(top: Mapping, errors: ConfigErrors) -> Witnessing:
    node = top.entries.get("witness")
    return "on" if node is None else value(Witnessing, node, "witness", errors) or "on"


def _universes(top: Mapping, errors: ConfigErrors) -> dict[str, tuple[TargetSpec, ...]]:
    universes = {
        name: tuple(_target_specs(node, f"universes.{name}", errors))
        for name, node in _named_entries(top, "universes", errors)
    }
    if not universes and not len(errors):
        example = "universes: {kospi: [{market: KOSPI, sectors: all}]}"
        errors.at(("universes",), f"there are no universes; add at least one, such as `{example}`")
    return universes


def _target_specs(node: Node, where: str, errors: ConfigErrors) -> Iterator[TargetSpec]:
    if not isinstance(node, Sequence) or not node.items:
        actual = "an empty list" if isinstance(node, Sequence) else describe(node)
        allowed = "a list, each item such as {market: KOSPI, sectors: [001], exchanges: [KRX]}"
        return errors.add(node.line, f"{where} is {actual}; use {allowed}")
    for index, item in enumerate(node.items):
        if spec := decode(TargetSpec, item, f"{where}[{index}]", errors):
            yield spec
    return None


def _schedule_specs(top: Mapping, errors: ConfigErrors) -> dict[str, ScheduleSpec]:
    filled = {
        name: decode(ScheduleSpec, node, f"schedules.{name}", errors)
        for name, node in _named_entries(top, "schedules", errors)
    }
    return {name: spec for name, spec in filled.items() if spec}


def _named_entries(top: Mapping, section: str, errors: ConfigErrors) -> Iterator[tuple[str, Node]]:
    """Yield the entries of a section with names given by the operator."""
    entries = keys(top.entries.get(section, Mapping(1)), section, errors)
    for name, node in entries.entries.items():
        if value(Name, Scalar(entries.lines[name], name), f"a name in {section}", errors):
            yield name, node


def _schedules(config: Config, errors: ConfigErrors) -> Iterator[schedule.Schedule]:
    for name, spec in config.schedule_specs.items():
        if spec.universe not in config.universes:
            known = f"{', '.join(config.universes)}{nearest(spec.universe, config.universes)}"
            text = f"schedules.{name}: unknown universe {yaml_text.quote(spec.universe)}; use one of: {known}"
            errors.at(("schedules", name, "universe"), text)
        try:
            yield schedule.parse(
                name,
                universe=spec.universe,
                every=spec.every,
                during=spec.during,
                at=spec.at,
                days=spec.days,
                grace=spec.grace,
            )
        except schedule.ScheduleError as error:
            errors.at(("schedules", name, error.field), f"schedules.{name}.{error.field}: {error}")
