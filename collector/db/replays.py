"""Replaces stored walks by new readings of their kept answers, one transaction a walk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector import __version__
from collector.db.pool import Connection
from collector.db.snapshots import (
    SnapshotStore,
    clear_rows,
    copy_rows,
    keep_memberships,
    ledger_values,
    quarantine_rows,
)
from collector.errors import StoreError, StoreFailure
from collector.market.membership import members_digest, names_digest
from collector.model import Certificate, Status, Target, WalkResult

_LINES = """
SELECT w.slot, w.status, w.rows, w.bad, w.remarks, w.error, w.digest, w.members, w.names, w.requested_at, w.received_at,
       (SELECT max(r.program) FROM collector.replay AS r WHERE r.slot = w.slot AND r.target = w.target) AS program,
       EXISTS (
           SELECT FROM collector.archive AS a
           WHERE a.day = (w.slot AT TIME ZONE INTERVAL '9 hours')::date AND a.restored_at IS NULL
       ) AS is_archived
FROM collector.walk AS w
WHERE w.slot = ANY ($1::timestamptz[]) AND w.target = $2
"""
_LOCK = """
SELECT w.status, w.digest, r.generation, collector.partition_trouble($1) AS trouble
FROM collector.walk AS w
CROSS JOIN collector.registry_state AS r
WHERE w.slot = $1 AND w.target = $2
FOR UPDATE OF w
"""
_REMEMBER = """
INSERT INTO collector.replay (slot, target, program, status, rows, remarks, error, digest, members, names)
SELECT slot, target, $3, status, rows, remarks, error, digest, members, names
FROM collector.walk
WHERE slot = $1 AND target = $2
"""
_REPLACE = """
UPDATE collector.walk
SET status = $3, pages = $4, rows = $5, remarks = $6, error = $7, attempts = $8, requested_at = $9, received_at = $10,
    page_starts = $11, page_times = $12, bad = $13, expected = $14, members = $15, digest = $16, names = $17
WHERE slot = $1 AND target = $2
"""
_LONG = 120.0


@dataclass(frozen=True)
class LedgerLine:
    """A walk's line in the ledger. `program`: the version of the last replay, "" without one."""

    status: Status
    rows: int
    bad: int
    remarks: tuple[str, ...]
    error: str
    digest: bytes | None
    members: bytes | None
    names: bytes | None
    requested_at: datetime | None
    received_at: datetime | None
    program: str
    is_archived: bool


class ReplayStore(SnapshotStore):
    """The database of a replay: compares readings with the ledger, and replaces walks."""

    async def lines(self, slots: Sequence[datetime], target: Target) -> dict[datetime, LedgerLine]:
        """Returns the ledger's lines of a target at these slots, by slot; slots without a line are left out."""
        async with self.database.connection("reading lines of the ledger", timeout=_LONG) as connection:
            rows = await connection.fetch(_LINES, slots, self.registry.targets[target])
        return {row["slot"]: _line(row) for row in rows}

    async def has_same_rows(self, reading: WalkResult, line: LedgerLine) -> bool:
        """Returns True if a reading has exactly the rows of a stored walk; registers no listing."""
        same_count = (line.rows, line.bad) == (reading.row_count, reading.bad_count)
        if line.digest is None or not same_count or members_digest(reading) != line.members:
            return False
        if line.names is not None and names_digest(reading) != line.names:
            return False
        return await self.digest(reading) == line.digest

    async def replace_walk(
        self, reading: WalkResult, certificate: Certificate, line: LedgerLine, expected: int | None
    ) -> bool:
        """Replaces a stored walk by a reading, and records the earlier state. False: the walk changed meanwhile."""

        async def write(_again: bool) -> bool:
            packed = await self._pack(reading)
            digests = (members_digest(reading), packed.digest, names_digest(reading))
            values = (certificate.status, *ledger_values(reading, certificate, expected), *digests)
            key = (reading.slot, packed.target)
            async with self.database.transaction(f"replacing {reading.target}") as connection:
                row = await connection.fetchrow(_LOCK, *key)
                if row is None or (row["status"], row["digest"]) != (line.status, line.digest):
                    return False
                _refuse(row, packed.generation, reading.row_count)
                await connection.execute(_REMEMBER, *key, __version__)
                await connection.execute(_REPLACE, *key, *values)
                await self._replace_rows(connection, reading, packed.target, packed.copy)
            return True

        return await self._with_retries(reading.slot, write)

    async def _replace_rows(
        self, connection: Connection, reading: WalkResult, target: int, copy: bytes
    ) -> None:
        await clear_rows(connection, reading.slot, target)
        if reading.row_count:
            await copy_rows(connection, reading.slot, copy, reading.row_count)
        await quarantine_rows(connection, reading, target)
        await keep_memberships(connection, reading.slot)


def _refuse(row: Mapping[str, Any], generation: object, rows: int) -> None:
    if row["generation"] != generation:
        raise StoreError(
            "the ids of targets and listings have changed in the database", kind=StoreFailure.STALE_IDS
        )
    if rows and row["trouble"]:
        raise StoreError(row["trouble"], kind=StoreFailure.MISSING_TABLE)


def _line(row: Mapping[str, Any]) -> LedgerLine:
    facts = {name: value for name, value in row.items() if name != "slot"}
    facts |= {
        "status": Status(row["status"]),
        "remarks": tuple(row["remarks"]),
        "error": row["error"] or "",
        "program": row["program"] or "",
    }
    return LedgerLine(**facts)
