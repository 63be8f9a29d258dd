"""`collector sectors`: the sectors, as shipped or as listed by the API."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from rich.table import Table

from collector import log
from collector.cli import bootstrap
from collector.cli.console import console, print_table
from collector.cli.context import CliContext, read_context, run_command, take_environment
from collector.config import Environment
from collector.db.catalog import Registry
from collector.market.sectors import bundled_sectors, filter_served
from collector.model import KST, Market, Sector


def run(refresh: bool, config_path: Path | None) -> None:
    """Do the work of `collector sectors`."""
    log.configure(level="warning")
    known = run_command(
        _fetch_sectors(read_context(config_path)) if refresh else _load_sectors(take_environment())
    )
    print_table(console(), _table(known))


async def _load_sectors(environment: Environment) -> Mapping[str, Sector]:

    async with bootstrap.open_database(environment) as database:
        return await Registry(database).sectors() or bundled_sectors()


async def _fetch_sectors(context: CliContext) -> Mapping[str, Sector]:
    """Fetch the list from the API, and add the fields of the shipped table: English name, kind, expected
    listings.
    """
    async with bootstrap.open_collector(context) as collector:
        listed = {market: await collector.kiwoom.sectors(market) for market in Market}
        fetched = [sector for market in Market for sector in filter_served(listed[market], market)]
        registry = collector.store.registry
        known = [_merge_sector(sector, bundled_sectors().get(sector.code)) for sector in fetched]
        new, gone = await registry.refresh_sectors(known, datetime.now(KST).date())
        if strays := [
            listed_sector
            for market_sectors in listed.values()
            for listed_sector in market_sectors
            if listed_sector not in fetched
        ]:
            codes = ", ".join(f"{listed_sector.market}/{listed_sector.code}" for listed_sector in strays)
            click.echo(f"left out, because another market serves them: {codes}", err=True)
        click.echo(f"{len(fetched)} sectors, {new} of them new or renamed; {gone} are gone", err=True)
        return dict(await registry.sectors())


def _merge_sector(sector: Sector, ours: Sector | None) -> Sector:
    return sector if ours is None else replace(ours, market=sector.market, name_ko=sector.name_ko)


def _table(known: Mapping[str, Sector]) -> Table:
    table = Table("market", "code", "name", "in English", "kind")
    table.add_column("listings", justify="right")
    for sector in sorted(known.values(), key=lambda sector: (list(Market).index(sector.market), sector.code)):
        members = "none" if sector.index_only else "" if sector.members is None else f"{sector.members:,}"
        table.add_row(sector.market, sector.code, sector.name_ko, sector.name_en, sector.kind, members)
    return table
