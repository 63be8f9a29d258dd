"""Readiness, judged by the arrival of data. Pure.

A running process is not enough: in an open session, two slots without a complete sweep make it not ready.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from collector.db.outlook import MOST, Outlook
from collector.market.schedule import Every, Schedule, ScheduledSlot
from collector.model import KST

CHECKS = ("database", "clocks", "retention", "lease")
"""The names of the checks; the other checks have the name of their schedule."""
ENOUGH = 2
"""From this number of consecutive slots without a complete sweep on, a schedule is behind."""


class LeaseLine(NamedTuple):
    """The holder of the lease; `is_held` is judged by the clock of the database."""

    holder: str
    epoch: int
    is_held: bool


@dataclass(frozen=True)
class ScheduleCourse:
    """The progress of a schedule: its slots of today, and the complete ones among them.

    `newest` is the slot of its last complete sweep on any day; None if there is none.
    """

    schedule: Schedule
    slots: Sequence[ScheduledSlot]
    complete: frozenset[datetime]
    newest: datetime | None
    cause: str = ""
    """The most frequent error or reason of the newest overdue slot; "" if the schedule is not behind."""

    def over(self, now: datetime, since: datetime | None) -> list[ScheduledSlot]:
        """Today's slots with a sweep that is overdue, without slots before the ledger's first one (None: all
        of them).
        """
        return [slot for slot in self.slots if since and since <= slot.at and _ends(slot) <= now]

    def behind(self, now: datetime, since: datetime | None) -> int:
        """Number of slots since the last complete one."""
        count = 0
        for slot in reversed(self.over(now, since)):
            if slot.at in self.complete or (self.newest and slot.at <= self.newest):
                break
            count += 1
        return count

    def is_open(self, now: datetime) -> bool:
        """True between its first slot of the day and the end of its last."""
        return bool(self.slots) and self.slots[0].at <= now <= _ends(self.slots[-1])


class Check(NamedTuple):
    """One check. `reason` is one line in English, for logs and operators.

    `message` is the key of its Korean translation, with its `values`; "" if there is none.
    """

    name: str
    is_good: bool
    reason: str
    message: str = ""
    values: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class HealthFacts:
    """The known facts at `now`. If `trouble` says why the database is unavailable, the rest is empty."""

    now: datetime
    trouble: str | None = None
    lease: LeaseLine | None = None
    courses: Sequence[ScheduleCourse] = ()
    since: datetime | None = None
    """The ledger's first slot; None if it is empty."""
    outlook: Outlook | None = None
    """The clocks and the announced retention; None if they were not read."""

    def behind(self) -> Mapping[str, int]:
        """Slots without a complete sweep, by schedule. An empty ledger has none."""
        return {course.schedule.name: course.behind(self.now, self.since) for course in self.courses}


def checks(facts: HealthFacts) -> Iterator[Check]:
    """All checks of readiness."""
    if facts.trouble is not None:
        yield Check("database", False, facts.trouble)
        return
    yield Check("database", True, "it answers, and its schema fits")
    if facts.outlook:
        yield from _clocks(facts.outlook)
    if facts.courses:
        yield _lease(facts)
    behind = facts.behind()
    for course in facts.courses:
        if isinstance(course.schedule.when, Every) and course.is_open(facts.now):
            name = course.schedule.name
            yield _schedule(name, behind[name], course.newest, course.cause)


def _clocks(result: Outlook) -> Iterator[Check]:
    """Clocks that differ stop the sweeps. Announced or suspended retention stops nothing."""
    notices = list(result.lines())
    if result.is_apart:
        seconds = f"{abs(result.ahead.total_seconds()):,.0f}"
        message = "check_clock_ahead" if result.ahead > timedelta() else "check_clock_behind"
        yield Check("clocks", False, notices.pop(0), message, {"seconds": seconds})
    else:
        yield Check("clocks", True, "this machine's clock and the database's agree")
    if notices:
        message = "check_retention_blocked" if result.why_kept else "check_retention"
        yield Check("retention", True, "; ".join(notices), message, _retention(result))


def _retention(result: Outlook) -> Mapping[str, object]:
    starts = result.drops_from
    return {
        "days": result.days,
        "oldest": result.oldest,
        "keep_days": result.keep_days,
        "starts": f"{starts.astimezone(KST):%Y-%m-%d %H:%M}" if starts else "",
        "most": MOST,
    }


def _lease(facts: HealthFacts) -> Check:
    if facts.lease is None or not facts.lease.is_held:
        return Check("lease", False, "no daemon holds it: nothing is swept", "check_lease")
    return Check("lease", True, f"held by {facts.lease.holder}")


def _schedule(name: str, behind: int, newest: datetime | None, cause: str = "") -> Check:
    if not behind:
        return Check(name, True, "the last slot is complete")
    last = f"{newest.astimezone(KST):%Y-%m-%d %H:%M:%S} KST" if newest else "never"
    reason = f"{behind} slots without a complete sweep; the last complete one: {last}"
    reason += f"; the cause: {cause}" if cause else ""
    message = "check_behind" if newest else "check_never"
    return Check(name, behind < ENOUGH, reason, message, {"slots": behind, "last": last, "cause": cause})


def _ends(slot: ScheduledSlot) -> datetime:
    """The time limit of a slot's sweep: twice the distance from the slot to its deadline."""
    return slot.deadline + (slot.deadline - slot.at)
