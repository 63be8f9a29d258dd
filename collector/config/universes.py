"""Expands the operator's notation (`sectors: all`) into targets.

The expansion happens late, because the sector table may come from the database, newer than the shipped one.
"""

from collections.abc import Iterator, Mapping

from collector.base.yaml_text import quote
from collector.config.errors import nearest
from collector.config.schema import Config, TargetSpec
from collector.errors import ConfigError
from collector.market import sectors as table
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
    return [sector.code for sector in table.of_market(sectors, spec.market, exchange)]
