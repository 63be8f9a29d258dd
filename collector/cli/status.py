"""`collector status`: what is stored, and what is missing of it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from collector import log
from collector.cli import drawing, wiring, world
from collector.cli.sql import shown
from collector.model import KST
from collector.postgres.session import Connection

_SWEEPS = """
SELECT s.slot, s.universe, s.ended_at IS NOT NULL AS ended,
       count(*) FILTER (WHERE w.status = 'complete') AS complete,
       count(*) FILTER (WHERE w.status = 'suspect') AS suspect,
       count(*) FILTER (WHERE w.status = 'failed') AS failed,
       count(*) FILTER (WHERE w.status = 'missed') AS missed,
       COALESCE(sum(w.rows), 0)::bigint AS rows
FROM (SELECT * FROM collector.sweep ORDER BY slot DESC LIMIT 10) AS s
LEFT JOIN collector.walk AS w ON w.slot = s.slot
GROUP BY s.slot, s.universe, s.ended_at
ORDER BY s.slot DESC
"""
_DATABASE = """
SELECT pg_database_size(current_database()) AS bytes,
       (SELECT min(slot) FROM collector.walk) AS oldest,
       (SELECT max(slot) FROM collector.walk) AS newest,
       (SELECT count(*) FROM collector.quarantine) AS quarantined,
       (SELECT kind FROM collector.origin) AS source
"""
_QUOTA = "SELECT api_id, granted FROM collector.quota WHERE granted IS NOT NULL ORDER BY api_id"


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
    """Show what is stored: the newest sweeps, what is missing of them, the size and span of the database.

    Exit status 1: the newest sweep is not whole.
    """
    log.configure(level="warning")
    found = world.run(_status())
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, default=shown))
    else:
        _print(found)
    newest = found["sweeps"][0] if found["sweeps"] else None
    if newest and (not newest["ended"] or newest["suspect"] or newest["failed"] or newest["missed"]):
        raise SystemExit(1)


async def _status() -> dict[str, Any]:
    async with (
        wiring.database(world.environment()) as held,
        held.session("reading the status") as connection,
    ):
        return {"address": str(held.address), **await _read(connection)}


async def _read(connection: Connection) -> dict[str, Any]:
    sweeps = [dict(row) for row in await connection.fetch(_SWEEPS)]
    quotas = {row["api_id"]: row["granted"] for row in await connection.fetch(_QUOTA)}
    return {**dict(await connection.fetchrow(_DATABASE)), "quota_learnt": quotas, "sweeps": sweeps}


def _print(found: dict[str, Any]) -> None:
    console = drawing.console()
    console.print(f"database   {found['address']}, {found['bytes'] / 1e6:,.0f} MB, source: {found['source']}")
    if not found["sweeps"]:
        console.print("nothing is stored yet; `collector once` takes a first snapshot")
        return
    console.print(f"slots      {_kst(found['oldest'])} to {_kst(found['newest'])} KST")
    if found["quarantined"]:
        console.print(f"quarantine {found['quarantined']:,} rows that did not decode")
    for api_id, granted in found["quota_learnt"].items():
        console.print(f"quota      the server grants {granted}/s for {api_id}")
    console.print(_table(found["sweeps"]))


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
