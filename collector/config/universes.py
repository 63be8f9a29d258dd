"""Expands the operator's notation (`sectors: all`) into targets.

The expansion happens late, because the sector table may come from the database, newer than the shipped one.
"""

from collections.abc import Iterable, Iterator, Mapping

from collector.base.yaml_text import quote
from collector.config.errors import nearest
from collector.config.schema import Config, TargetSpec
from collector.errors import ConfigError
from collector.market.calendar import Calendar
from collector.market.sectors import of_market
from collector.market.timetable import Timetable
from collector.model import Exchange, Sector, Target


def universe_targets(config: Config, name: str, sectors: Mapping[str, Sector]) -> tuple[Target, ...]:
    """Return the targets of one universe, each once, in the order written; ConfigError for an unknown name."""
    if name not in config.universes:
        known = f"{', '.join(config.universes)}{nearest(name, config.universes)}"
        raise ConfigError(f"{config.origin}: there is no universe {quote(name)}; use one of: {known}")
    expanded = (target for spec in config.universes[name] for target in expand(spec, sectors))
    return tuple(dict.fromkeys(expanded))


def expand(spec: TargetSpec, sectors: Mapping[str, Sector]) -> Iterator[Target]:
    """Yield the targets of one line of a universe: its exchanges as written, and its sectors for each."""
    for exchange in spec.exchanges:
        for code in spec.sectors if spec.sectors != "all" else _all(spec, exchange, sectors):
            yield Target(spec.market, code, exchange)


def _all(spec: TargetSpec, exchange: Exchange, sectors: Mapping[str, Sector]) -> list[str]:
    return [sector.code for sector in of_market(sectors, spec.market, exchange)]


def build_timetable(
    config: Config, calendar: Calendar, sectors: Mapping[str, Sector], universes: Iterable[str] | None = None
) -> Timetable:
    """Return the timetable of a configuration, or of some of its universes; their schedules alone are in it."""
    names = list(config.universes if universes is None else universes)
    return Timetable(
        [schedule for schedule in config.schedules if schedule.universe in names],
        calendar,
        {name: universe_targets(config, name, sectors) for name in names},
    )
