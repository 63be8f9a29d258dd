"""`collector status`: the stored data, its gaps, and the state of the daemon."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from collector import config as configuration
from collector import log
from collector.cli import bootstrap, words
from collector.cli.console import console, print_table
from collector.cli.context import find_configuration, run_command, take_environment
from collector.cli.schedule import read_calendar
from collector.cli.sql_job import format_value
from collector.db.status import read_status
from collector.model import KST
from collector.ratelimit.caution import INITIAL


def run(as_json: bool, config_path: Path | None) -> None:
    """Do the work of `collector status`."""
    log.configure(level="warning")
    report = run_command(_status(config_path, datetime.now(UTC)))
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, default=format_value))
    else:
        _print(report)
    if not _is_whole(report):
        raise SystemExit(1)


def _is_whole(report: dict[str, Any]) -> bool:
    if report["accounted"].keys() & set(report["schedules"]):
        day = report["day"]
        return day is None or all(day[name] == 0 for name in ("suspect", "failed", "missed", "absent"))
    newest = report["sweeps"][0] if report["sweeps"] else None
    return newest is None or (
        newest["ended"] and not (newest["suspect"] or newest["failed"] or newest["missed"])
    )


async def _status(config_path: Path | None, now: datetime) -> dict[str, Any]:
    """The report, with the schedules if there is a configuration. The stored data needs none."""
    environment = take_environment()
    path = find_configuration(environment, config_path)
    config = configuration.load(path, base_url=environment.base_url) if path else None
    async with bootstrap.open_database(environment) as database:
        report = await read_status(config, read_calendar(path or environment.config), database, now)
    needed = report["walking"] or report["quota_learnt"] or report["quota"]
    names = bootstrap.key_names(config, environment) if config and needed else {}
    for walker in (*report["walking"], *report["quota"]):
        walker["key"] = names.get(walker["key"], walker["key"])
    return report


def _print(report: dict[str, Any]) -> None:
    output = console()
    source = words.source(report["source"])
    output.print(f"database   {report['address']}, {report['bytes'] / 1e6:,.0f} MB, source: {source}")
    for line in (*_about_daemon(report), *_about_key(report)):
        output.print(line)
    for notice in report["clocks"]["notices"]:
        output.print(f"warning    {notice}")
    if not report["newest"]:
        output.print("nothing is stored yet; `collector once` takes a first snapshot")
        return
    output.print(f"slots      {_kst(report['oldest'])} to {_kst(report['newest'])} KST")
    if report["newest_day"]:
        output.print(f"rows       of {report['oldest_day']} to {report['newest_day']}")
    if report["oldest_archived"]:
        days = f"{report['oldest_archived']} to {report['newest_archived']}"
        size = f"{report['archived_rows']:,} rows, {report['archived_bytes'] / 1e6:,.0f} MB in files"
        output.print(f"archived   of {days}: {size}")
    if report["quarantined"]:
        output.print(f"quarantine {report['quarantined']:,} rows that did not decode")
    for change in report["changes"]:
        output.print(_change(change))
    print_table(output, _table(report["sweeps"]))


def _change(change: dict[str, Any]) -> str:
    """A later change of a ledger line, on one line."""
    walk = f"{_kst(change['slot'])} {change['market']}/{change['sector']}/{change['exchange']}"
    status = f"{change['status_before']} -> {change['status'] or 'gone'}"
    return f"changed    {walk}: {change['event']} by {change['changed_by']}, {status}"


def _about_daemon(report: dict[str, Any]) -> list[str]:
    lines = []
    if lease := report["lease"]:
        holding = "held by" if lease["is_held"] else "free; last held by"
        lines.append(f"lease      {holding} {lease['holder']}, epoch {lease['epoch']}")
    lines += [
        f"walking    {walker['walks']} walks by {walker['host']}, with the key {walker['key']}"
        for walker in report["walking"]
    ]
    for name, title in (("last_slot", "last slot"), ("next_slot", "next slot")):
        if slot := report[name]:
            lines.append(f"{title}  {_kst(slot['slot'])} KST, {slot['schedule']}")
    if day := report["day"]:
        statuses = ", ".join(
            f"{day[name]:,} {name.replace('_', ' ')}"
            for name in ("complete", "suspect", "failed", "missed", "absent", "under_way")
            if day[name]
        )
        lines.append(f"day        {day['date']}: {day['slots']} slots so far; {statuses or 'no targets'}")
    knows = report["calendar"]
    sure = "" if knows["sure_of_today"] else ", so today is unsure"
    lines.append(f"calendar   knows {knows['known_from']} to {knows['known_until']}{sure}; {knows['today']}")
    return lines


def _about_key(report: dict[str, Any]) -> list[str]:
    lines = []
    for api_id, in_use in report["quota_in_use"].items():
        lines.append(f"quota      {api_id}: {in_use} in use")
    lines += [_about_caution(rate) for rate in report["quota"] if rate["caution"] != INITIAL]
    lines += [_about_learned(rate) for rate in report["quota"] if rate["learned"] is not None]
    if token := report["token"]:
        age = token["age_seconds"] / 3600
        lines.append(f"token      {age:.1f} h old, until {_kst(token['expires_at'])} KST")
    return lines


def _about_caution(rate: dict[str, Any]) -> str:
    refused = f"; last refusal {_kst(rate['refused_at'])} KST" if rate["refused_at"] else "; no refusal"
    return f"caution    {rate['api_id']}, key {rate['key']}: {rate['caution']:.2f}{refused}"


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
    table.add_column("state")
    for sweep in sweeps:
        figures = [f"{sweep[name]:,}" for name in ("complete", "suspect", "failed", "missed", "rows")]
        table.add_row(
            _kst(sweep["slot"]),
            sweep["universe"],
            *figures,
            "ended" if sweep["ended"] else "under way or stopped",
        )
    return table


def _kst(at: datetime | None) -> str:
    return f"{at.astimezone(KST):%Y-%m-%d %H:%M:%S}" if at else "never"
