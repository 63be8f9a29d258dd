"""Input of the metrics and of readiness: a few cheap queries, run every few seconds."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from collector.base.days import day_bounds
from collector.db import outlook
from collector.db.pool import Connection
from collector.market.calendar import kst
from collector.market.schedule import Schedule, ScheduledSlot
from collector.market.timetable import Timetable
from collector.model import Status, Target
from collector.web.health import HealthFacts, LeaseLine, ScheduleCourse
from collector.web.queries import Queries

SEEN_BACK = timedelta(days=5)
"""How far back the last complete sweep of a schedule is searched."""
_BATCHES = (2, 8, 40)
_LONG = 60.0

_STATE = """
SELECT (SELECT min(slot) FROM collector.walk) AS since,
       (SELECT COALESCE(sum(rows), 0) FROM collector.walk WHERE slot >= $1 AND slot < $2)::bigint AS rows,
       (SELECT count(*) FROM collector.quarantine WHERE slot >= $1 AND slot < $2) AS quarantined,
       (SELECT max(issued_at) FROM collector.token) AS issued_at,
       (SELECT max(expires_at) FROM collector.token) AS expires_at
"""
_LEASE = "SELECT holder, epoch, expires_at > clock_timestamp() FROM collector.lease ORDER BY expires_at DESC LIMIT 1"
_QUOTA = """
SELECT q.api_id, min(q.granted) AS granted,
       count(p.*) FILTER (WHERE p.booked OR p.free_at > clock_timestamp()) AS used
FROM collector.quota AS q
LEFT JOIN collector.place AS p ON p.key = q.key AND p.api_id = q.api_id
GROUP BY q.api_id
ORDER BY q.api_id
LIMIT 10
"""
_STATUSES = """
SELECT s.slot, w.status, count(*) AS targets
FROM unnest($1::timestamptz[]) AS s (slot)
JOIN collector.walk AS w ON w.slot = s.slot AND w.target = ANY ($2::smallint[])
GROUP BY s.slot, w.status
"""
_CAUSE = """
SELECT w.error
FROM collector.walk AS w
WHERE w.slot = $1 AND w.target = ANY ($2::smallint[]) AND w.error IS NOT NULL
GROUP BY w.error
ORDER BY count(*) DESC, w.error
LIMIT 1
"""
_LAST_SWEEP = """
SELECT slot, started_at, ended_at
FROM collector.sweep
WHERE universe = $1 AND slot = ANY ($2::timestamptz[]) AND ended_at IS NOT NULL
ORDER BY slot DESC
LIMIT 1
"""
_BYTES = "SELECT pg_database_size(current_database())"


class QuotaFigure(NamedTuple):
    """The quota of one api-id: the rate granted by the server, if it named one, and the permits in use."""

    api_id: str
    granted: int | None
    used: int


class LastSweep(NamedTuple):
    """The last ended sweep of a schedule."""

    slot: datetime
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class ScheduleFigures:
    """One schedule today: slots × targets by status, and its last sweep.

    `absent` counts those without a line in the ledger although their sweep is overdue.
    """

    statuses: Mapping[str, int]
    absent: int
    last: LastSweep | None


@dataclass(frozen=True)
class MetricsData:
    """All figures at one moment."""

    facts: HealthFacts
    rows: int = 0
    quarantined: int = 0
    token_issued_at: datetime | None = None
    token_expires_at: datetime | None = None
    quotas: Sequence[QuotaFigure] = ()
    schedules: Mapping[str, ScheduleFigures] = field(default_factory=dict)
    database_bytes: int = 0


class MetricsGatherer:
    """Gathers the figures. Caches slow or constant ones."""

    def __init__(self) -> None:
        self._bytes = (float("-inf"), 0)
        self._complete: dict[str, datetime] = {}

    async def gather(
        self, questions: Queries, timetable: Timetable, numbers: Mapping[Target, int], now: datetime
    ) -> MetricsData:
        """The figures of the current day in Korea. `numbers` has the ids of all targets with a walk."""
        today = kst(now).date()
        start, end = day_bounds(today)
        due = timetable.on(today)
        async with questions.connection("gathering figures") as connection:
            state = await connection.fetchrow(_STATE, start, end)
            lease = await connection.fetchrow(_LEASE)
            quotas = [QuotaFigure(*row) for row in await connection.fetch(_QUOTA)]
            schedule_figures = []
            for schedule in timetable.schedules:
                mine = [slot for slot in due if slot.schedule == schedule.name]
                ledger = _LedgerReader(connection, timetable, numbers, schedule)
                schedule_figures.append(await self._schedule(ledger, mine, now, state["since"]))
            size = await self._size(connection)
            clocks = await outlook.look(connection, datetime.now(UTC))
        courses = [course for course, _ in schedule_figures]
        facts = HealthFacts(now, None, LeaseLine(*lease) if lease else None, courses, state["since"], clocks)
        return MetricsData(
            facts,
            state["rows"],
            state["quarantined"],
            state["issued_at"],
            state["expires_at"],
            quotas,
            {course.schedule.name: figures for course, figures in schedule_figures},
            size,
        )

    async def _schedule(
        self, ledger: "_LedgerReader", due: Sequence[ScheduledSlot], now: datetime, since: datetime | None
    ) -> tuple[ScheduleCourse, ScheduleFigures]:
        begun = [slot.at for slot in due if slot.at <= now]
        by_slot = await ledger.statuses(begun)
        whole = ledger.whole(by_slot)
        name = ledger.schedule.name
        newest = max(whole, default=None) or self._complete.get(name) or await ledger.newest(now)
        if newest:
            self._complete[name] = newest
        totals: Counter[str] = Counter()
        for counts in by_slot.values():
            totals.update(counts)
        course = ScheduleCourse(ledger.schedule, due, whole, newest)
        if course.behind(now, since):
            course = replace(course, cause=await ledger.cause(course.over(now, since)[-1].at))
        written = [by_slot.get(slot.at, Counter()).total() for slot in course.over(now, since)]
        absent = sum(ledger.expected - count for count in written)
        return course, ScheduleFigures(totals, absent, await ledger.last_sweep(begun))

    async def _size(self, connection: Connection) -> int:
        at, size = self._bytes
        if monotonic() - at > _LONG:
            size = await connection.fetchval(_BYTES)
            self._bytes = (monotonic(), size)
        return size


class _LedgerReader:
    """The ledger restricted to one schedule."""

    def __init__(
        self,
        connection: Connection,
        timetable: Timetable,
        numbers: Mapping[Target, int],
        schedule: Schedule,
    ) -> None:
        targets = timetable.universe(schedule.universe)
        self.schedule = schedule
        self.expected = len(targets)
        self._numbers = [numbers[target] for target in targets if target in numbers]
        self._connection = connection
        self._timetable = timetable

    async def statuses(self, at: Sequence[datetime]) -> dict[datetime, Counter[str]]:
        """Counts by status of the targets at these slots."""
        counts: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        if at:
            for row in await self._connection.fetch(_STATUSES, at, self._numbers):
                counts[row["slot"]][row["status"]] = row["targets"]
        return counts

    def whole(self, by_slot: Mapping[datetime, Counter[str]]) -> frozenset[datetime]:
        """The slots with all targets complete."""
        return frozenset(
            slot for slot, counts in by_slot.items() if counts[Status.COMPLETE] == self.expected > 0
        )

    async def cause(self, at: datetime) -> str:
        """The most frequent error or reason of a slot; "" if it has none."""
        return await self._connection.fetchval(_CAUSE, at, self._numbers) or ""

    async def last_sweep(self, at: Sequence[datetime]) -> LastSweep | None:
        row = await self._connection.fetchrow(_LAST_SWEEP, self.schedule.universe, at) if at else None
        return LastSweep(*row) if row else None

    async def newest(self, now: datetime) -> datetime | None:
        """The slot of the last complete sweep of earlier days, searched from the newest."""
        past = list(self._timetable.instants(self.schedule, now - SEEN_BACK, now))[::-1]
        for size in _BATCHES:
            part, past = past[:size], past[size:]
            if whole := self.whole(await self.statuses(part)):
                return max(whole)
        return None
