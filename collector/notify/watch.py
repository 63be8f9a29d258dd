"""Compares the ledger, the keys and the machine with the stored events, and stores the events that begin and end."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from collector.base.days import ONE_DAY, day_bounds
from collector.config import NotifyConfig
from collector.db.clocks import Comparison
from collector.db.notices import Notice, NoticeStore
from collector.errors import Denied
from collector.market.calendar import kst
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable
from collector.notify import conditions
from collector.notify.changes import compare
from collector.notify.conditions import Condition

_LOOKED_BACK = timedelta(days=20)
"""Time in which the newest slots of a schedule are searched: longer than any closure of the market."""
_LOOKED_AT_FIRST = timedelta(minutes=15)
"""Each time before is twice as long, up to a day: a day of a schedule may have thousands of slots."""
_LONGEST_RUN = 60
"""Slots in a row that are counted."""
_UNDER_WAY = 2
"""Slots of a schedule that may be under way or waiting, and have no lines yet."""
_OF_SCHEDULES = ("behind", "failure", "contradicted")
_LASTING_KINDS = (*_OF_SCHEDULES, "denied", "quota", "clocks", "calendar", "disk")
_STATUSES = ("complete", "suspect", "failed", "missed")


@dataclass(frozen=True)
class KeyState:
    """What is known of a key: refused with an error, accepted, or (None and False) not tried yet."""

    name: str
    digest: str
    denial: Denied | None
    was_accepted: bool


@dataclass(frozen=True)
class Scene:
    """The parts of a daemon with an open database. `rate` is the configured one; 0 is none."""

    store: NoticeStore
    timetable: Timetable
    key_states: Callable[[], Sequence[KeyState]]
    rate: int


class Watch:
    """The events of one database. Each method that looks returns True if an event begins or ends.

    A look that finds the conditions of the look before asks the database nothing. StoreError if it is away.
    """

    def __init__(
        self,
        scene: Scene,
        settings: Callable[[], NotifyConfig],
        now: Callable[[], datetime],
        *,
        host: str,
        home: Path,
    ) -> None:
        self.store = scene.store
        self._scene = scene
        self._settings = settings
        self._now = now
        self._host = host
        self._home = home
        self._observed: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
        self._summarized = ""
        self._is_quota_rising = False
        self._has_forgotten = False

    async def look_at_slot(self, slot: ScheduledSlot) -> tuple[bool, bool]:
        """Look at a settled slot. The second value says whether every target of it is complete."""
        targets = self._scene.timetable.universe(slot.universe)
        lines = await self.store.slot_lines(slot.at, targets)
        is_whole = conditions.is_whole(lines, len(targets))
        seen = [
            *conditions.slot_failures(slot.schedule, slot.at, lines),
            *conditions.contradiction(slot.schedule, slot.at, lines),
        ]
        kinds = ("failure", "contradicted")
        has_changed = await self._apply(
            kinds, slot.schedule, seen, shows_end=lambda notice: conditions.shows_end(notice, lines)
        )
        behind = [] if is_whole else await self._behind(slot)
        has_changed |= await self._apply(("behind",), slot.schedule, behind, shows_end=lambda _: is_whole)
        return has_changed, is_whole

    async def _behind(self, slot: ScheduledSlot) -> list[Condition]:
        targets = self._scene.timetable.universe(slot.universe)
        least = self._settings().slots

        async def find(most: int) -> list[Condition]:
            slots = list(islice(_slots_back(self._scene.timetable, slot), most))
            complete = await self.store.complete_counts(slots, targets)
            return conditions.behind(slot.schedule, slots, complete, expected=len(targets), least=least)

        return await find(max(least, _LONGEST_RUN)) if await find(least + _UNDER_WAY) else []

    async def look_at_host(self, comparison: Comparison | None) -> bool:
        """Look at what this process knows without a question: its keys and its clock."""
        has_changed = False
        for key in self._scene.key_states():
            if key.denial is None and not key.was_accepted:
                continue
            facts = (
                {"key": key.name, "reason": str(key.denial), "hint": key.denial.hint} if key.denial else {}
            )
            seen = [Condition("denied", key.name, self._now(), facts)] if key.denial else []
            has_changed |= await self._apply_news("denied", key.name, seen)
        if comparison is not None:
            seen = []
            if comparison.is_apart:
                seconds = round(abs(comparison.ahead.total_seconds()))
                clock_facts = {"host": self._host, "seconds": seconds}
                seen = [Condition("clocks", self._host, self._now(), clock_facts)]
            has_changed |= await self._apply_news("clocks", self._host, seen)
        return has_changed

    async def look_at_the_rest(self) -> None:
        """Look at the quota, the calendar and the disk, and store the summary of the day when it is due."""
        now = self._now()
        settings = self._settings()
        await self._look_at_quota()
        calendar = self._scene.timetable.calendar
        end = conditions.calendar_end(calendar.coverage_end, now, kst(now).date(), settings.calendar_days)
        await self._apply_news("calendar", "", end)
        if (free := self._read_free_space()) is not None:
            samples = await self.store.sample_disk(self._host, free)
            disk = conditions.filling_disk(self._host, str(self._home), samples, now, settings.disk_days)
            await self._apply_news("disk", self._host, disk)
        await self._forget_other_schedules()
        await self._summarize(now)

    def _read_free_space(self) -> int | None:
        """The free bytes where COLLECTOR_HOME is, or would be; None if its disk cannot be read."""
        with suppress(OSError):
            return shutil.disk_usage(_existing(self._home)).free
        return None

    async def _look_at_quota(self) -> None:
        """Look at the learned rates. An hourly test lifts one for a moment, so its end counts at the second look."""
        names = {key.digest: key.name for key in self._scene.key_states()}
        lowered = await self.store.lowered_quotas(self._scene.rate) if self._scene.rate else []
        seen = conditions.lowered_quotas(lowered, names, self._scene.rate)
        before = self._observed.get(("quota", ""), frozenset())
        if not before <= _identities(seen) and not self._is_quota_rising:
            self._is_quota_rising = True
            return
        self._is_quota_rising = False
        await self._apply_news("quota", "", seen)

    async def _forget_other_schedules(self) -> None:
        """End, without a message, the events of schedules that are not configured any more."""
        if self._has_forgotten:
            return
        names = {schedule.name for schedule in self._scene.timetable.schedules}
        lasting = await self.store.lasting(_OF_SCHEDULES)
        gone = [notice for notice in lasting if notice.subject.partition(" ")[0] not in names]
        if gone:
            await self._write([], gone, tells_end=False)
        self._has_forgotten = True

    async def _summarize(self, now: datetime) -> None:
        """Store the summary of the day once its time has come, if the day has slots."""
        local, settings = kst(now), self._settings()
        day = local.date().isoformat()
        if settings.summary == "off" or f"{local:%H:%M}" < settings.summary or day == self._summarized:
            return
        due = [slot for slot in self._scene.timetable.on(local.date()) if slot.at <= now]
        if due:
            totals = await self.store.day_totals(*day_bounds(local.date()))
            facts = {
                "day": day,
                "due": len(due),
                "whole": await self._count_whole(due),
                **{status: totals.get(status, (0, 0))[0] for status in _STATUSES},
                "rows": sum(rows for _, rows in totals.values()),
                "free_gb": round((self._read_free_space() or 0) / 1e9, 1),
                "open": len(await self.store.lasting(_LASTING_KINDS)),
            }
            await self.store.add_once("summary", day, now, facts)
        self._summarized = day

    async def _count_whole(self, due: Sequence[ScheduledSlot]) -> int:
        count = 0
        for universe in {slot.universe for slot in due}:
            targets = self._scene.timetable.universe(universe)
            slots = [slot.at for slot in due if slot.universe == universe]
            complete = await self.store.complete_counts(slots, targets)
            count += sum(complete.get(at, 0) == len(targets) for at in slots)
        return count

    async def _apply_news(self, kind: str, subject: str, seen: Sequence[Condition]) -> bool:
        """Apply the conditions of one kind, unless they are those of the last look."""
        now_seen = _identities(seen)
        if self._observed.get((kind, subject)) == now_seen:
            return False
        has_changed = await self._apply((kind,), subject, seen)
        self._observed[kind, subject] = now_seen
        return has_changed

    async def _apply(
        self,
        kinds: Sequence[str],
        subject: str,
        seen: Sequence[Condition],
        *,
        shows_end: Callable[[Notice], bool] = lambda _: True,
    ) -> bool:
        """Compare the stored events of a scope with all its conditions, and store what begins and ends."""
        changes = compare(
            await self.store.lasting(kinds, subject),
            seen,
            wants=self._settings().wants,
            shows_end=shows_end,
        )
        if not changes:
            return False
        await self._write(changes.begun, changes.ended, tells_end=self._settings().wants("recovery"))
        return True

    async def _write(self, begun: Sequence[Condition], ended: Sequence[Notice], *, tells_end: bool) -> None:
        now = self._now()
        await self.store.change(
            [Notice(0, item.kind, item.subject, item.since, item.facts) for item in begun],
            [(notice.id, now, {}) for notice in ended],
            quiet=self._settings().quiet,
            tells_end=tells_end,
        )


def _identities(seen: Sequence[Condition]) -> frozenset[tuple[str, str]]:
    return frozenset((condition.kind, condition.subject) for condition in seen)


def _slots_back(timetable: Timetable, slot: ScheduledSlot) -> Iterator[datetime]:
    """Yield the instants of the slot's schedule from the slot on back, newest first."""
    schedule = next((item for item in timetable.schedules if item.name == slot.schedule), None)
    end, span = slot.at + datetime.resolution, _LOOKED_AT_FIRST
    oldest = end - _LOOKED_BACK
    while schedule is not None and end > oldest:
        start = max(end - span, oldest)
        yield from reversed(list(timetable.instants(schedule, start, end)))
        end, span = start, min(2 * span, ONE_DAY)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest existing folder above it."""
    return next(ancestor for ancestor in (path.absolute(), *path.absolute().parents) if ancestor.exists())
