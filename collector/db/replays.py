"""Replaces stored walks by new readings of their kept answers, one transaction a walk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from collector import __version__
from collector.db.pool import Connection
from collector.db.snapshots import (
    SnapshotStore,
    copy_rows,
    keep_memberships,
    ledger_values,
    quarantine_rows,
)
from collector.errors import StoreError, StoreFailure
from collector.market.membership import members_digest, names_digest
from collector.model import KST, Baseline, Certificate, Status, Target, WalkResult

# The lines of a target with the newest complete walk before each, as `Ledger.baselines` has it.
_LINES = """
SELECT w.slot, w.corroboration, w.status, w.rows, w.bad,
       w.remarks, w.error, w.digest, w.members, w.names, w.requested_at, w.received_at,
       (SELECT max(r.program) FROM collector.replay AS r WHERE r.slot = w.slot AND r.target = w.target) AS program,
       EXISTS (
           SELECT FROM collector.archive AS a
           WHERE a.day = (w.slot AT TIME ZONE INTERVAL '9 hours')::date AND a.restored_at IS NULL
       ) AS is_archived,
       b.slot AS base_slot, b.rows AS base_rows, b.members AS base_members
FROM collector.walk AS w
LEFT JOIN LATERAL (
    SELECT c.slot, c.rows + c.bad AS rows, c.members
    FROM collector.walk AS c
    WHERE c.target = w.target AND c.slot < w.slot AND c.slot > w.slot - INTERVAL '10 days' AND c.status = 'complete'
    ORDER BY c.slot DESC
    LIMIT 1
) AS b ON true
WHERE w.slot = ANY ($1::timestamptz[]) AND w.target = $2
"""
_LOCK = """
SELECT w.status, w.digest, r.generation, collector.partition_trouble($1) AS trouble
FROM collector.walk AS w
CROSS JOIN collector.registry_state AS r
WHERE w.slot = $1 AND w.target = $2
FOR UPDATE OF w
"""
# One statement: the history, the line, and the end of the rows of before.
_REPLACE = """
WITH remembered AS (
    INSERT INTO collector.replay (slot, target, program, status, rows, remarks, error, digest, members, names)
    SELECT slot, target, $18, status, rows, remarks, error, digest, members, names
    FROM collector.walk
    WHERE slot = $1 AND target = $2
), cleared AS (
    DELETE FROM collector.snapshot WHERE slot = $1 AND target = $2
), cleared_quarantine AS (
    DELETE FROM collector.quarantine WHERE slot = $1 AND target = $2
)
UPDATE collector.walk
SET status = $3, pages = $4, rows = $5, remarks = $6, error = $7, attempts = $8, requested_at = $9, received_at = $10,
    page_starts = $11, page_times = $12, bad = $13, expected = $14, members = $15, digest = $16, names = $17
WHERE slot = $1 AND target = $2
"""
# Only where witnesses were heard again; NULL leaves the stored word.
_SET_CORROBORATION = """
UPDATE collector.walk
SET corroboration = $3
WHERE slot = $1 AND target = $2
"""
_SET_VERDICTS = """
UPDATE collector.witness AS w
SET verdict = n.verdict, detail = n.detail
FROM unnest($3::text[], $4::text[], $5::text[]) AS n (source, verdict, detail)
WHERE w.slot = $1 AND w.target = $2 AND w.source = n.source
"""
_LONG = 120.0


@dataclass(frozen=True)
class LedgerLine:
    """A walk's line in the ledger, with its baseline. `program`: the version of the last replay, "" without one."""

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
    baseline: Baseline
    corroboration: str = "unchecked"


class ReplayStore(SnapshotStore):
    """The database of a replay: compares readings with the ledger, and replaces walks."""

    async def lines(self, slots: Sequence[datetime], target: Target) -> dict[datetime, LedgerLine]:
        """Returns the ledger's lines of a target at these slots, by slot; slots without a line are left out.

        A replaced walk may become the baseline of the next one, so lines read before are stale then.
        """
        await self.registry.refresh()
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
        self,
        reading: WalkResult,
        certificate: Certificate,
        line: LedgerLine,
        expected: int | None,
        *,
        corroboration: str | None = None,
        verdicts: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    ) -> bool:
        """Replaces a stored walk by a reading, and records the earlier state. False: the walk changed meanwhile.

        `corroboration` is the new judgement of the witnesses (None: the stored one stays), `verdicts` the verdict and
        the detail by source.
        """

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
                await connection.execute(_REPLACE, *key, *values, __version__)
                if corroboration is not None:
                    await connection.execute(_SET_CORROBORATION, *key, corroboration)
                    said = [[source, *verdict] for source, verdict in verdicts.items()]
                    await connection.execute(_SET_VERDICTS, *key, *map(list, zip(*said, strict=True)))
                await _write_rows(connection, reading, packed.target, packed.copy)
            return True

        return await self._with_retries(reading.slot, write)


async def _write_rows(connection: Connection, reading: WalkResult, target: int, copy: bytes) -> None:
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
    base_slot = row["base_slot"]
    day = base_slot and base_slot.astimezone(KST).date()
    facts = {name: row[name] for name in LedgerLine.__dataclass_fields__ if name != "baseline"}
    facts |= {
        "status": Status(row["status"]),
        "remarks": tuple(row["remarks"]),
        "error": row["error"] or "",
        "program": row["program"] or "",
        "baseline": Baseline(row["base_rows"], day, row["base_members"]),
    }
    return LedgerLine(**facts)
