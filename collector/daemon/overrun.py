"""Decides about overrunning sweeps: each slot starts, waits, is cut or is missed. Pure; the leader carries it
out.

Each schedule runs one sweep at a time. If a sweep is still running at its next slot, it goes on. The new slot
waits, then walks until its own next slot, and is cut there. The slot after a cut one starts on time with the
schedule to itself. So under a lasting overrun every second slot is whole, and no target is left out for ever.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from collector.market.schedule import ScheduledSlot


class Reason(StrEnum):
    """Why a target was not tried in a slot."""

    OVERRUN = "overrun"
    LATE = "late"
    DOWN = "down"
    DATABASE = "database"
    DENIED = "denied"


class Start(NamedTuple):
    """Sweep this slot now."""

    slot: ScheduledSlot


class Miss(NamedTuple):
    """Record everything the ledger lacks of this slot as missed, with this reason."""

    slot: ScheduledSlot
    reason: Reason


Action = Start | Miss


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """The state of one schedule. A sweep with `is_cut` starts no further walk."""

    running: ScheduledSlot | None = None
    has_waited: bool = False
    is_cut: bool = False
    waiting: ScheduledSlot | None = None


def fall_due(state: ScheduleState, slot: ScheduledSlot) -> tuple[ScheduleState, Sequence[Action]]:
    """Decides about a slot falling due."""
    if state.running is None:
        return ScheduleState(running=slot), [Start(slot)]
    never_came = [Miss(state.waiting, Reason.OVERRUN)] if state.waiting else []
    return replace(state, waiting=slot, is_cut=state.has_waited), never_came


def end_sweep(state: ScheduleState) -> tuple[ScheduleState, Sequence[Start]]:
    """Decides after the end of the schedule's sweep."""
    if state.waiting is None:
        return ScheduleState(), []
    return ScheduleState(running=state.waiting, has_waited=not state.is_cut), [Start(state.waiting)]


def in_time(slots: Iterable[ScheduledSlot], now: datetime) -> dict[str, ScheduledSlot]:
    """Returns the slots still in time among slots due together: each schedule's newest, within its grace."""
    newest = {slot.schedule: slot for slot in slots}
    return {name: slot for name, slot in newest.items() if now <= slot.deadline}
