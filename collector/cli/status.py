"""`collector status`: what is stored, what is missing of it, and how the daemon is."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from collector import config as configuration
from collector import log
from collector.cli import drawing, standing, wiring, words, world
from collector.cli.schedule import read_calendar
from collector.cli.sql import shown
from collector.model import KST


@click.command(
    epilog="""\b
Examples:
  collector status
  collector status --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@world.config_option
def status(as_json: bool, config_path: Path | None) -> None:
    """Show what is stored and what is missing of it, the daemon's lease, and the slots before and after now.

    Exit status 1: a slot of the last open day that should be complete is not; where no daemon ever ran, the
    newest sweep is not whole.
    """
    log.configure(level="warning")
    found = world.run(_status(config_path, datetime.now(UTC)))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=shown))
    else:
        _print(found)
    if not _is_whole(found):
        raise SystemExit(1)


def _is_whole(found: dict[str, Any]) -> bool:
    if found["accounted"].keys() & set(found["schedules"]):
        day = found["day"]
        return day is None or all(day[name] == 0 for name in ("suspect", "failed", "missed", "absent"))
    newest = found["sweeps"][0] if found["sweeps"] else None
    return newest is None or (
        newest["ended"] and not (newest["suspect"] or newest["failed"] or newest["missed"])
    )


async def _status(config_path: Path | None, now: datetime) -> dict[str, Any]:
    """With the configuration where there is one: what is stored can be told without it."""
    found = world.environment()
    path = world.configured(found, config_path)
    config = configuration.load(path, base_url=found.base_url) if path else None
    async with wiring.database(found) as held:
        told = await standing.read(config, read_calendar(path or found.config), held, now)
    needed = told["walking"] or told["quota_learnt"]
    names = wiring.key_names(config, found) if config and needed else {}
    for one in (*told["walking"], *told["quota"]):
        one["key"] = names.get(one["key"], one["key"])
    return told


def _print(found: dict[str, Any]) -> None:
    console = drawing.console()
    source = words.source(found["source"])
    console.print(f"database   {found['address']}, {found['bytes'] / 1e6:,.0f} MB, source: {source}")
    for line in (*_about_daemon(found), *_about_key(found)):
        console.print(line)
    for notice in found["clocks"]["notices"]:
        console.print(f"warning    {notice}")
    if not found["newest"]:
        console.print("nothing is stored yet; `collector once` takes a first snapshot")
        return
    console.print(f"slots      {_kst(found['oldest'])} to {_kst(found['newest'])} KST")
    if found["newest_day"]:
        console.print(f"rows       of {found['oldest_day']} to {found['newest_day']}")
    if found["oldest_archived"]:
        days = f"{found['oldest_archived']} to {found['newest_archived']}"
        size = f"{found['archived_rows']:,} rows, {found['archived_bytes'] / 1e6:,.0f} MB in files"
        console.print(f"archived   of {days}: {size}")
    if found["quarantined"]:
        console.print(f"quarantine {found['quarantined']:,} rows that did not decode")
    console.print(_table(found["sweeps"]))


def _about_daemon(found: dict[str, Any]) -> list[str]:
    lines = []
    if lease := found["lease"]:
        held = "held by" if lease["is_held"] else "free; last held by"
        lines.append(f"lease      {held} {lease['holder']}, epoch {lease['epoch']}")
    lines += [
        f"walking    {one['walks']} walks by {one['host']}, with the key {one['key']}"
        for one in found["walking"]
    ]
    for name, title in (("last_slot", "last slot"), ("next_slot", "next slot")):
        if slot := found[name]:
            lines.append(f"{title}  {_kst(slot['slot'])} KST, {slot['schedule']}")
    if day := found["day"]:
        statuses = ", ".join(
            f"{day[name]:,} {name.replace('_', ' ')}"
            for name in ("complete", "suspect", "failed", "missed", "absent", "under_way")
            if day[name]
        )
        lines.append(f"day        {day['date']}: {day['slots']} slots so far; {statuses or 'no targets'}")
    knows = found["calendar"]
    sure = "" if knows["sure_of_today"] else ", so today is unsure"
    lines.append(f"calendar   knows {knows['known_from']} to {knows['known_until']}{sure}; {knows['today']}")
    return lines


def _about_key(found: dict[str, Any]) -> list[str]:
    lines = []
    for api_id, in_use in found["quota_in_use"].items():
        lines.append(f"quota      {api_id}: {in_use} in use")
    lines += [_about_learned(rate) for rate in found["quota"] if rate["learned"] is not None]
    if token := found["token"]:
        age = token["age_seconds"] / 3600
        lines.append(f"token      {age:.1f} h old, until {_kst(token['expires_at'])} KST")
    return lines


def _about_learned(rate: dict[str, Any]) -> str:
    of = f" of {rate['configured']}/s configured" if rate["configured"] else ""
    return (
        f"slower     {rate['api_id']}: the server grants {rate['learned']}/s{of} to key {rate['key']}; a higher"
        f" rate is tried after {_kst(rate['retested_at'])} KST, or at once: `collector quota --forget`"
    )


def _table(sweeps: list[dict[str, Any]]) -> Table:
    table = Table("slot (KST)", "universe", title="newest sweeps", title_justify="left")
    for name in ("complete", "suspect", "failed", "missed", "rows"):
        table.add_column(name, justify="right")
    table.add_column("")
    for sweep in sweeps:
        figures = [f"{sweep[name]:,}" for name in ("complete", "suspect", "failed", "missed", "rows")]
        table.add_row(
            _kst(sweep["slot"]), sweep["universe"], *figures, "" if sweep["ended"] else "under way or stopped"
        )
    return table


def _kst(at: datetime | None) -> str:
    return f"{at.astimezone(KST):%Y-%m-%d %H:%M:%S}" if at else "never"
