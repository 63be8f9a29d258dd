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
from collector.market.schedule import ScheduledSlot
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
# The targets of a universe come as one text: arrays within an array of PostgreSQL have one length. Cast to an array
# they let the ledger be read by an index on slot and target.
_STATUSES = """
SELECT s.universe, s.slot, w.status, count(*) AS targets
FROM unnest($3::text[], $4::timestamptz[]) AS s (universe, slot)
JOIN unnest($1::text[], $2::text[]) AS u (name, targets) ON u.name = s.universe
JOIN collector.walk AS w ON w.slot = s.slot AND w.target = ANY (u.targets::smallint[])
GROUP BY s.universe, s.slot, w.status
"""
_CAUSES = """
SELECT DISTINCT ON (s.schedule) s.schedule, w.error
FROM unnest($3::text[], $4::text[], $5::timestamptz[]) AS s (schedule, universe, slot)
JOIN unnest($1::text[], $2::text[]) AS u (name, targets) ON u.name = s.universe
JOIN collector.walk AS w ON w.slot = s.slot AND w.target = ANY (u.targets::smallint[])
WHERE w.error IS NOT NULL
GROUP BY s.schedule, w.error
ORDER BY s.schedule, count(*) DESC, w.error
"""
_LAST_SWEEPS = """
SELECT DISTINCT ON (s.schedule) s.schedule, w.slot, w.started_at, w.ended_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS s (schedule, universe, slot)
JOIN collector.sweep AS w ON w.universe = s.universe AND w.slot = s.slot
WHERE w.ended_at IS NOT NULL
ORDER BY s.schedule, w.slot DESC
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
            ledger = _LedgerReader(connection, timetable, numbers)
            courses, schedules = await self._schedules(ledger, due, now, state["since"])
            size = await self._size(connection)
            clocks = await outlook.look(connection, datetime.now(UTC))
        facts = HealthFacts(now, None, LeaseLine(*lease) if lease else None, courses, state["since"], clocks)
        return MetricsData(
            facts,
            state["rows"],
            state["quarantined"],
            state["issued_at"],
            state["expires_at"],
            quotas,
            schedules,
            size,
        )

    async def _schedules(
        self, ledger: "_LedgerReader", due: Sequence[ScheduledSlot], now: datetime, since: datetime | None
    ) -> tuple[list[ScheduleCourse], dict[str, ScheduleFigures]]:
        """Courses and figures of all schedules. `due` has today's slots, `since` is the ledger's first one."""
        slots: dict[str, list[ScheduledSlot]] = {schedule.name: [] for schedule in ledger.schedules}
        for slot in due:
            slots[slot.schedule].append(slot)
        begun = {name: [slot.at for slot in own if slot.at <= now] for name, own in slots.items()}
        counts = await ledger.statuses(begun)
        whole = {name: ledger.whole(name, counts[name]) for name in slots}
        newest = await self._newest(ledger, whole, now)
        courses = [
            ScheduleCourse(schedule, slots[schedule.name], whole[schedule.name], newest.get(schedule.name))
            for schedule in ledger.schedules
        ]
        over = {course.schedule.name: [slot.at for slot in course.over(now, since)] for course in courses}
        causes = await ledger.causes(
            {
                course.schedule.name: over[course.schedule.name][-1]
                for course in courses
                if course.behind(now, since)
            }
        )
        courses = [replace(course, cause=causes.get(course.schedule.name, "")) for course in courses]
        sweeps = await ledger.last_sweeps(begun)
        figures = {}
        for name, by_slot in counts.items():
            totals: Counter[str] = Counter()
            for count in by_slot.values():
                totals.update(count)
            written = (by_slot.get(at, Counter()).total() for at in over[name])
            absent = sum(ledger.expected[name] - count for count in written)
            figures[name] = ScheduleFigures(totals, absent, sweeps.get(name))
        return courses, figures

    async def _newest(
        self, ledger: "_LedgerReader", whole: Mapping[str, frozenset[datetime]], now: datetime
    ) -> Mapping[str, datetime]:
        """The slot of the last complete sweep of each schedule, without schedules that have none."""
        self._complete |= {name: max(slots) for name, slots in whole.items() if slots}
        self._complete |= await ledger.newest([name for name in whole if name not in self._complete], now)
        return self._complete

    async def _size(self, connection: Connection) -> int:
        at, size = self._bytes
        if monotonic() - at > _LONG:
            size = await connection.fetchval(_BYTES)
            self._bytes = (monotonic(), size)
        return size


class _LedgerReader:
    """The ledger by schedule. A method asks once for all schedules: a configuration may have a hundred of them."""

    def __init__(self, connection: Connection, timetable: Timetable, numbers: Mapping[Target, int]) -> None:
        self.schedules = timetable.schedules
        self._connection = connection
        self._timetable = timetable
        self._universes = {schedule.name: schedule.universe for schedule in self.schedules}
        targets = {universe: timetable.universe(universe) for universe in self._universes.values()}
        self.expected = {name: len(targets[universe]) for name, universe in self._universes.items()}
        """The number of targets of each schedule."""
        ids = {
            universe: ",".join(str(numbers[target]) for target in members if target in numbers)
            for universe, members in targets.items()
        }
        self._members = list(ids), [f"{{{joined}}}" for joined in ids.values()]

    async def statuses(
        self, slots: Mapping[str, Sequence[datetime]]
    ) -> dict[str, dict[datetime, Counter[str]]]:
        """Counts by status of the targets at the slots of each schedule, without slots that have no line."""
        pairs = {(self._universes[name], at) for name, instants in slots.items() for at in instants}
        counts: defaultdict[tuple[str, datetime], Counter[str]] = defaultdict(Counter)
        if pairs:
            universes, instants = [universe for universe, _ in pairs], [at for _, at in pairs]
            for row in await self._connection.fetch(_STATUSES, *self._members, universes, instants):
                counts[row["universe"], row["slot"]][row["status"]] = row["targets"]
        return {
            name: {at: counts[key] for at in instants if (key := (self._universes[name], at)) in counts}
            for name, instants in slots.items()
        }

    def whole(self, name: str, by_slot: Mapping[datetime, Counter[str]]) -> frozenset[datetime]:
        """The slots of a schedule with all targets complete."""
        return frozenset(
            slot for slot, counts in by_slot.items() if counts[Status.COMPLETE] == self.expected[name] > 0
        )

    async def causes(self, at: Mapping[str, datetime]) -> dict[str, str]:
        """The most frequent error or reason of one slot of each schedule, without slots that have none."""
        if not at:
            return {}
        universes = [self._universes[name] for name in at]
        rows = await self._connection.fetch(_CAUSES, *self._members, list(at), universes, list(at.values()))
        return {row["schedule"]: row["error"] for row in rows}

    async def last_sweeps(self, slots: Mapping[str, Sequence[datetime]]) -> dict[str, LastSweep]:
        """The last ended sweep among the slots of each schedule, without schedules that have none."""
        keys = [(name, self._universes[name], at) for name, instants in slots.items() for at in instants]
        if not keys:
            return {}
        rows = await self._connection.fetch(_LAST_SWEEPS, *map(list, zip(*keys, strict=True)))
        return {name: LastSweep(*row) for name, *row in rows}

    async def newest(self, names: Sequence[str], now: datetime) -> dict[str, datetime]:
        """The slot of the last complete sweep of earlier days by schedule, searched from the newest."""
        newest: dict[str, datetime] = {}
        past = {
            schedule.name: list(self._timetable.instants(schedule, now - SEEN_BACK, now))[::-1]
            for schedule in self.schedules
            if schedule.name in names
        }
        for size in _BATCHES:
            part = {name: slots[:size] for name, slots in past.items()}
            for name, by_slot in (await self.statuses(part)).items():
                if whole := self.whole(name, by_slot):
                    newest[name] = max(whole)
            past = {name: slots[size:] for name, slots in past.items() if name not in newest}
        return newest
