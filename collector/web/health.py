"""Whether the program does what it is there for, judged by whether data arrives. Pure.

Ready is not "the process is up": in an open session without a complete sweep for two slots it is not ready.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from collector.db.outlook import Outlook
from collector.market.schedule import Every, Schedule, ScheduledSlot

ENOUGH = 2
"""Slots in a row without a complete sweep from which on a schedule is behind."""


class LeaseLine(NamedTuple):
    """Who may sweep, if that one still does by the clock of the database."""

    holder: str
    epoch: int
    is_held: bool


@dataclass(frozen=True)
class ScheduleCourse:
    """A schedule as far as it has come: its slots of today, and those of them that are complete.

    `newest`: the slot of its last complete sweep, of whatever day; None where it never had one.
    """

    schedule: Schedule
    slots: Sequence[ScheduledSlot]
    complete: frozenset[datetime]
    newest: datetime | None

    def over(self, now: datetime, since: datetime | None) -> list[ScheduledSlot]:
        """Today's slots whose sweep should have ended; those before the ledger's first (None: all) are nobody's."""
        return [slot for slot in self.slots if since and since <= slot.at and _ends(slot) <= now]

    def behind(self, now: datetime, since: datetime | None) -> int:
        """How many slots have passed since the last complete one."""
        count = 0
        for slot in reversed(self.over(now, since)):
            if slot.at in self.complete or (self.newest and slot.at <= self.newest):
                break
            count += 1
        return count

    def is_open(self, now: datetime) -> bool:
        """Whether it is between its first slot of the day and the end of its last."""
        return bool(self.slots) and self.slots[0].at <= now <= _ends(self.slots[-1])


class Check(NamedTuple):
    """One thing that was looked at; `reason` is one line in English, for a log or an operator."""

    name: str
    is_good: bool
    reason: str


@dataclass(frozen=True)
class HealthFacts:
    """What is known at `now`. `trouble`: why the database cannot be asked; the rest is empty then."""

    now: datetime
    trouble: str | None = None
    lease: LeaseLine | None = None
    courses: Sequence[ScheduleCourse] = ()
    since: datetime | None = None
    """The ledger's first slot; None: it is empty."""
    outlook: Outlook | None = None
    """The clocks and what is about to be dropped, None where that was not looked at."""

    def behind(self) -> Mapping[str, int]:
        """Slots without a complete sweep, by schedule; an empty ledger still waits for its first."""
        return {course.schedule.name: course.behind(self.now, self.since) for course in self.courses}


def checks(facts: HealthFacts) -> Iterator[Check]:
    """Everything that readiness stands for."""
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
            yield Check(name, behind[name] < ENOUGH, _since_when(behind[name], course.newest))


def _clocks(result: Outlook) -> Iterator[Check]:
    """Clocks that differ stop the sweeps; days that are to be dropped, or kept, stop nothing."""
    notices = list(result.lines())
    agree = "this machine's clock and the database's agree"
    yield Check("clocks", not result.is_apart, notices.pop(0) if result.is_apart else agree)
    if notices:
        yield Check("retention", True, "; ".join(notices))


def _lease(facts: HealthFacts) -> Check:
    if facts.lease is None or not facts.lease.is_held:
        return Check("lease", False, "no daemon holds it: nothing is swept")
    return Check("lease", True, f"held by {facts.lease.holder}")


def _since_when(behind: int, newest: datetime | None) -> str:
    if not behind:
        return "the last slot is complete"
    last = newest.isoformat() if newest else "never"
    return f"{behind} slots without a complete sweep; the last complete one: {last}"


def _ends(slot: ScheduledSlot) -> datetime:
    """When a slot's sweep should have ended: as long after its deadline as that is after its beginning."""
    return slot.deadline + (slot.deadline - slot.at)
