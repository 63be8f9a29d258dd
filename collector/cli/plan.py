"""`collector plan`: what a sweep will cost, before it is made."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from collector import log, sectors
from collector import plan as plans
from collector.cli import drawing, wiring, world
from collector.registry import Registry
from collector.store import Store


@click.command(
    epilog="""\b
Examples:
  collector plan
  collector plan --universe boards
"""
)
@click.option("--universe", metavar="U", help="One universe of the configuration (default: each of them).")
@world.config_option
def plan(universe: str | None, config_path: Path | None) -> None:
    """Say what a sweep of each universe will cost: targets, requests, seconds at the quota, rows.

    The figures come from the last complete walks; where there is none, from the sector table.
    """
    log.configure(level="warning")
    found = world.read(config_path)
    drawing.console().print(world.run(_plan(found, universe)))


async def _plan(found: world.World, universe: str | None) -> Table:

    per_second = found.config.api.requests_per_second
    table = Table("universe", title=f"one sweep at {per_second} requests/s", title_justify="left")
    for name in ("targets", "rows", "requests", "seconds"):
        table.add_column(name, justify="right")
    async with wiring.database(found.environment) as held:
        registry = Registry(held)
        await registry.open()
        store = Store(held, registry)
        known_sectors = await registry.sectors() or sectors.shipped()
        for name in [universe] if universe else found.config.universes:
            _, targets = found.targets(name, known_sectors)
            await registry.number(targets)
            known = await store.known(datetime.now(UTC), targets)
            cost = plans.estimate(targets, known_sectors, known)
            seconds = f"{cost.seconds(per_second):.0f}"
            table.add_row(name, f"{cost.targets}", f"{cost.rows:,}", f"{cost.requests:,}", seconds)
    return table
