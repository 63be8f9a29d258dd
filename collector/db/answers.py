"""Keeps answers in the database: unchanged with their walk, packed after their day, dropped by age.

An entry stays unpacked during its day, so a sweep only pays for a copy; compression in the sweep would cost a
quarter of its CPU. `AnswerStore.pack_day` packs past days.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from collector import __version__
from collector.base.answers import (
    AnswerEntry,
    AnswerLog,
    DamagedAnswers,
    decode_answers,
    encode_answers,
    pack,
    unpack,
)
from collector.base.days import day_bounds
from collector.base.prefetch import prefetch
from collector.db.clocks import read_clocks, why_kept
from collector.db.database import Database
from collector.db.pool import Connection
from collector.model import KST, Target

UNREADABLE_DAYS = 60
"""Days to keep unreadable answers: a corrected decoder may take weeks."""
_CHAIN = 24
"""Walks packed against each other before one is packed by itself: two hours of slots, so damage costs no more."""
_MOST_UNREADABLE = 256 << 10
"""Most bytes kept of one unreadable answer."""
_DAY = timedelta(days=1)
_LONG = 120.0

_KEEP = """
INSERT INTO collector.raw_walk (slot, target, received_at, checksum, size, state, program, answers)
VALUES ($1, $2, $3, $4, $5, 1, $6, $7)
"""
_KEEP_UNREADABLE = """
INSERT INTO collector.raw_unreadable (slot, target, received_at, error, answer) VALUES ($1, $2, $3, $4, $5)
"""
_MAKE_DAYS = "SELECT collector.make_raw_days($1, 2)"
_KEYS = """
SELECT r.target, t.market, t.sector, t.exchange, r.slot, r.received_at, r.base, r.state, r.program, r.checksum, r.size
FROM collector.raw_walk AS r
JOIN collector.target AS t ON t.id = r.target
WHERE r.slot >= $1 AND r.slot < $2
ORDER BY r.target, r.slot, r.received_at
"""
_ANSWERS = "SELECT answers FROM collector.raw_walk WHERE target = $1 AND slot = $2 AND received_at = $3"
_COUNT = """
SELECT count(*)
FROM collector.raw_walk AS r
JOIN collector.target AS t ON t.id = r.target
WHERE r.slot >= $1 AND r.slot < $2
  AND ($3::text IS NULL OR (t.market, t.sector, t.exchange) = ($3::text, $4::text, $5::text))
"""
_PACK = """
UPDATE collector.raw_walk SET answers = $4, base = $5, state = 2
WHERE target = $1 AND slot = $2 AND received_at = $3 AND state = 1
"""
_UNREADABLE = """
SELECT r.slot, t.market, t.sector, t.exchange, r.received_at, r.error, r.answer
FROM collector.raw_unreadable AS r
JOIN collector.target AS t ON t.id = r.target
WHERE r.slot >= coalesce($1::timestamptz, '-infinity') AND r.slot < coalesce($2::timestamptz, 'infinity')
ORDER BY r.slot, r.target, r.received_at
"""
_DAYS = "SELECT day FROM collector.raw_days()"
_SPAN = "SELECT min(slot), max(slot) FROM collector.raw_walk"
_UNPACKED = "SELECT EXISTS (SELECT FROM collector.raw_walk WHERE slot >= $1 AND slot < $2 AND state = 1)"
_DROP = "SELECT collector.drop_old_answers($1, $2, $3)"


@dataclass(frozen=True)
class RawEntry:
    """The answers of one walk. `data` None: they are damaged, and `damage` gives the reason."""

    target_id: int
    target: Target
    slot: datetime
    received_at: datetime
    program: str
    data: AnswerEntry | None
    damage: str = ""


@dataclass(frozen=True)
class TargetAnswers:
    """The entries of one target on one day in time order: their keys, without the answers."""

    target: Target
    keys: Sequence[Mapping[str, object]]

    @property
    def slots(self) -> list[datetime]:
        return [_instant(row["slot"]) for row in self.keys]


async def make_days(connection: Connection, day: date) -> None:
    """Make the tables for the answers of a day and the next."""
    await connection.fetchval(_MAKE_DAYS, day)


async def keep_answers(
    connection: Connection, slot: datetime, target: int, log: AnswerLog, *, failure: str = ""
) -> None:
    """Store the answers of a walk unchanged, in the transaction of the walk."""
    data = encode_answers(log)
    if not log.answers:
        return
    arrived = log.answers[-1].arrived
    values = (zlib.adler32(data), len(data), __version__, data)
    await connection.execute(_KEEP, slot, target, arrived, *values)
    if failure.startswith("Unreadable"):
        body = zlib.compress(encode_answers(_last_alone(log)))
        await connection.execute(_KEEP_UNREADABLE, slot, target, arrived, failure, body)


def _last_alone(log: AnswerLog) -> AnswerLog:
    """The last, unreadable answer, cut to `_MOST_UNREADABLE` bytes."""
    body = log.bodies[-1][:_MOST_UNREADABLE]
    answer = log.answers[-1]
    if len(body) < answer.size:
        answer = type(answer)(
            answer.api_id,
            answer.path,
            answer.asked,
            answer.page_key,
            answer.status,
            answer.headers,
            answer.arrived,
            len(body),
        )
    return AnswerLog(log.requested_at, [answer], [body], len(body))


class AnswerStore:
    """The kept answers of one database. Errors are StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def days(self) -> list[date]:
        """Returns the days with a table for answers, oldest first."""
        async with self._database.connection("looking for kept answers") as connection:
            return [row["day"] for row in await connection.fetch(_DAYS)]

    async def span(self) -> tuple[date, date] | None:
        """Returns the first and the last day with kept answers, None without any."""
        async with self._database.connection("looking for kept answers") as connection:
            first, last = await connection.fetchrow(_SPAN)
        return (first.astimezone(KST).date(), last.astimezone(KST).date()) if first else None

    async def count(self, days: Sequence[date], wanted: Target | None) -> int:
        """Counts the entries of these days, of one target or of all."""
        if not days:
            return 0
        target = [*wanted] if wanted else [None, None, None]
        bounds = (day_bounds(days[0])[0], day_bounds(days[-1])[1])
        async with self._database.connection("counting kept answers", timeout=_LONG) as connection:
            counted: int = await connection.fetchval(_COUNT, *bounds, *target)
        return counted

    async def targets(self, day: date, wanted: Target | None = None) -> list[TargetAnswers]:
        """The entries of a day by target, of one target or of all; their answers are read by `read`."""
        async with self._database.connection("listing kept answers", timeout=_LONG) as connection:
            rows = await connection.fetch(_KEYS, *day_bounds(day))
        targets: defaultdict[Target, list[Mapping[str, object]]] = defaultdict(list)
        for row in rows:
            targets[Target.of(row["market"], row["sector"], row["exchange"])].append(row)
        return [TargetAnswers(target, keys) for target, keys in targets.items() if wanted in (None, target)]

    async def entries(self, day: date, wanted: Target | None = None) -> AsyncIterator[RawEntry]:
        """Yields the entries of a day, target by target, each in time order."""
        for target in await self.targets(day, wanted):
            async for entry in self.read(target):
                yield entry

    async def read(self, answers: TargetAnswers) -> AsyncGenerator[RawEntry, None]:
        """Yields the entries of a target in time order; one is in memory at once, and the bytes of the next."""
        base: Sequence[bytes] = ()
        before: object = None
        coming = prefetch([partial(self._fetch, row) for row in answers.keys])
        async with aclosing(coming):
            async for row, data in coming:
                usable = base if row["base"] and before == row["base"] else ()
                entry = await asyncio.to_thread(_make_entry, row, answers.target, data, usable)
                base = entry.data.bodies if entry.data else ()
                before = row["slot"] if entry.data else None
                yield entry

    async def _fetch(self, row: Mapping[str, object]) -> tuple[Mapping[str, object], bytes | None]:
        key = (row["target"], row["slot"], row["received_at"])
        async with self._database.connection("reading kept answers", timeout=_LONG) as connection:
            return row, await connection.fetchval(_ANSWERS, *key)

    async def unreadable(
        self, first: date | None = None, last: date | None = None
    ) -> list[Mapping[str, object]]:
        """Returns the unreadable answers of a period, each as a mapping of its columns. None: no bound."""
        begins = day_bounds(first)[0] if first else None
        ends = day_bounds(last)[1] if last else None
        async with self._database.connection("reading unreadable answers", timeout=_LONG) as connection:
            return [dict(row) for row in await connection.fetch(_UNREADABLE, begins, ends)]

    async def pack_day(self, day: date, most: int | None = None) -> int:
        """Packs unpacked entries of a day, `most` entries at most, and returns their count.

        A damaged entry stays unchanged.
        """
        async with self._database.connection("looking for answers to pack", timeout=_LONG) as connection:
            if not await connection.fetchval(_UNPACKED, *day_bounds(day)):
                return 0
            rows = await connection.fetch(_KEYS, *day_bounds(day))
        packed = length = 0
        base: AnswerEntry | None = None
        before: tuple[int, datetime] | None = None
        for row in rows:
            key = (row["target"], row["slot"], row["received_at"])
            if packed == most:
                break
            if row["state"] != 1:
                before = None
                continue
            is_linked = before is not None and before[0] == row["target"] and length < _CHAIN
            is_linked = is_linked and before is not None and before[1] < row["slot"]
            async with self._database.connection("reading answers to pack", timeout=_LONG) as connection:
                answers = await connection.fetchval(_ANSWERS, *key)
            data, damage = _read_back(row, answers, ())
            if data is None or damage:
                before = None
                continue
            small = await asyncio.to_thread(pack, answers, base if is_linked else None)
            async with self._database.transaction("packing answers") as connection:
                linked_to = before[1] if is_linked and before else None
                await connection.execute(_PACK, *key, small, linked_to)
            packed, length = packed + 1, length + 1 if is_linked else 1
            base, before = data, (row["target"], row["slot"])
        return packed

    async def tend(self, host: datetime, keep_days: int, most: int | None = None) -> tuple[int, list[date]]:
        """Packs past days, `most` entries at most, and drops the days beyond `keep_days`.

        Returns the number of entries packed, and the days dropped. Nothing is dropped while the clocks disagree.
        """
        today = host.astimezone(KST).date()
        packed = 0
        for day in await self.days():  # oldest first
            packed += await self.pack_day(day, most and most - packed) if day < today else 0
        return packed, await self._drop(host, keep_days)

    async def _drop(self, host: datetime, keep_days: int) -> list[date]:
        async with self._database.connection("comparing the clocks") as connection:
            if why_kept(await read_clocks(connection, host)):
                return []
        dropped: list[date] = []
        while True:
            async with self._database.transaction("dropping old answers") as connection:
                day = await connection.fetchval(_DROP, host, keep_days, UNREADABLE_DAYS)
            if day is None:
                return dropped
            dropped.append(day)


def _make_entry(
    row: Mapping[str, object], target: Target, answers: bytes | None, base: Sequence[bytes]
) -> RawEntry:
    data, damage = _read_back(row, answers, base)
    return RawEntry(
        target_id=int(str(row["target"])),
        target=target,
        slot=_instant(row["slot"]),
        received_at=_instant(row["received_at"]),
        program=str(row["program"]),
        data=data,
        damage=damage,
    )


def _read_back(
    row: Mapping[str, object], answers: bytes | None, base: Sequence[bytes]
) -> tuple[AnswerEntry | None, str]:
    """Returns the entry and "", or None and the reason for its damage."""
    if answers is None:
        return None, "it is not there any more"
    if row["base"] is not None and not base:
        return None, "the entry that it was packed against is damaged or missing"
    try:
        data = unpack(answers, base) if row["state"] == 2 else answers
        if len(data) != row["size"] or zlib.adler32(data) != row["checksum"]:
            return None, "its checksum is not that of what was kept"
        return decode_answers(data), ""
    except DamagedAnswers as error:
        return None, str(error)


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


__all__: Sequence[str] = ("UNREADABLE_DAYS", "AnswerStore", "RawEntry", "keep_answers", "make_days")
