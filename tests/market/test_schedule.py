"""Which slots a schedule has, and that they depend on nothing but time, calendar and config."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.base import resources
from collector.market import calendar, schedule
from collector.market.calendar import SESSIONS
from collector.market.schedule import Schedule, ScheduledSlot, ScheduleError, Skip
from collector.market.schedule_lint import ScheduleWarning, validate
from collector.model import KST

CALENDAR = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "config/calendar.yaml")
DAY = timedelta(days=1)
unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law


def made(name: str = "s", universe: str = "boards", **keys: str) -> Schedule:
    return schedule.parse(name, universe=universe, **keys)


def midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=KST)


def on(day: str, *schedules: Schedule) -> list[ScheduledSlot]:
    return list(schedule.merge_slots(schedules, CALENDAR, midnight(day), midnight(day) + DAY))


def times(slots: list[ScheduledSlot]) -> list[str]:
    return [f"{slot.at:%H:%M:%S}".removesuffix(":00") for slot in slots]


INTRADAY = made("intraday", every="5m", during="KRX.regular")
NXT = made("nxt", "nxt", every="5m", during="NXT.main")
CLOSE = made("close", "everything", at="KRX.regular.close + 10m")
NIGHTLY = made("nightly", "everything", at="03:10", days="all")


@pytest.mark.parametrize(
    ("keys", "day", "expected"),
    [
        pytest.param(
            {"every": "2h", "during": "KRX.regular"},
            "2026-11-20",
            ["09:00", "11:00", "13:00", "15:00", "15:30"],
            id="opening, each interval, closing",
        ),
        pytest.param(
            {"every": "130m", "during": "KRX.regular"},
            "2026-11-20",
            ["09:00", "11:10", "13:20", "15:30"],
            id="an interval that divides the session",
        ),
        pytest.param(
            {"every": "2h", "during": "NXT.main"},
            "2026-11-20",
            ["09:00:30", "11:00:30", "13:00:30", "15:00:30", "15:20"],
            id="aligned to the opening's second",
        ),
        pytest.param(
            {"every": "2h", "during": "KRX.regular"},
            "2026-11-19",
            ["10:00", "12:00", "14:00", "16:00", "16:30"],
            id="CSAT",
        ),
        pytest.param({"every": "5m", "during": "NXT.pre"}, "2026-11-19", [], id="no pre-market on CSAT"),
        pytest.param(
            {"every": "5m", "during": "KRX.after"}, "2026-09-11", [], id="a session before its time"
        ),
        pytest.param({"every": "5m", "during": "KRX.regular"}, "2026-11-21", [], id="Saturday"),
        pytest.param(
            {"every": "7h", "during": "day", "days": "all"},
            "2026-11-21",
            ["00:00", "07:00", "14:00", "21:00"],
            id="around the clock, on a Saturday too",
        ),
        pytest.param(
            {"at": "KRX.regular.open"}, "2027-01-04", ["10:00"], id="opening of the year's first day"
        ),
        pytest.param({"at": "KRX.regular.close+10m"}, "2026-11-20", ["15:40"], id="without blanks"),
        pytest.param({"at": "KRX.regular.close - 30s"}, "2026-11-20", ["15:29:30"], id="before the closing"),
        pytest.param({"at": "KRX.regular.close + 1s"}, "2026-11-20", ["15:30:01"], id="a second after it"),
        pytest.param({"at": "NXT.pre.open -  9h"}, "2026-11-19", ["23:00"], id="the evening before"),
        pytest.param({"at": "NXT.after.close + 5h"}, "2026-11-21", ["01:00"], id="after midnight"),
        pytest.param({"at": "NXT.after.close + 1d"}, "2026-11-21", ["20:00"], id="a day later"),
        pytest.param({"at": "16:05"}, "2026-11-20", ["16:05"], id="time of day"),
        pytest.param({"at": "16:05"}, "2026-09-25", [], id="time of day on a holiday"),
        pytest.param({"at": "16:05", "days": "mon-fri"}, "2026-09-25", ["16:05"], id="mon-fri on a holiday"),
        pytest.param({"at": "16:05", "days": "mon-fri"}, "2026-11-21", [], id="mon-fri on Saturday"),
        pytest.param({"at": "16:05", "days": "all"}, "2026-11-21", ["16:05"], id="all days on Saturday"),
        pytest.param({"at": "KRX.regular.open", "days": "all"}, "2026-11-21", [], id="no session, no slot"),
    ],
)
def test_slots_fall_where_the_schedule_says(keys, day, expected):
    assert times(on(day, made(**keys))) == expected


def test_five_minutes_during_the_regular_session_are_79_slots_a_day():
    assert len(on("2026-11-20", INTRADAY)) == 79


@pytest.mark.parametrize(
    ("keys", "field", "says"),
    [
        ({}, "every", "no time; use either `every` with `during`, or `at`"),
        ({"every": "5m"}, "during", "every without during; add during: KRX.regular, KRX.after, NXT.pre"),
        ({"every": "5m", "at": "16:05"}, "every", "every beside at; use either"),
        ({"during": "NXT.pre", "at": "16:05"}, "during", "during beside at; use either"),
        ({"during": "NXT.pre"}, "every", "no time"),
        (
            {"every": "5m", "during": "KRX.pre"},
            "during",
            f"'KRX.pre' is not a session; use {', '.join(SESSIONS)}, or day",
        ),
        ({"every": "5", "during": "NXT.pre"}, "every", "'5' is not a duration; use"),
        ({"every": "1500ms", "during": "NXT.pre"}, "every", "1500ms is out of range; use 1s to 1d"),
        ({"every": "0m", "during": "NXT.pre"}, "every", "0m is out of range; use 1s to 1d, whole"),
        ({"every": "2d", "during": "NXT.pre"}, "every", "2d is out of range; use 1s to 1d"),
        ({"every": "999999999d", "during": "NXT.pre"}, "every", "999999999d is out of range"),
        ({"at": "24:00"}, "at", "'24:00' is not a time; use HH:MM, or SESSION.open"),
        ({"at": "9:05"}, "at", "'9:05' is not a time"),
        ({"at": "٠٩:٠٥"}, "at", "'٠٩:٠٥' is not a time"),
        ({"at": "KRX.regular"}, "at", "'KRX.regular' is not a time"),
        ({"at": "KRX.regular.noon"}, "at", "'KRX.regular.noon' is not a time"),
        ({"at": "KRX.night.open"}, "at", "'KRX.night' is not a session; use KRX.regular"),
        ({"at": "KRX.regular.close + 10"}, "at", "'10' is not a duration"),
        ({"at": "KRX.regular.close 10m"}, "at", "'KRX.regular.close 10m' is not a time"),
        ({"at": "16:05", "days": "daily"}, "days", "'daily' is not a set of days; use trading, all, mon-fri"),
        ({"at": "16:05", "grace": "soon"}, "grace", "'soon' is not a duration"),
        ({"at": "16:05", "grace": "0s"}, "grace", "0s is out of range; use 1s to 1d"),
        (
            {"every": "5m", "during": "NXT.pre", "grace": "6m"},
            "grace",
            "6m is out of range; use 1s to 5m",
        ),
    ],
    ids=str,
)
def test_nonsense_is_refused_with_its_key_and_what_is_allowed(keys, field, says):
    with pytest.raises(ScheduleError) as refusal:
        made(**keys)
    assert refusal.value.field == field
    assert str(refusal.value).startswith(says)


@unhurried
@given(st.text(), st.sampled_from(["every", "during", "at", "days", "grace"]))
def test_any_text_is_a_schedule_or_a_refusal(text, field):
    keys = {"every": "5m", "during": "NXT.pre"} if field in ("every", "during") else {"at": "16:05"}
    try:
        made(**keys | {field: text})
    except ScheduleError as refusal:
        found = refusal.field
    else:
        found = field
    assert found == field


@pytest.mark.parametrize(
    ("keys", "deadlines"),
    [
        pytest.param(
            {"every": "3h", "during": "KRX.regular"},
            {"09:00": "10:30", "12:00": "13:30", "15:00": "15:30", "15:30": "15:40"},
            id="half an interval, the session's end, the next opening",
        ),
        pytest.param(
            {"every": "6h", "during": "NXT.after"},
            {"15:40": "18:40", "20:00": "23:00"},
            id="nothing opens after the last closing",
        ),
        pytest.param(
            {"every": "3h", "during": "NXT.main"},
            {"09:00:30": "10:30:30", "12:00:30": "13:30:30", "15:00:30": "15:20", "15:20": "15:30"},
            id="after a closing, until the other venue closes too",
        ),
        pytest.param(
            {"every": "14h", "during": "NXT.main"},
            {"09:00:30": "15:20"},
            id="from the opening on to its own session's end",
        ),
        pytest.param(
            {"every": "1h", "during": "KRX.regular", "grace": "1h"}, {"15:30": "16:30"}, id="own grace"
        ),
        pytest.param({"at": "10:30"}, {"10:30": "10:40"}, id="ten minutes"),
        pytest.param({"at": "08:45"}, {"08:45": "08:50"}, id="not past the session's end"),
        pytest.param({"at": "08:55"}, {"08:55": "09:00"}, id="not past the next opening"),
        pytest.param({"at": "15:15"}, {"15:15": "15:25"}, id="past one closing while another venue is open"),
        pytest.param({"at": "15:25"}, {"15:25": "15:30"}, id="not past the closing"),
        pytest.param({"at": "KRX.regular.close + 10m"}, {"15:40": "15:50"}, id="into the after-market"),
        pytest.param({"at": "20:00", "grace": "2h"}, {"20:00": "22:00"}, id="own grace of a time of day"),
    ],
)
def test_a_slot_may_be_started_until_its_deadline(keys, deadlines):
    slots = on("2026-11-20", made(**keys))
    found = dict(zip(times(slots), times([slot._replace(at=slot.deadline) for slot in slots]), strict=True))
    assert {at: found[at] for at in deadlines} == deadlines


def test_a_slot_carries_what_it_is_for():
    assert on("2026-11-20", CLOSE) == [
        ScheduledSlot(
            datetime(2026, 11, 20, 15, 40, tzinfo=KST),
            "close",
            "everything",
            "KRX.regular",
            datetime(2026, 11, 20, 15, 50, tzinfo=KST),
        )
    ]
    assert on("2026-11-20", made(at="16:05"))[0].session is None


def test_a_universe_is_due_once_where_two_schedules_meet():
    later = made("a-later-start", every="30m", during="NXT.after")
    together = on("2026-11-19", INTRADAY, later)
    assert [slot.schedule for slot in together if times([slot]) == ["16:30"]] == ["a-later-start"]
    assert len(together) == len(on("2026-11-19", INTRADAY)) + len(on("2026-11-19", later)) - 1


def test_two_universes_are_both_due_at_one_instant():
    twin = made("twin", "others", every="5m", during="KRX.regular")
    assert [slot.schedule for slot in on("2026-11-20", twin, INTRADAY)][:4] == ["intraday", "twin"] * 2


def test_a_slot_falls_due_at_the_look_that_reaches_it_and_at_no_later_one():
    at = datetime(2026, 11, 20, 9, 5, tzinfo=KST)
    moment = timedelta(microseconds=1)
    assert times(schedule.due_slots([INTRADAY], CALENDAR, at - moment, at)) == ["09:05"]
    assert times(schedule.due_slots([INTRADAY], CALENDAR, at, at + moment)) == []


def test_the_next_slot_over_a_long_holiday_is_found():
    found = schedule.next_slot([INTRADAY], CALENDAR, datetime(2026, 2, 13, 15, 30, tzinfo=KST))
    assert found
    assert found.at == datetime(2026, 2, 19, 9, tzinfo=KST)


def test_the_next_slot_of_a_session_that_begins_next_year_is_found():
    found = schedule.next_slot([made(at="KRX.after.open")], CALENDAR, midnight("2025-01-01"))
    assert found
    assert found.at == datetime(2026, 9, 14, 16, tzinfo=KST)


def test_no_schedules_have_no_next_slot():
    assert schedule.next_slot([], CALENDAR, midnight("2026-11-20")) is None


def test_skipped_days_say_why():
    found = schedule.list_skips([INTRADAY, NXT], CALENDAR, date(2026, 9, 23), date(2026, 9, 29))
    assert list(found) == [
        Skip(date(2026, 9, 24), "The day preceding Chuseok"),
        Skip(date(2026, 9, 25), "Chuseok"),
        Skip(date(2026, 9, 26), "Saturday"),
        Skip(date(2026, 9, 27), "Sunday"),
    ]


@pytest.mark.parametrize(
    ("keys", "day", "reasons"),
    [
        ({"at": "16:05", "days": "all"}, "2026-11-21", []),
        ({"at": "16:05", "days": "mon-fri"}, "2026-11-21", ["Saturday"]),
        ({"at": "16:05", "days": "mon-fri"}, "2026-09-25", []),
        ({"at": "16:05"}, "2026-09-25", ["Chuseok"]),
        ({"at": "16:05"}, "2026-11-20", []),
        ({"at": "NXT.pre.open", "days": "all"}, "2026-09-25", ["Chuseok"]),
        ({"at": "NXT.pre.open"}, "2026-11-19", ["NXT.pre: CSAT (college entrance exam)"]),
        ({"at": "NXT.pre.open"}, "2026-01-02", ["NXT.pre: first trading day of the year"]),
        ({"at": "NXT.pre.open"}, "2025-03-03", ["Alternative holiday for Independence Movement Day"]),
        ({"at": "NXT.pre.open"}, "2025-03-04", ["NXT.pre: NXT's opening ceremony"]),
        ({"at": "NXT.pre.open"}, "2025-02-28", ["NXT.pre: not before 2025-03-04"]),
    ],
    ids=str,
)
def test_a_schedule_that_passes_over_a_day_says_why(keys, day, reasons):
    start = date.fromisoformat(day)
    found = schedule.list_skips([made(**keys)], CALENDAR, start, start + DAY)
    assert [skip.reason for skip in found] == reasons


def test_a_day_that_two_schedules_pass_over_has_both_their_reasons():
    early = [made("a", at="NXT.pre.open"), made("b", at="KRX.after.open"), made("c", at="NXT.pre.close")]
    [found] = schedule.list_skips(early, CALENDAR, date(2025, 2, 28), date(2025, 3, 1))
    assert found.reason == "NXT.pre: not before 2025-03-04; KRX.after: not before 2026-09-14"


ENDED = b"""
known: {from: 2025-01-01, until: 2027-12-31}
sessions:
  KRX.regular: {2025-01-01: 09:00-15:30}
  NXT.pre: {2025-03-04: 08:00-08:50, 2026-01-01: closed}
"""


@pytest.mark.parametrize(
    ("session", "day", "reasons"),
    [
        ("NXT.pre", date(2025, 3, 4), []),
        ("NXT.pre", date(2026, 11, 20), ["NXT.pre: closed"]),
        ("NXT.main", date(2026, 11, 20), ["NXT.main: never open"]),
    ],
    ids=["while it opens", "since it ended", "which there never was"],
)
def test_a_session_that_is_no_more_or_never_was_is_told_as_such(session, day, reasons):
    known = calendar.load(ENDED, "c.yaml")
    found = schedule.list_skips([made(at=f"{session}.open")], known, day, day + DAY)
    assert [skip.reason for skip in found] == reasons


def complained(*schedules: Schedule) -> list[tuple[str, str, bool]]:
    found = validate(schedules, CALENDAR, start=midnight("2026-11-20"))
    return [(complaint.schedule, complaint.field, complaint.forcible) for complaint in found]


def test_sound_schedules_give_no_complaint():
    assert complained(INTRADAY, NXT, CLOSE, NIGHTLY) == []


def test_an_interval_below_a_minute_gives_way_to_force_alone():
    [found] = validate([made(every="59s", during="NXT.pre")], CALENDAR, start=midnight("2026-11-20"))
    says = "59s is below one minute; use 1m or more, or --force"
    assert found == ScheduleWarning("s", "every", says, forcible=True)


def test_a_minute_is_no_interval_below_a_minute():
    assert complained(made(every="1m", during="NXT.pre")) == []


@pytest.mark.parametrize(
    ("interval", "session", "start", "says"),
    [
        ("1h", "NXT.pre", "2026-11-20", "1h is longer than NXT.pre; use up to 50m"),
        ("5h", "KRX.after", "2026-09-01", "5h is longer than KRX.after; use up to 4h"),
    ],
    ids=["a session of today", "a session that begins in a fortnight"],
)
def test_an_interval_longer_than_its_session_is_refused(interval, session, start, says):
    found = validate([made(every=interval, during=session)], CALENDAR, start=midnight(start))
    assert list(found) == [ScheduleWarning("s", "every", says)]


def test_a_schedule_that_never_falls_due_is_refused():
    ended = (
        b"{known: {from: 2025-01-01, until: 2027-12-31}, sessions: {KRX.regular: {2025-01-01: 09:00-15:30}}}"
    )
    [found] = validate(
        [made(every="1h", during="NXT.pre")], calendar.load(ended, "c.yaml"), start=midnight("2026-11-20")
    )
    says = "never falls due within 800 days; use a session that opens"
    assert found == ScheduleWarning("s", "during", says)


@pytest.mark.parametrize(
    ("other", "key"),
    [
        pytest.param(made("twin", every="7m", during="KRX.regular"), "during", id="same session"),
        pytest.param(made("twin", at="KRX.regular.close"), "at", id="closing"),
        pytest.param(made("twin", at="09:05"), "at", id="time of day"),
    ],
)
def test_slots_that_two_schedules_of_one_universe_share_are_refused(other, key):
    assert complained(INTRADAY, other) == [("twin", key, False)]


def test_a_slot_that_is_shared_is_told_with_the_day_it_first_is():
    [found] = validate([INTRADAY, made("twin", at="09:05")], CALENDAR, start=midnight("2026-11-20"))
    assert found.message == (
        "falls on 2026-11-20 09:05:00 like intraday, for the same universe; remove one of them"
    )


def test_sessions_that_touch_on_csat_day_only_are_no_mistake():
    assert complained(INTRADAY, made("late", every="5m", during="NXT.after")) == []


schedules = st.builds(
    lambda number, keys: made(f"s{number}", f"u{number % 2}", **keys),
    st.integers(0, 9),
    st.one_of(
        st.fixed_dictionaries(
            {
                "every": st.sampled_from(["10m", "17m", "1h", "3h", "90s"]),
                "during": st.sampled_from(SESSIONS),
            }
        ),
        st.fixed_dictionaries(
            {
                "at": st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
                "days": st.sampled_from(["trading", "all", "mon-fri"]),
            }
        ),
        st.fixed_dictionaries(
            {
                "at": st.builds(
                    "{}.{} {} {}m".format,
                    st.sampled_from(SESSIONS),
                    st.sampled_from(["open", "close"]),
                    st.sampled_from("+-"),
                    st.integers(1, 1440),
                )
            }
        ),
    ),
)
several = st.lists(schedules, min_size=1, max_size=4, unique_by=lambda schedule: schedule.name)
zones = st.sampled_from([UTC, KST, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=45))])
# Within a few days of these lie holidays, CSAT, turns of a year, the beginnings of NXT and of KRX.after.
turns = st.sampled_from(["2025-02-28", "2025-11-10", "2026-09-11", "2026-09-23", "2026-12-30", "2027-12-30"])
moments = st.builds(
    lambda day, seconds, zone: (midnight(day) + timedelta(seconds=seconds)).astimezone(zone),
    turns,
    st.integers(0, 8 * 86400),
    zones,
)


def near(start: datetime) -> st.SearchStrategy[list[datetime]]:
    """Four instants in order, the first given, the others within ten days, now and then on a slot."""
    offsets = st.integers(0, 10 * 86400) | st.integers(0, 240).map(lambda hours: hours * 3600)
    return st.lists(offsets, min_size=3, max_size=3).map(
        lambda found: [start, *(start + timedelta(seconds=offset) for offset in sorted(found))]
    )


spans = moments.flatmap(near)


@pytest.mark.extended
@unhurried
@given(schedules, spans)
def test_a_stretch_has_the_slots_of_its_parts(one, span):
    parts = [slot for start, end in pairwise(span) for slot in schedule.slots(one, CALENDAR, start, end)]
    assert parts == list(schedule.slots(one, CALENDAR, span[0], span[-1]))


@unhurried
@given(several, spans)
def test_looks_at_the_clock_neither_repeat_nor_forget_a_slot(some, span):
    looks = [
        slot for after, until in pairwise(span) for slot in schedule.due_slots(some, CALENDAR, after, until)
    ]
    assert looks == list(schedule.due_slots(some, CALENDAR, span[0], span[-1]))
    assert len({(slot.at, slot.universe) for slot in looks}) == len(looks)


@unhurried
@given(several, moments)
def test_the_next_slot_is_the_first_of_those_that_follow(some, after):
    following = schedule.due_slots(some, CALENDAR, after, after + schedule.HORIZON)
    assert schedule.next_slot(some, CALENDAR, after) == next(following, None)


@pytest.mark.extended
@settings(unhurried, max_examples=40)
@given(several, moments)
def test_from_slot_to_slot_every_one_is_met(some, start):
    met = []
    at = start
    while (found := schedule.next_slot(some, CALENDAR, at)) and found.at <= start + 2 * DAY:
        met.append(found.at)
        at = found.at
    assert met == sorted({slot.at for slot in schedule.due_slots(some, CALENDAR, start, start + 2 * DAY)})


@unhurried
@given(several, spans)
def test_slots_come_in_order_on_whole_seconds_of_kst_before_their_deadlines(some, span):
    found = list(schedule.merge_slots(some, CALENDAR, span[0], span[-1]))
    assert found == sorted(found, key=lambda slot: (slot.at, slot.schedule))
    assert all(slot.at.tzinfo is KST and slot.at.microsecond == 0 for slot in found)
    assert all(slot.at < slot.deadline <= slot.at + DAY for slot in found)


@unhurried
@given(schedules, spans)
def test_slots_of_one_instant_are_the_same_in_any_zone(one, span):
    there = [instant.astimezone(timezone(timedelta(hours=-9, minutes=-30))) for instant in span]
    assert list(schedule.slots(one, CALENDAR, span[0], span[-1])) == list(
        schedule.slots(one, CALENDAR, there[0], there[-1])
    )


@unhurried
@given(st.sampled_from(["NXT.pre", "KRX.regular", "NXT.main", "NXT.after"]), st.integers(60, 86400))
def test_every_session_has_its_opening_and_its_closing(name, seconds):
    one = made(every=f"{seconds}s", during=name)
    found = {
        slot.at for slot in schedule.slots(one, CALENDAR, midnight("2026-11-16"), midnight("2026-11-21"))
    }
    opened = filter(None, (CALENDAR.session(date(2026, 11, day), name) for day in range(16, 21)))
    assert {edge for session in opened for edge in (session.opens, session.closes)} <= found


def test_instants_without_a_zone_are_refused():
    with pytest.raises(ValueError, match="no time zone"):
        list(schedule.slots(INTRADAY, CALENDAR, datetime(2026, 11, 20), midnight("2026-11-21")))


PRINT_SLOTS = """
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from collector.market import calendar, schedule
from collector.base import resources
known = calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "c.yaml")
some = [
    schedule.parse("a", universe="a", every="5m", during="KRX.regular"),
    schedule.parse("b", universe="b", every="30m", during="NXT.main"),
    schedule.parse("c", universe="c", at="02:30", days="all"),
]
start = datetime(2025, 1, 1, tzinfo=timezone.utc)
slots = list(schedule.merge_slots(some, known, start, start + timedelta(days=1095)))
print(len(slots), sha256(repr(slots).encode()).hexdigest())
"""


def printed(**environment: str) -> str:
    command = [sys.executable, "-c", PRINT_SLOTS]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.extended
def test_three_years_of_slots_are_the_same_in_new_york_in_korean_and_in_another_process():
    here = printed(TZ="America/New_York", LANG="C", PYTHONHASHSEED="1")
    assert int(here.split()[0]) > 60_000
    assert here == printed(TZ="Asia/Seoul", LANGUAGE="ko", LANG="ko_KR.UTF-8", PYTHONHASHSEED="2")
