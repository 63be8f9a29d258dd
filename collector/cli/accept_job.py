"""`collector accept`: certify suspect walks by the decision of an operator."""

import getpass
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from collector import log
from collector.cli import bootstrap
from collector.cli.context import run_command, take_environment
from collector.config import Environment
from collector.db import acceptance
from collector.db.acceptance import SlotWalk
from collector.errors import ConfigError
from collector.model import KST, Status, Target


def run(slot: str, target: str | None, name: str | None, dry_run: bool, config_path: Path | None) -> None:
    """Do the work of `collector accept`."""
    log.configure(level="warning")
    at, wanted = _read_slot(slot), read_target(target)
    by = (name or "").strip() or f"{_user()}@{socket.gethostname()}"
    rest = run_command(_accept(take_environment(), at, wanted, by, dry_run=dry_run))
    for line in rest:
        click.echo(f"{line.target} {line.status}: {line.reason}", err=True)
    if rest:
        raise SystemExit(1)


async def _accept(
    environment: Environment, slot: datetime, wanted: Target | None, by: str, *, dry_run: bool
) -> Sequence[SlotWalk]:
    """Accept the suspect walks. Returns the failed and missed walks of the slot, or of the requested target."""
    async with (
        bootstrap.open_database(environment) as database,
        database.transaction("accepting walks") as connection,
    ):
        lines = await acceptance.read_walks(connection, slot)
        chosen = [line for line in lines if wanted in (None, line.target)]
        suspect = [line for line in chosen if line.status is Status.SUSPECT]
        _refuse(slot, wanted, chosen, _describe(await acceptance.find_nearest_suspects(connection, slot)))
        if not dry_run:
            await acceptance.accept(connection, slot, suspect, by)
    verb = "would be accepted" if dry_run else f"accepted by {by}"
    for line in suspect:
        click.echo(f"{_kst(slot)} {line.target} {verb}: {line.rows:,} rows; {line.reason}")
    if not suspect:
        click.echo(f"{_kst(slot)}: nothing to accept, the requested walks are complete")
    return [line for line in chosen if line.status in (Status.FAILED, Status.MISSED)]


def _describe(nearest: Sequence[tuple[datetime, Target]]) -> str:
    walks = [f"{_kst(slot)} {target}" for slot, target in nearest]
    return f"the nearest suspect walks: {', '.join(walks)}" if walks else "no walk is suspect"


def _refuse(slot: datetime, wanted: Target | None, chosen: Sequence[SlotWalk], nearest: str) -> None:
    """Raise ConfigError if nothing can be accepted."""
    what = f"{_kst(slot)} KST" + (f" {wanted}" if wanted else "")
    if not chosen:
        raise ConfigError(f"the ledger has no walk of {what}", hint=nearest)
    if all(line.status in (Status.FAILED, Status.MISSED) for line in chosen):
        states = sorted({str(line.status) for line in chosen})
        raise ConfigError(f"{what} is {' or '.join(states)}: it has no stored rows to accept", hint=nearest)
    for line in chosen:
        if line.status is Status.SUSPECT and line.kept != line.rows:
            raise ConfigError(
                f"{line.target}: {line.kept:,} of its {line.rows:,} rows are in the database",
                hint=f"collector restore {slot.astimezone(KST):%Y-%m-%d} brings an archived day back",
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user in a container may have no name
        return f"uid {os.getuid()}"


def _read_slot(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"SLOT: {text!r} is not an instant; use 2026-11-20T15:30") from None
    return (at if at.tzinfo else at.replace(tzinfo=KST)).astimezone(UTC)


def read_target(text: str | None) -> Target | None:
    """The target that --target names; ConfigError for a text that is none."""
    if text is None:
        return None
    try:
        return Target.of(*text.split("/"))
    except (TypeError, ValueError):
        raise ConfigError(
            f"--target: {text!r} is not a target; use market/sector/exchange (KOSPI/001/NXT)"
        ) from None


def _kst(at: datetime) -> str:
    return f"{at.astimezone(KST):%Y-%m-%dT%H:%M:%S}"
