"""Turns a file into a configuration that can be carried out, or into complaints: nothing in between.

First everything gets its type, then what it means is judged.
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
    Config,
    DatabaseConfig,
    Name,
    ScheduleSpec,
    TargetSpec,
    WebConfig,
    Witnessing,
)
from collector.config.validate import check, warnings
from collector.market import schedule

T = TypeVar("T")

_SECTIONS = ("api", "universes", "schedules", "database", "web", "witness")


def load(path: Path, *, base_url: str | None = None) -> Config:
    """The configuration that a file describes; ConfigError with a line for each complaint.

    `base_url`, from the environment, wins over the file's.
    """
    return _build(yaml_text.read_file(path), str(path), base_url)


def parse(data: bytes, origin: str, *, base_url: str | None = None) -> Config:
    """As `load`, for a text that is already here; `origin` is what complaints call it."""
    return _build(yaml_text.read(data, origin), origin, base_url)


def _build(source: Mapping, origin: str, base_url: str | None) -> Config:
    complaints = ConfigErrors(origin, source)
    config = _decode_config(source, origin, complaints)
    complaints.stop_if_any()
    schedules = tuple(_schedules(config, complaints))
    base = check(config, complaints, base_url=base_url)
    complaints.stop_if_any()
    assert base is not None  # or there was a complaint
    api = replace(config.api, base_url=base.url)
    return replace(config, api=api, schedules=schedules, warnings=tuple(warnings(config)))


def _decode_config(source: Mapping, origin: str, complaints: ConfigErrors) -> Config:
    top = keys(source, "the configuration", complaints, allowed=_SECTIONS)

    def section(name: str, kind: type[T]) -> T:
        node = top.entries.get(name, Mapping(1))
        return decode(kind, node, name, complaints) or kind()

    asked = value(Witnessing, top.entries.get("witness", Scalar(1, "on")), "witness", complaints)
    return Config(
        universes=_universes(top, complaints),
        api=section("api", ApiConfig),
        schedule_specs=_schedule_specs(top, complaints),
        database=section("database", DatabaseConfig),
        web=section("web", WebConfig),
        witness=asked or "on",
        origin=origin,
        source=source,
    )


def _universes(top: Mapping, complaints: ConfigErrors) -> dict[str, tuple[TargetSpec, ...]]:
    universes = {
        name: tuple(_target_specs(node, f"universes.{name}", complaints))
        for name, node in _named_entries(top, "universes", complaints)
    }
    if not universes and not len(complaints):
        example = "universes: {kospi: [{market: KOSPI, sectors: all}]}"
        complaints.at(("universes",), f"there are no universes; allowed is at least one, such as `{example}`")
    return universes


def _target_specs(node: Node, where: str, complaints: ConfigErrors) -> Iterator[TargetSpec]:
    if not isinstance(node, Sequence) or not node.items:
        actual = "an empty list" if isinstance(node, Sequence) else describe(node)
        allowed = "a list, each item such as {market: KOSPI, sectors: [001], exchanges: [KRX]}"
        return complaints.add(node.line, f"{where} is {actual}; allowed is {allowed}")
    for index, item in enumerate(node.items):
        if spec := decode(TargetSpec, item, f"{where}[{index}]", complaints):
            yield spec
    return None


def _schedule_specs(top: Mapping, complaints: ConfigErrors) -> dict[str, ScheduleSpec]:
    filled = {
        name: decode(ScheduleSpec, node, f"schedules.{name}", complaints)
        for name, node in _named_entries(top, "schedules", complaints)
    }
    return {name: spec for name, spec in filled.items() if spec}


def _named_entries(top: Mapping, section: str, complaints: ConfigErrors) -> Iterator[tuple[str, Node]]:
    """The entries of a section whose keys are names that the operator gives."""
    entries = keys(top.entries.get(section, Mapping(1)), section, complaints)
    for name, node in entries.entries.items():
        if value(Name, Scalar(entries.lines[name], name), f"a name in {section}", complaints):
            yield name, node


def _schedules(config: Config, complaints: ConfigErrors) -> Iterator[schedule.Schedule]:
    for name, spec in config.schedule_specs.items():
        if spec.universe not in config.universes:
            known = f"{', '.join(config.universes)}{nearest(spec.universe, config.universes)}"
            text = f"schedules.{name}: unknown universe {yaml_text.quote(spec.universe)}; allowed: {known}"
            complaints.at(("schedules", name, "universe"), text)
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
            complaints.at(("schedules", name, error.field), f"schedules.{name}.{error.field}: {error}")
