"""What becomes of slots: which sweep begins, waits, is cut or never comes. Decisions as values; others act.

Each schedule has a lane, and one sweep at a time runs in it. A sweep that is still running when its next
slot falls due goes on; the new slot waits for it and then walks what it can until its own next slot, which
cuts it. The slot after a cut one starts on time and has the lane to itself, so that under a lasting overrun
every second slot is whole, and no target is for ever the one that is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from collector.market.schedule import ScheduledSlot


class Reason(StrEnum):
    """Why a target's slot passed untried."""

    OVERRUN = "overrun"
    LATE = "late"
    DOWN = "down"
    DATABASE = "database"
    DENIED = "denied"


class Start(NamedTuple):
    """Sweep this slot now."""

    slot: ScheduledSlot


class Miss(NamedTuple):
    """Whatever the ledger lacks of this slot is missed, for this reason."""

    slot: ScheduledSlot
    reason: Reason


Action = Start | Miss


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What one schedule is at. A sweep that `is_cut` begins no further walk."""

    running: ScheduledSlot | None = None
    has_waited: bool = False
    is_cut: bool = False
    waiting: ScheduledSlot | None = None


def fall_due(lane: ScheduleState, slot: ScheduledSlot) -> tuple[ScheduleState, Sequence[Action]]:
    """A slot of the lane has come."""
    if lane.running is None:
        return ScheduleState(running=slot), [Start(slot)]
    never_came = [Miss(lane.waiting, Reason.OVERRUN)] if lane.waiting else []
    return replace(lane, waiting=slot, is_cut=lane.has_waited), never_came


def end_sweep(lane: ScheduleState) -> tuple[ScheduleState, Sequence[Start]]:
    """The lane's sweep has ended, however."""
    if lane.waiting is None:
        return ScheduleState(), []
    return ScheduleState(running=lane.waiting, has_waited=not lane.is_cut), [Start(lane.waiting)]


def in_time(slots: Iterable[ScheduledSlot], now: datetime) -> dict[str, ScheduledSlot]:
    """Of slots found due together, the ones that may still run: each schedule's newest, if its grace lasts."""
    newest = {slot.schedule: slot for slot in slots}
    return {name: slot for name, slot in newest.items() if now <= slot.deadline}
