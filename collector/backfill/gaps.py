"""Finds the slots × targets missing in a period, and those still shown by the API."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from collector.db.database import Database
from collector.db.snapshots import SnapshotStore
from collector.market.calendar import Calendar
from collector.market.schedule import ScheduledSlot
from collector.market.timetable import Timetable
from collector.market.visibility import is_disturbed, visible_until
from collector.model import Exchange, Outcome, Remark, Status, Target

# Counts expected slots × targets without a complete walk, by schedule and status. Late slots ($5, $6) are
# left out, since they will be walked. The expected slots come as arrays: schedules are not in the database.
_LACKING = """
SELECT e.schedule, COALESCE(w.status, 'absent') AS status, count(*) AS pairs,
       count(DISTINCT e.slot) AS slots, min(e.slot) AS first, max(e.slot) AS last
FROM (
    SELECT s.schedule, s.slot, t.target
    FROM unnest($1::text[], $2::timestamptz[]) AS s (schedule, slot)
    JOIN unnest($3::text[], $4::smallint[]) AS t (schedule, target) ON t.schedule = s.schedule
) AS e
LEFT JOIN collector.walk AS w ON w.slot = e.slot AND w.target = e.target
WHERE w.status IS DISTINCT FROM 'complete'
  AND (e.slot, e.target) NOT IN (SELECT slot, target FROM unnest($5::timestamptz[], $6::smallint[]) AS l (slot, target))
GROUP BY e.schedule, COALESCE(w.status, 'absent')
ORDER BY e.schedule, COALESCE(w.status, 'absent')
"""


@dataclass(frozen=True, slots=True)
class LateSlot:
    """A slot still shown by the API: targets lacking it, end of its display, remarks for its walks."""

    slot: datetime
    universe: str
    targets: tuple[Target, ...]
    until: datetime
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class UnrecoverableGap:
    """Slots × targets of one schedule absent from the ledger (`absent`) or not complete in it."""

    schedule: str
    status: str
    pairs: int
    slots: int
    first: datetime
    last: datetime


async def find_unrecoverable_gaps(
    database: Database,
    timetable: Timetable,
    overdue: Sequence[ScheduledSlot],
    numbers: Mapping[Target, int],
    shown: Sequence[LateSlot],
) -> list[UnrecoverableGap]:
    """Returns the gaps not shown by the API any more: absent, failed, missed or suspect, by schedule."""
    universes = {slot.schedule: slot.universe for slot in overdue}
    pairs = [
        (schedule, numbers[target])
        for schedule, universe in universes.items()
        for target in timetable.targets[universe]
    ]
    if not pairs:
        return []
    async with database.connection("comparing the ledger with the schedules", timeout=120) as connection:
        rows = await connection.fetch(
            _LACKING,
            [slot.schedule for slot in overdue],
            [slot.at for slot in overdue],
            *map(list, zip(*pairs, strict=True)),
            [late_slot.slot for late_slot in shown for _ in late_slot.targets],
            [numbers[target] for late_slot in shown for target in late_slot.targets],
        )
    return [UnrecoverableGap(**row) for row in rows]


async def find_late_slots(
    store: SnapshotStore, timetable: Timetable, overdue: Sequence[ScheduledSlot], now: datetime
) -> list[LateSlot]:
    """Returns slots still shown by the API, with the targets lacking them, grouped by the end of display.

    A walk with the remark `stale` is settled: nothing was traded on its day, and a new walk would show the
    same.
    """
    late_slots = []
    for slot in overdue:
        groups = _on_show(timetable.calendar, slot.at, timetable.targets[slot.universe], now)
        if groups:
            ledger = await store.ledger(slot.at)
            settled = {target for target, outcome in ledger.items() if _is_settled(outcome)}
            late_slots += [
                LateSlot(slot.at, slot.universe, lacking, until, remarks)
                for (until, remarks), targets in groups.items()
                if (lacking := tuple(target for target in targets if target not in settled))
            ]
    return late_slots


def _is_settled(outcome: Outcome) -> bool:
    return outcome.status is Status.COMPLETE or Remark.STALE in outcome.remarks


_Group = tuple[datetime, tuple[Remark, ...]]


def _on_show(
    calendar: Calendar, at: datetime, targets: Collection[Target], now: datetime
) -> dict[_Group, list[Target]]:
    """Groups the targets with a state of the instant still on display, by the end of display and the remarks."""
    ends = {exchange: visible_until(calendar, exchange, at) for exchange in Exchange}
    groups: defaultdict[_Group, list[Target]] = defaultdict(list)
    for target in targets:
        until = ends[target.exchange]
        if until is not None and until > now:
            disturbed = is_disturbed(calendar, target.exchange, at, now)
            remarks = (Remark.LATE, Remark.AFTER_HOURS) if disturbed else (Remark.LATE,)
            groups[until, remarks].append(target)
    return groups
