"""Stores what the witnesses of a sweep said, and the offsets learned from them; `board_lists` stores the listings."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from collector.db.board_lists import BoardListStore
from collector.db.catalog import Registry
from collector.db.database import Database
from collector.market.witness_values import IndexLevel
from collector.model import Market, Target

_OFFSETS = """
SELECT target, source, settled, candidate, seen, days, last_day
FROM collector.witness_offset
WHERE target = ANY ($1::smallint[])
"""
_KEEP_OFFSETS = """
INSERT INTO collector.witness_offset AS o (target, source, settled, candidate, seen, days, last_day)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (target, source) DO UPDATE
SET settled = EXCLUDED.settled, candidate = EXCLUDED.candidate, seen = EXCLUDED.seen, days = EXCLUDED.days,
    last_day = EXCLUDED.last_day
"""
_KEEP_LEVEL = """
INSERT INTO collector.index_level (
    slot, market, sector, level, change, change_bp, sign, volume, turnover, members, traded, advancers, unchanged,
    decliners, limit_up, limit_down, received_at
)
SELECT $1, n.*
FROM unnest(
    $2::text[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::smallint[], $8::bigint[], $9::bigint[],
    $10::integer[], $11::integer[], $12::integer[], $13::integer[], $14::integer[], $15::integer[], $16::integer[],
    $17::timestamptz[]
) AS n
ON CONFLICT DO NOTHING
"""
_KEEP_TESTIMONY = """
INSERT INTO collector.witness (
    slot, target, source, members, traded, advancers, unchanged, decliners, volume, asked_at, verdict, detail
)
SELECT $1, n.*
FROM unnest(
    $2::smallint[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::integer[],
    $9::bigint[], $10::timestamptz[], $11::text[], $12::text[]
) AS n
ON CONFLICT (slot, target, source) DO UPDATE
SET members = EXCLUDED.members, traded = EXCLUDED.traded, advancers = EXCLUDED.advancers,
    unchanged = EXCLUDED.unchanged, decliners = EXCLUDED.decliners, volume = EXCLUDED.volume,
    asked_at = EXCLUDED.asked_at, verdict = EXCLUDED.verdict, detail = EXCLUDED.detail
"""
# One statement for all walks that nothing speaks against, which is nearly every sweep.
_SET_CORROBORATION = """
UPDATE collector.walk AS w
SET corroboration = n.verdict
FROM unnest($2::smallint[], $3::text[]) AS n (target, verdict)
WHERE w.slot = $1 AND w.target = n.target
"""
_CORROBORATE = "SELECT collector.corroborate($1, $2, $3, $4, $5)"


_TESTIMONIES = """
SELECT slot, source, asked_at, verdict, detail
FROM collector.witness
WHERE slot = ANY ($1::timestamptz[]) AND target = $2
"""
_LEVELS = """
SELECT market, received_at, sector, level, COALESCE(change, 0) AS change, COALESCE(change_bp, 0) AS change_bp,
       COALESCE(sign, 3) AS sign, volume, turnover, limit_up, advancers, unchanged, decliners, limit_down, members
FROM collector.index_level
WHERE slot = $1 AND source = 'ka20003'
ORDER BY market, received_at, sector
"""


class StoredTestimony(NamedTuple):
    """What the database holds of one witness of one walk."""

    asked_at: datetime
    verdict: str
    detail: str


class StoredOffset(NamedTuple):
    """A line of `collector.witness_offset`, the texts sorted."""

    settled: Sequence[str] | None
    candidate: Sequence[str]
    seen: int
    days: int
    last_day: date | None


class Testimony(NamedTuple):
    """A line of `collector.witness`. Counts are None where the source does not count."""

    target: Target
    source: str
    asked_at: datetime
    verdict: str
    detail: str
    members: int | None = None
    traded: int | None = None
    advancers: int | None = None
    unchanged: int | None = None
    decliners: int | None = None
    volume: int | None = None


class Ruling(NamedTuple):
    """The result of the witnesses of one walk, for the ledger; `by` names the calls against it."""

    target: Target
    corroboration: str
    remarks: Sequence[str]
    by: str


class WitnessStore:
    """The tables of the witnesses. Errors are StoreError."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.lists = BoardListStore(database)
        self._database = database
        self._registry = registry

    async def offsets(self, targets: Iterable[Target]) -> dict[tuple[Target, str], StoredOffset]:
        """The known offsets of these targets by target and source."""
        ids = {
            self._registry.targets[target]: target for target in targets if target in self._registry.targets
        }
        async with self._database.connection("reading the offsets of witnesses") as connection:
            rows = await connection.fetch(_OFFSETS, list(ids))
        return {(ids[row["target"]], row["source"]): StoredOffset(*list(row)[2:]) for row in rows}

    async def testimonies(
        self, slots: Sequence[datetime], target: Target
    ) -> dict[datetime, dict[str, StoredTestimony]]:
        """What the witnesses said of the walks of a target, by slot and source."""
        async with self._database.connection("reading what witnesses said", timeout=60) as connection:
            rows = await connection.fetch(_TESTIMONIES, slots, self._registry.targets[target])
        said: dict[datetime, dict[str, StoredTestimony]] = {}
        for row in rows:
            testimony = StoredTestimony(row["asked_at"], row["verdict"], row["detail"])
            said.setdefault(row["slot"], {})[row["source"]] = testimony
        return said

    async def levels_of(self, slot: datetime) -> dict[Market, dict[datetime, list[IndexLevel]]]:
        """The answers of ka20003 for a sweep, by board and arrival."""
        async with self._database.connection("reading index levels", timeout=60) as connection:
            rows = await connection.fetch(_LEVELS, slot)
        levels: dict[Market, dict[datetime, list[IndexLevel]]] = {}
        for row in rows:
            facts = {name: value for name, value in row.items() if name not in ("market", "received_at")}
            answers = levels.setdefault(Market(row["market"]), {})
            answers.setdefault(row["received_at"], []).append(IndexLevel(name="", **facts))
        return levels

    async def conclude(
        self,
        slot: datetime,
        levels: Sequence[tuple[IndexLevel, Market, datetime]],
        testimonies: Sequence[Testimony],
        rulings: Sequence[Ruling],
        offsets: Mapping[tuple[Target, str], StoredOffset],
    ) -> None:
        """Store the result of a sweep's witnesses in one transaction.

        `levels` are index levels, each with its board and the instant at which it arrived.
        """
        target_ids = self._registry.targets
        async with self._database.transaction("corroborating a sweep") as connection:
            if levels:
                rows = [_level_values(*level) for level in levels]
                await connection.execute(_KEEP_LEVEL, slot, *_columns(rows))
            if testimonies:
                lines = [_testimony_values(target_ids[line.target], line) for line in testimonies]
                await connection.execute(_KEEP_TESTIMONY, slot, *_columns(lines))
            if offsets:
                await connection.executemany(
                    _KEEP_OFFSETS,
                    [(target_ids[target], source, *offset) for (target, source), offset in offsets.items()],
                )
            plain = [ruling for ruling in rulings if not ruling.remarks]
            await connection.execute(
                _SET_CORROBORATION,
                slot,
                [target_ids[ruling.target] for ruling in plain],
                [str(ruling.corroboration) for ruling in plain],
            )
            for ruling in (ruling for ruling in rulings if ruling.remarks):
                await connection.execute(
                    _CORROBORATE,
                    slot,
                    target_ids[ruling.target],
                    ruling.corroboration,
                    list(ruling.remarks),
                    ruling.by,
                )


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _level_values(level: IndexLevel, board: Market, received_at: datetime) -> tuple[Any, ...]:
    return (
        *(board, level.sector, level.level, level.change, level.change_bp, level.sign),
        *(level.volume, level.turnover, level.members, level.traded_count),
        *(level.advancers, level.unchanged, level.decliners, level.limit_up, level.limit_down),
        received_at,
    )


def _testimony_values(target: int, line: Testimony) -> tuple[Any, ...]:
    return (
        *(target, line.source, line.members, line.traded, line.advancers, line.unchanged),
        *(line.decliners, line.volume, line.asked_at, line.verdict, line.detail),
    )
