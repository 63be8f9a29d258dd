"""Which sweep begins, waits, is cut or never comes: the decisions, without anything that runs."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.daemon.overrun import Miss, Reason, ScheduleState, Start, end_sweep, fall_due, in_time
from collector.market.schedule import ScheduledSlot
from collector.model import KST

NINE = datetime(2026, 11, 23, 9, tzinfo=KST)


def slot(number: int, *, schedule: str = "intraday", grace: int = 150) -> ScheduledSlot:
    """The slot that many intervals of five minutes after nine."""
    at = NINE + timedelta(minutes=5 * number)
    return ScheduledSlot(at, schedule, "boards", "KRX.regular", at + timedelta(seconds=grace))


def test_a_slot_of_an_idle_lane_starts():
    assert fall_due(ScheduleState(), slot(0)) == (ScheduleState(running=slot(0)), [Start(slot(0))])


def test_a_slot_that_finds_a_sweep_running_waits_and_the_sweep_goes_on():
    lane, actions = fall_due(ScheduleState(running=slot(0)), slot(1))
    assert (lane, actions) == (ScheduleState(running=slot(0), waiting=slot(1)), [])


def test_the_one_that_waited_starts_when_the_sweep_has_ended():
    lane, actions = end_sweep(ScheduleState(running=slot(0), waiting=slot(1)))
    assert (lane, actions) == (ScheduleState(running=slot(1), has_waited=True), [Start(slot(1))])


def test_a_sweep_that_had_waited_is_cut_at_its_next_slot():
    lane, actions = fall_due(ScheduleState(running=slot(1), has_waited=True), slot(2))
    assert (lane.is_cut, lane.waiting, actions) == (True, slot(2), [])


def test_the_slot_after_a_cut_sweep_has_the_lane_to_itself():
    lane, _ = end_sweep(ScheduleState(running=slot(1), has_waited=True, is_cut=True, waiting=slot(2)))
    assert lane == ScheduleState(running=slot(2), has_waited=False)


def test_a_slot_that_still_waits_at_its_next_one_never_comes():
    lane, actions = fall_due(ScheduleState(running=slot(0), waiting=slot(1)), slot(2))
    assert (lane.waiting, actions) == (slot(2), [Miss(slot(1), Reason.OVERRUN)])


def test_a_lane_whose_sweep_ends_with_nobody_waiting_is_idle():
    assert end_sweep(ScheduleState(running=slot(0))) == (ScheduleState(), [])


@pytest.mark.parametrize(
    ("seconds_late", "runs"),
    [(0, True), (150, True), (151, False), (86_400, False)],
    ids=["on time", "at its deadline", "just too late", "a day later"],
)
def test_a_slot_found_late_runs_while_its_grace_lasts(seconds_late, runs):
    found = in_time([slot(0)], NINE + timedelta(seconds=seconds_late))
    assert bool(found) is runs


def test_of_slots_found_together_only_the_newest_of_each_schedule_may_run():
    found = in_time([slot(0), slot(1), slot(0, schedule="close", grace=900)], NINE + timedelta(minutes=5))
    assert set(found.values()) == {slot(1), slot(0, schedule="close", grace=900)}


@given(st.lists(st.booleans(), max_size=60))
def test_every_slot_starts_once_or_is_missed_once_whatever_ends_when(ends_before_next):
    lane, acted = ScheduleState(), []
    for number, ends_now in enumerate(ends_before_next):
        lane, actions = fall_due(lane, slot(number))
        acted += actions
        if ends_now:
            lane, actions = end_sweep(lane)
            acted += actions
    while lane.running:
        lane, actions = end_sweep(lane)
        acted += actions
    slots = [action.slot for action in acted]
    assert sorted(slots) == [slot(number) for number in range(len(ends_before_next))]


def test_under_a_lasting_overrun_every_second_slot_is_whole():
    """Each sweep takes one and a half intervals."""
    lane, whole, began, now = ScheduleState(), [], 0.0, 0.0
    for number in range(40):
        while lane.running and began + 1.5 <= number:
            now = began + 1.5
            whole.append(lane.running)
            lane, _ = end_sweep(lane)
            began = now
        was_idle = lane.running is None
        lane, _ = fall_due(lane, slot(number))
        if was_idle:
            began = float(number)
        if lane.is_cut:
            lane, _ = end_sweep(lane)
            began = float(number)
    assert whole == [slot(number) for number in range(0, 38, 2)]
