"""The expected work: slots by day and by deadline, and the targets of universes."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.base import resources
from collector.market import calendar
from collector.market.schedule import parse
from collector.market.timetable import Timetable
from collector.model import KST, Target

CALENDAR = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")
HALF_HOURLY = parse("half-hourly", universe="boards", every="30m", during="KRX.regular", grace="2m")
CLOSE = parse("close", universe="close", at="KRX.regular.close + 10m", grace="1m")
KRX, NXT, KOSDAQ = (
    Target.of("KOSPI", "001", "KRX"),
    Target.of("KOSPI", "001", "NXT"),
    Target.of("KOSDAQ", "101", "KRX"),
)
TIMETABLE = Timetable([HALF_HOURLY, CLOSE], CALENDAR, {"boards": (KRX, NXT), "close": (KOSDAQ, KRX)})
FRIDAY = date(2026, 11, 20)
MINUTE = timedelta(minutes=1)


def at(day: date, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=KST)


def test_a_day_has_the_slots_of_all_schedules_in_time_order():
    slots = TIMETABLE.on(FRIDAY)
    assert [slot.at for slot in slots] == sorted(slot.at for slot in slots)
    assert [(f"{slot.at:%H:%M}", slot.schedule) for slot in slots[-2:]] == [
        ("15:30", "half-hourly"),
        ("15:40", "close"),
    ]
    assert len(slots) == 15
    assert TIMETABLE.on(date(2026, 11, 21)) == []


@pytest.mark.parametrize(
    ("now", "count"),
    [("09:01:59.999999", 0), ("09:02", 1), ("09:31:59", 1), ("09:32", 2), ("15:40:59", 14), ("15:41", 15)],
)
def test_a_slot_is_overdue_from_its_deadline_on(now, count):
    assert TIMETABLE.overdue(FRIDAY, FRIDAY, at(FRIDAY, now)) == TIMETABLE.on(FRIDAY)[:count]


def test_both_ends_of_a_period_belong_to_it():
    monday, later = date(2026, 11, 16), at(FRIDAY, "23:00")
    overdue = TIMETABLE.overdue(monday, FRIDAY, later)
    assert {slot.at.date() for slot in overdue} == {date(2026, 11, day) for day in range(16, 21)}
    assert TIMETABLE.overdue(FRIDAY, monday, later) == []


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (at(FRIDAY, "09:01"), date(2026, 11, 19)),
        (at(FRIDAY, "09:02"), FRIDAY),
        (at(date(2026, 11, 22), "12:00"), FRIDAY),
    ],
)
def test_the_last_day_is_the_newest_with_an_overdue_slot(now, day):
    assert TIMETABLE.last_overdue_day(now) == (day, TIMETABLE.overdue(day, day, now))


def test_a_schedule_without_slots_for_two_months_has_no_last_day():
    assert Timetable([], CALENDAR, {}).last_overdue_day(at(FRIDAY, "12:00")) is None


def test_only_the_slots_of_a_schedule_are_its_slots():
    assert TIMETABLE.is_slot(HALF_HOURLY, at(FRIDAY, "09:30"))
    assert not TIMETABLE.is_slot(CLOSE, at(FRIDAY, "09:30"))
    assert not TIMETABLE.is_slot(HALF_HOURLY, at(FRIDAY, "09:30") + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("boards", (KRX, NXT)),
        ("boards+close", (KRX, NXT, KOSDAQ)),
        ("close+elsewhere", (KOSDAQ, KRX)),
        ("elsewhere", ()),
    ],
)
def test_universes_joined_by_a_plus_have_each_target_once(name, targets):
    assert TIMETABLE.universe(name) == targets


AROUND_THE_CLOCK = parse("always", universe="all", every="7m", during="day", days="all")
ALL = Timetable([HALF_HOURLY, CLOSE, AROUND_THE_CLOCK], CALENDAR, {})
MINUTES = st.integers(0, 3 * 1_440)


@given(MINUTES, MINUTES)
@example(0, 2 * 1_440)
@example(1_440 + 540, 1_440 + 541)
def test_the_newest_slot_of_a_schedule_is_the_last_of_those_that_are_due(first, second):
    after, until = (at(FRIDAY, "00:00") + timedelta(minutes=minutes) for minutes in sorted((first, second)))
    due = list(ALL.due(after, until))
    assert ALL.newest(after, until) == {slot.schedule: slot for slot in due}
    assert due == [
        slot for slot in ALL.between(at(FRIDAY, "00:00"), until + MINUTE) if after < slot.at <= until
    ]
