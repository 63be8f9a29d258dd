"""`collector accept`: the operator's word that suspect walks are right."""

import getpass
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from collector import log
from collector.base.remark_texts import Numbers, explain
from collector.cli import bootstrap
from collector.cli.context import config_option, read_environment, run_command
from collector.config import Environment
from collector.db.pool import Connection
from collector.errors import ConfigError
from collector.model import KST, Status, Target

_WALKS = """
SELECT w.target AS id, t.market, t.sector, t.exchange, w.status, w.remarks, w.error, w.pages, w.rows, w.bad,
       w.expected, (SELECT count(*) FROM collector.walked(w.slot, w.target)) AS kept
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.slot = $1
ORDER BY t.market, t.sector, t.exchange
"""
_NEAREST = """
SELECT w.slot, t.market, t.sector, t.exchange
FROM collector.walk AS w
JOIN collector.target AS t ON t.id = w.target
WHERE w.status = 'suspect'
ORDER BY greatest(w.slot - $1, $1 - w.slot), w.slot, t.market, t.sector, t.exchange
LIMIT 5
"""
_ACCEPT = """
SELECT collector.judge_again($1, ARRAY[$2::timestamptz], 'suspect', 'complete', 'accepted', $3)
"""
_KEEP_MEMBERSHIP = "SELECT collector.keep_membership($1)"


class SlotWalk(NamedTuple):
    """A walk of the slot. `kept`: its rows that are in the database now."""

    id: int
    target: Target
    status: Status
    reason: str
    rows: int
    kept: int


@click.command(
    epilog="""\b
Examples:
  collector accept 2026-11-20T11:00 --dry-run               what is suspect at this slot, and why
  collector accept 2026-11-20T11:00                         accept all of it
  collector accept 2026-11-20T11:00 --target KOSPI/001/NXT  one walk
  collector accept 2026-11-20T11:00 --by "J. Kim"           under a name of your own
"""
)
@click.argument("slot")
@click.option(
    "--target", metavar="M/S/X", help="One target, as market/sector/exchange (default: all suspect ones)."
)
@click.option("--by", "name", metavar="NAME", help="Who accepts (default: user@host).")
@click.option("--dry-run", is_flag=True, help="Say what would be accepted, and change nothing.")
@config_option
def accept(slot: str, target: str | None, name: str | None, dry_run: bool, config_path: Path | None) -> None:
    """Certify suspect walks of a slot on your word; later walks are judged by them.

    SLOT is the instant that the walks stand for; without an offset it is Korea's time. The walks become complete
    with the remark `accepted`, and the view judgement says who accepted them and when. Walks that failed or were
    missed cannot be accepted: nothing of them is stored.
    Exit status: 0 all walks asked for are complete now. 1 others of the slot failed or were missed (listed on
    stderr). 2 nothing was accepted.
    """
    log.configure(level="warning")
    at, wanted = _read_slot(slot), read_target(target)
    by = (name or "").strip() or f"{_user()}@{socket.gethostname()}"
    rest = run_command(_accept(read_environment(), at, wanted, by, dry_run=dry_run))
    for line in rest:
        click.echo(f"{line.target} {line.status}: {line.reason}", err=True)
    if rest:
        raise SystemExit(1)


async def _accept(
    environment: Environment, slot: datetime, wanted: Target | None, by: str, *, dry_run: bool
) -> Sequence[SlotWalk]:
    """Accept the suspect walks; the walks of the slot that are still not complete, unless one was asked for."""
    async with (
        bootstrap.open_database(environment) as database,
        database.transaction("accepting walks") as connection,
    ):
        lines = await _read_lines(connection, slot)
        chosen = [line for line in lines if wanted in (None, line.target)]
        suspect = [line for line in chosen if line.status is Status.SUSPECT]
        _refuse(slot, wanted, chosen, await _nearest(connection, slot))
        if not dry_run:
            for line in suspect:
                await connection.fetchval(_ACCEPT, line.id, slot, by)
            await connection.execute(_KEEP_MEMBERSHIP, slot)
    verb = "would be accepted" if dry_run else f"accepted by {by}"
    for line in suspect:
        click.echo(f"{_kst(slot)} {line.target} {verb}: {line.rows:,} rows; {line.reason}")
    if not suspect:
        click.echo(f"{_kst(slot)}: nothing to accept, the walks asked for are complete")
    return [line for line in chosen if line.status in (Status.FAILED, Status.MISSED)]


async def _read_lines(connection: Connection, slot: datetime) -> list[SlotWalk]:
    return [
        SlotWalk(
            id=row["id"],
            target=Target.of(row["market"], row["sector"], row["exchange"]),
            status=Status(row["status"]),
            reason=row["error"]
            or explain(row["remarks"], Numbers(row["pages"], row["rows"], row["bad"], row["expected"])),
            rows=row["rows"],
            kept=row["kept"],
        )
        for row in await connection.fetch(_WALKS, slot)
    ]


async def _nearest(connection: Connection, slot: datetime) -> str:
    """The nearest suspect walks, for a hint."""
    rows = await connection.fetch(_NEAREST, slot)
    walks = [f"{_kst(row['slot'])} {row['market']}/{row['sector']}/{row['exchange']}" for row in rows]
    return f"the nearest suspect walks: {', '.join(walks)}" if walks else "no walk is suspect"


def _refuse(slot: datetime, wanted: Target | None, chosen: Sequence[SlotWalk], nearest: str) -> None:
    """ConfigError where there is nothing that can be accepted."""
    what = f"{_kst(slot)} KST" + (f" {wanted}" if wanted else "")
    if not chosen:
        raise ConfigError(f"the ledger has no walk of {what}", hint=nearest)
    if all(line.status in (Status.FAILED, Status.MISSED) for line in chosen):
        states = sorted({str(line.status) for line in chosen})
        raise ConfigError(
            f"{what} is {' or '.join(states)}: nothing is stored that could be accepted", hint=nearest
        )
    for line in chosen:
        if line.status is Status.SUSPECT and line.kept != line.rows:
            raise ConfigError(
                f"{line.target}: {line.kept:,} of its {line.rows:,} rows are in the database",
                hint=f"collector restore {slot.astimezone(KST):%Y-%m-%d} brings an archived day back",
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _read_slot(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"SLOT: {text!r} is no instant", hint="such as 2026-11-20T15:30") from None
    return (at if at.tzinfo else at.replace(tzinfo=KST)).astimezone(UTC)


def read_target(text: str | None) -> Target | None:
    """The target that --target names; ConfigError for a text that is none."""
    if text is None:
        return None
    try:
        return Target.of(*text.split("/"))
    except (TypeError, ValueError):
        raise ConfigError(
            f"--target: {text!r} is no target", hint="use market/sector/exchange, such as KOSPI/001/NXT"
        ) from None


def _kst(at: datetime) -> str:
    return f"{at.astimezone(KST):%Y-%m-%dT%H:%M:%S}"
