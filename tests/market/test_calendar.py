"""The trading days and hours of 2000 to 2027 as they are known, and what a table of them may say."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.base import resources
from collector.errors import ConfigError
from collector.market import calendar
from collector.market.calendar import SESSIONS, Calendar
from collector.model import KST

SHIPPED = resources.path("config", "calendar.yaml")
CALENDAR = calendar.load(SHIPPED.read_bytes(), "config/calendar.yaml")

CLOSED_WEEKDAYS = {
    2025: "01-01 01-27 01-28 01-29 01-30 03-03 05-01 05-05 05-06 06-03 "
    "06-06 08-15 10-03 10-06 10-07 10-08 10-09 12-25 12-31",
    2026: "01-01 02-16 02-17 02-18 03-02 05-01 05-05 05-25 06-03 "
    "07-17 08-17 09-24 09-25 10-05 10-09 12-25 12-31",
    2027: "01-01 02-08 02-09 03-01 05-03 05-05 05-13 07-19 08-16 09-14 09-15 09-16 10-04 10-11 12-27 12-31",
}
ORDINARY = {
    "NXT.pre": "08:00-08:50",
    "KRX.regular": "09:00-15:30",
    "NXT.main": "09:00:30-15:20",
    "NXT.after": "15:40-20:00",
    "KRX.after": "16:00-20:00",
}
ORDINARY_2025 = {name: hours for name, hours in ORDINARY.items() if name != "KRX.after"}
FIRST_DAY_2026 = {"KRX.regular": "10:00-15:30", "NXT.main": "10:00:30-15:20", "NXT.after": "15:40-20:00"}
CSAT = {"KRX.regular": "10:00-16:30", "NXT.main": "10:00-16:20", "NXT.after": "16:30-20:00"}

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law
days = st.dates(date(2000, 1, 1), date(2028, 6, 1))


TRADING_DAYS = {
    2000: 241, 2001: 246, 2002: 244, 2003: 247, 2004: 249, 2005: 249, 2006: 247, 2007: 246, 2008: 248,
    2009: 253, 2010: 251, 2011: 248, 2012: 248, 2013: 247, 2014: 245, 2015: 248, 2016: 246, 2017: 243,
    2018: 244, 2019: 246, 2020: 248, 2021: 248, 2022: 246, 2023: 245, 2024: 244,
}  # fmt: skip
"""As many days as KRX's index has closing prices of in each year."""
FIRST_DAYS = sorted(
    [
        "2000-01-04",
        "2001-01-02",
        "2002-01-02",
        "2003-01-02",
        "2004-01-02",
        "2005-01-03",
        "2006-01-02",
        "2007-01-02",
        "2008-01-02",
        "2009-01-02",
        "2010-01-04",
        "2011-01-03",
        "2012-01-02",
        "2013-01-02",
        "2014-01-02",
        "2015-01-02",
        "2016-01-04",
        "2017-01-02",
        "2018-01-02",
        "2019-01-02",
        "2020-01-02",
        "2021-01-04",
        "2022-01-03",
        "2023-01-02",
        "2024-01-02",
    ]
)
EXAM_DAYS = sorted(
    [
        "2000-11-15",
        "2001-11-07",
        "2002-11-06",
        "2003-11-05",
        "2004-11-17",
        "2005-11-23",
        "2006-11-16",
        "2007-11-15",
        "2008-11-13",
        "2009-11-12",
        "2010-11-18",
        "2011-11-10",
        "2012-11-08",
        "2013-11-07",
        "2014-11-13",
        "2015-11-12",
        "2016-11-17",
        "2017-11-16",
        "2017-11-23",
        "2018-11-15",
        "2019-11-14",
        "2020-12-03",
        "2021-11-18",
        "2022-11-17",
        "2023-11-16",
        "2024-11-14",
    ]
)
LONG_CLOSE = "2016-08-01"
"""From then on the market closes half an hour later."""


def days_of(year: int) -> list[date]:
    return [
        date(year, 1, 1) + timedelta(number)
        for number in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]


def hours(day: date) -> dict[str, str]:
    return {
        session.name: f"{session.opens:%H:%M:%S}-{session.closes:%H:%M:%S}".replace(":00-", "-").removesuffix(
            ":00"
        )
        for session in CALENDAR.sessions(day)
    }


@pytest.mark.parametrize("year", CLOSED_WEEKDAYS)
def test_every_weekday_of_the_year_is_as_krx_has_it(year):
    closed = {day for day in days_of(year) if day.weekday() < 5 and not CALENDAR.is_trading(day)}
    assert closed == {date.fromisoformat(f"{year}-{day}") for day in CLOSED_WEEKDAYS[year].split()}


@pytest.mark.parametrize("year", TRADING_DAYS)
def test_a_year_before_has_as_many_trading_days_as_it_had(year):
    assert sum(map(CALENDAR.is_trading, days_of(year))) == TRADING_DAYS[year]


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("1999-12-28", "2000-01-04"),
        ("2000-12-26", "2001-01-02"),
        ("2001-12-28", "2002-01-02"),
        ("2005-12-29", "2006-01-02"),
        ("2007-12-28", "2008-01-02"),
        ("2011-12-29", "2012-01-02"),
        ("2015-12-30", "2016-01-04"),
        ("2016-12-29", "2017-01-02"),
        ("2022-12-29", "2023-01-02"),
        ("2023-12-28", "2024-01-02"),
    ],
)
def test_a_year_ends_and_begins_as_it_did(last, first):
    assert CALENDAR.next_trading_day(date.fromisoformat(last)) == date.fromisoformat(first)
    assert CALENDAR.previous_trading_day(date.fromisoformat(first)) == date.fromisoformat(last)


@pytest.mark.parametrize(
    "day",
    [
        "2000-01-03",  # the year 2000 problem
        "2000-12-27",
        "2000-12-28",
        "2002-07-01",  # after the World Cup
        "2006-05-31",  # local election
        "2012-04-11",  # election of the National Assembly
        "2015-08-14",  # named for one year
        "2016-05-06",  # named for one year
        "2017-05-09",  # the president's election, two months after it was called
        "2017-10-02",  # named for one year
        "2020-08-17",  # named for one year
        "2024-04-10",  # election of the National Assembly
        "2024-10-01",  # named for one year
    ],
)
def test_days_closed_once_are_closed(day):
    assert CALENDAR.closed_reason(date.fromisoformat(day))


@pytest.mark.parametrize("day", FIRST_DAYS[1:])
def test_the_first_trading_day_of_a_year_before_opened_late_and_closed_as_always(day):
    assert hours(date.fromisoformat(day)) == {
        "KRX.regular": "10:00-15:30" if day >= LONG_CLOSE else "10:00-15:00"
    }


@pytest.mark.parametrize("day", EXAM_DAYS)
def test_the_hours_of_an_exam_day_before_were_an_hour_later(day):
    """Also on 2017-11-16, when the exam had been put off the evening before."""
    assert hours(date.fromisoformat(day)) == {
        "KRX.regular": "10:00-16:30" if day >= LONG_CLOSE else "10:00-16:00"
    }


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2000-01-04", "10:00-13:00"),
        ("2000-01-05", "09:00-15:00"),
        ("2000-05-22", "09:00-15:00"),
        ("2001-09-12", "12:00-15:00"),
        ("2001-09-13", "09:00-15:00"),
        ("2016-07-29", "09:00-15:00"),
        ("2016-08-01", "09:00-15:30"),
        ("2024-12-30", "09:00-15:30"),
    ],
)
def test_the_hours_of_a_day_before_are_as_they_were(day, expected):
    assert hours(date.fromisoformat(day)) == {"KRX.regular": expected}


@pytest.mark.parametrize("year", TRADING_DAYS)
def test_all_other_days_before_had_ordinary_hours(year):
    special = {*FIRST_DAYS, *EXAM_DAYS, "2001-09-12"}
    for day in filter(CALENDAR.is_trading, days_of(year)):
        if day.isoformat() not in special:
            ends = "15:30" if day.isoformat() >= LONG_CLOSE else "15:00"
            assert hours(day) == {"KRX.regular": f"09:00-{ends}"}, day


@pytest.mark.parametrize("year", CLOSED_WEEKDAYS)
def test_weekends_are_closed_under_their_own_names(year):
    weekend = [day for day in days_of(year) if day.weekday() >= 5]
    assert [CALENDAR.closed_reason(day) for day in weekend] == [f"{day:%A}" for day in weekend]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        pytest.param("2025-01-02", {"KRX.regular": "10:00-15:30"}, id="first day of 2025, before NXT"),
        pytest.param("2025-01-03", {"KRX.regular": "09:00-15:30"}, id="before NXT"),
        pytest.param("2025-02-28", {"KRX.regular": "09:00-15:30"}, id="the last day before NXT"),
        pytest.param(
            "2025-03-04",
            {"KRX.regular": "09:00-15:30", "NXT.main": "10:00-15:20", "NXT.after": "15:40-20:00"},
            id="NXT's first day",
        ),
        pytest.param("2025-03-05", ORDINARY_2025, id="NXT's second day"),
        pytest.param("2025-11-13", CSAT, id="CSAT 2025"),
        pytest.param("2025-11-14", ORDINARY_2025, id="the day after CSAT 2025"),
        pytest.param("2026-01-02", FIRST_DAY_2026, id="first day of 2026"),
        pytest.param("2026-01-05", ORDINARY_2025, id="second day of 2026"),
        pytest.param("2026-09-11", ORDINARY_2025, id="the last day before KRX.after"),
        pytest.param("2026-09-14", ORDINARY, id="KRX.after begins"),
        pytest.param("2026-11-19", CSAT | {"KRX.after": "17:00-20:00"}, id="CSAT 2026"),
        pytest.param("2027-01-04", FIRST_DAY_2026 | {"KRX.after": "16:00-20:00"}, id="first day of 2027"),
        pytest.param("2027-11-18", CSAT | {"KRX.after": "17:00-20:00"}, id="CSAT 2027"),
        pytest.param("2026-09-25", {}, id="Chuseok"),
        pytest.param("2026-12-31", {}, id="the last day of the year"),
    ],
)
def test_the_hours_of_a_day_are_as_announced(day, expected):
    assert hours(date.fromisoformat(day)) == expected


@pytest.mark.parametrize("year", CLOSED_WEEKDAYS)
def test_all_other_days_have_ordinary_hours(year):
    special = {day for day in days_of(year) if CALENDAR.is_trading(day) and CALENDAR.special_reason(day)}
    regular = {day for day in days_of(year) if hours(day).get("KRX.regular", "09:00-15:30") != "09:00-15:30"}
    assert special - regular <= {date(2025, 3, 4)}
    assert regular <= special
    assert len(regular) == 2


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-09-26", "Saturday"),
        ("2026-09-25", "Chuseok"),
        ("2026-06-03", "Local Election Day"),
        ("2027-05-03", "Substitute for Labor Day"),
        ("2026-12-31", "End of Year Holiday"),
        ("2026-12-30", None),
    ],
    ids=str,
)
def test_a_closed_day_says_why(day, reason):
    assert CALENDAR.closed_reason(date.fromisoformat(day)) == reason


@pytest.mark.parametrize(
    ("day", "sure"),
    [
        ("2024-12-31", False),
        ("2025-01-01", True),
        ("2027-12-31", True),
        ("2028-01-01", False),
        ("1999-01-04", False),
        ("2150-01-04", False),
    ],
    ids=str,
)
def test_a_day_past_the_knowledge_is_answered_and_unsure(day, sure):
    assert CALENDAR.sure(date.fromisoformat(day)) is sure
    assert CALENDAR.is_trading(date.fromisoformat(day)) is (
        CALENDAR.closed_reason(date.fromisoformat(day)) is None
    )


def test_the_first_trading_day_opens_late_past_the_knowledge_too():
    assert CALENDAR.sessions(date(2028, 1, 3))[0].opens == datetime(2028, 1, 3, 10, tzinfo=KST)


@pytest.mark.parametrize(
    ("at", "names"),
    [
        ("2026-11-20T07:59:59", []),
        ("2026-11-20T08:00:00", ["NXT.pre"]),
        ("2026-11-20T08:50:00", []),
        ("2026-11-20T09:00:29", ["KRX.regular"]),
        ("2026-11-20T09:00:30", ["KRX.regular", "NXT.main"]),
        ("2026-11-20T15:20:00", ["KRX.regular"]),
        ("2026-11-20T15:30:00", []),
        ("2026-11-20T19:59:59", ["NXT.after", "KRX.after"]),
        ("2026-11-21T10:00:00", []),
    ],
    ids=str,
)
def test_a_session_is_open_from_its_opening_on_and_no_more_at_its_closing(at, names):
    instant = datetime.fromisoformat(at).replace(tzinfo=KST).astimezone(UTC)
    assert [session.name for session in CALENDAR.open_sessions(instant)] == names


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        CALENDAR.open_sessions(datetime(2026, 11, 20, 10))


def test_the_trading_days_around_chuseok_are_found():
    assert CALENDAR.next_trading_day(date(2026, 9, 23)) == date(2026, 9, 28)
    assert CALENDAR.previous_trading_day(date(2026, 9, 28)) == date(2026, 9, 23)


@unhurried
@given(days)
def test_no_trading_day_lies_between_a_day_and_the_next_one(day):
    following = CALENDAR.next_trading_day(day)
    between = range(1, (following - day).days)
    assert CALENDAR.is_trading(following)
    assert not any(CALENDAR.is_trading(day + timedelta(number)) for number in between)
    assert CALENDAR.previous_trading_day(following) <= day or CALENDAR.is_trading(day)


@unhurried
@given(days)
def test_a_venue_has_one_session_at_a_time_and_all_of_them_on_its_day(day):
    for venue in ("KRX", "NXT"):
        found = [session for session in CALENDAR.sessions(day) if session.name.startswith(venue)]
        ends = [edge for session in found for edge in (session.opens, session.closes)]
        assert ends == sorted(set(ends))
        assert {edge.date() for edge in ends} <= {day}


@unhurried
@given(days, st.sampled_from(SESSIONS))
def test_a_session_exists_only_on_trading_days_from_its_beginning_on(day, name):
    if CALENDAR.session(day, name):
        assert CALENDAR.is_trading(day)
        assert day >= CALENDAR.begins(name)


KNOWN = "known: {from: 2025-01-01, until: 2027-12-31}\n"
SESSION = "sessions: {KRX.regular: {2016-08-01: 09:00-15:30}}\n"


def made_of(text: str, **holidays: str) -> Calendar:
    """A calendar of a table's text, with holidays such as d20260925="Chuseok" in place of the package's."""
    closures = {date.fromisoformat(day.removeprefix("d")): reason for day, reason in holidays.items()}
    return Calendar(calendar.load(text.encode(), "c.yaml").table, lambda year: closures)


def test_the_table_closes_a_day_that_the_package_does_not_know():
    made = made_of(f"{KNOWN}{SESSION}closed: {{2026-11-23: National mourning}}")
    assert made.closed_reason(date(2026, 11, 23)) == "National mourning"
    assert made.sessions(date(2026, 11, 23)) == ()


def test_the_table_opens_a_day_that_the_package_has_closed():
    made = made_of(f"{KNOWN}{SESSION}open: {{2026-09-25: The holiday was moved}}", d20260925="Chuseok")
    assert made.closed_reason(date(2026, 9, 25)) is None
    assert made.session(date(2026, 9, 25), "KRX.regular")


def test_a_session_that_the_table_does_not_name_never_begins():
    made = made_of(KNOWN + SESSION)
    assert (made.begins("NXT.pre"), made.session(date(2026, 11, 23), "NXT.pre")) == (None, None)


def test_hours_closed_from_a_date_on_end_a_session():
    made = made_of(f"{KNOWN}sessions: {{NXT.pre: {{2025-03-04: 08:00-08:50, 2026-11-23: closed}}}}")
    assert made.session(date(2026, 11, 20), "NXT.pre")
    assert made.session(date(2026, 11, 23), "NXT.pre") is None


TWO = "sessions: {KRX.regular: {2025-01-01: 09:00-15:30}, NXT.pre: {2025-03-04: 08:00-08:50}}\n"


def test_a_day_with_hours_of_its_own_leaves_the_other_sessions_as_they_are():
    made = made_of(f"{KNOWN}{TWO}hours: {{2026-11-19: {{reason: exam, KRX.regular: 10:00-16:30}}}}")
    day = date(2026, 11, 19)
    assert [(session.name, session.opens.hour) for session in made.sessions(day)] == [
        ("NXT.pre", 8),
        ("KRX.regular", 10),
    ]
    assert made.special_reason(day) == "exam"


def test_the_first_day_of_the_year_changes_only_what_is_said_and_opens_nothing_that_is_not_there_yet():
    text = f"{KNOWN}{TWO}first_trading_day: {{NXT.pre: 09:00-09:50}}"
    made = made_of(text, d20250101="New Year", d20260101="New Year")
    hours = {
        day.year: [(session.name, session.opens.hour) for session in made.sessions(day)]
        for day in (date(2025, 1, 2), date(2026, 1, 2))
    }
    assert hours == {2025: [("KRX.regular", 9)], 2026: [("KRX.regular", 9), ("NXT.pre", 9)]}
    assert made.special_reason(date(2026, 1, 2)) == "first trading day of the year"


def test_a_table_may_know_a_single_day_and_have_sections_with_nothing_in_them():
    made = made_of(f"known: {{from: 2026-11-20, until: 2026-11-20}}\n{TWO}closed:\nopen:\nhours:\n")
    assert made.sure(date(2026, 11, 20))


def test_the_first_trading_day_may_have_other_hours_from_a_date_on():
    text = f"{KNOWN}{SESSION}first_trading_day: {{KRX.regular: {{2026-01-01: 11:00-15:30}}}}"
    made = made_of(text, d20250101="New Year", d20260101="New Year")
    assert [made.sessions(date(year, 1, 2))[0].opens.hour for year in (2025, 2026)] == [9, 11]


def over(text: str) -> Calendar:
    """A partial table of one's own over the shipped one."""
    return calendar.load(text.encode(), "own.yaml", CALENDAR)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "closed:\nopen:\nhours:\nsessions:\nknown:\n"])
def test_a_partial_table_with_nothing_in_it_changes_nothing(text):
    assert over(text).table == CALENDAR.table


def test_one_closure_of_ones_own_is_enough():
    made = over("closed: {2026-11-23: National mourning}")
    assert made.closed_reason(date(2026, 11, 23)) == "National mourning"
    assert made.sessions(date(2026, 11, 24)) == CALENDAR.sessions(date(2026, 11, 24))
    assert (made.coverage_start, made.coverage_end) == (CALENDAR.coverage_start, CALENDAR.coverage_end)


@pytest.mark.parametrize(
    ("text", "day", "expected"),
    [
        pytest.param("closed: {2026-11-19: Moved}", "2026-11-19", {}, id="a day with hours of its own"),
        pytest.param("open: {2027-05-03: Open}", "2027-05-03", ORDINARY, id="a closure of the shipped table"),
        pytest.param("open: {2026-09-25: Open}", "2026-09-25", ORDINARY, id="a holiday of the package"),
        pytest.param(
            "hours: {2026-11-19: {reason: exam, NXT.pre: closed}}",
            "2026-11-19",
            {name: span for name, span in ORDINARY.items() if name != "NXT.pre"},
            id="a day's hours as a whole",
        ),
        pytest.param(
            "sessions: {KRX.regular: {2026-11-23: 08:00-15:30}}",
            "2026-11-23",
            ORDINARY | {"KRX.regular": "08:00-15:30"},
            id="other hours from a date on",
        ),
        pytest.param(
            "sessions: {KRX.regular: {2026-11-23: 08:00-15:30}}",
            "2026-11-20",
            ORDINARY,
            id="and not before",
        ),
        pytest.param(
            "first_trading_day: {KRX.regular: 11:00-15:30}",
            "2026-01-02",
            FIRST_DAY_2026 | {"KRX.regular": "11:00-15:30"},
            id="another first day",
        ),
        pytest.param(
            "first_trading_day: {KRX.regular: {2027-01-01: 09:30-15:30}}",
            "2026-01-02",
            FIRST_DAY_2026,
            id="another first day from next year on",
        ),
    ],
)
def test_ones_own_table_wins_where_it_says_something(text, day, expected):
    made = over(text)
    found = {
        session.name: f"{session.opens:%H:%M:%S}-{session.closes:%H:%M:%S}".replace(":00-", "-").removesuffix(
            ":00"
        )
        for session in made.sessions(date.fromisoformat(day))
    }
    assert found == expected


def test_ones_own_table_may_know_further():
    assert over("known: {until: 2028-12-31}").sure(date(2028, 6, 1))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("known: {until: 1999-12-31}", "own.yaml:1: `until` lies before `from`"),
        ("closed: {2026-02-28: A day off}", "own.yaml:1: 2026-02-28 is a Saturday"),
        ("hours: {2026-02-27: {NXT.pre: closed}}", "own.yaml:1: `reason` is missing"),
        ("closure: {2026-02-27: A day off}", "own.yaml:1: 'closure'; use known, sessions"),
    ],
)
def test_a_partial_table_is_held_to_the_same_rules(text, complaint):
    with pytest.raises(ConfigError) as refusal:
        over(text)
    assert str(refusal.value).startswith(complaint)


def test_the_example_of_ones_own_table_closes_one_day_and_says_nothing_else():
    made = over(resources.path("config", "calendar.example.yaml").read_text(encoding="utf-8"))
    day = date(2028, 11, 3)
    assert (CALENDAR.is_trading(day), made.is_trading(day)) == (True, False)
    assert made.table == replace(CALENDAR.table, closed=made.table.closed)
    assert made.table.closed.items() - CALENDAR.table.closed.items() == {
        (day, "Announced by KRX after this program was released")
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            f"{KNOWN}{SESSION}closed:\n  2026-02-30: A day too many",
            "c.yaml:4: '2026-02-30' is not a date; use YYYY-MM-DD, a day that exists",
            id="impossible date",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}closed:\n  20260227: In another form",
            "c.yaml:4: '20260227' is not a date; use YYYY-MM-DD, a day that exists",
            id="date in another form",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}closed:\n  2026-02-28: A day off",
            "c.yaml:4: 2026-02-28 is a Saturday and closed anyway; use a day from Monday to Friday",
            id="weekend",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}closed:\n  2026-02-27:\n",
            "c.yaml:4: nothing; use a text",
            id="closure without a reason",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}closed: {{2026-02-27: A day off}}\nhours:\n  2026-02-27:\n    reason: none\n",
            "c.yaml:3: 2026-02-27 is closed here and open elsewhere in the file; remove one of them",
            id="closed and open",
        ),
        pytest.param(
            f"{KNOWN}sessions:\n  KRX.pre: {{2026-01-01: 07:00-08:00}}",
            "c.yaml:3: 'KRX.pre' is not a session; use KRX.regular, KRX.after, NXT.pre, NXT.main, NXT.after",
            id="unknown session",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}hours:\n  2026-02-27:\n    reason: why\n    NXT.pre: 08:00-07:00",
            "c.yaml:6: '08:00-07:00' is not a range of hours; use HH:MM-HH:MM or HH:MM:SS-HH:MM:SS, "
            "closing later than opening, or closed",
            id="hours the wrong way round",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}hours:\n  2026-02-27:\n    reason: why\n    NXT.pre: 08:00-08:00",
            "c.yaml:6: '08:00-08:00' is not a range of hours",
            id="hours of no length",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}hours:\n  2026-02-27:\n    reason:\n    NXT.pre: closed",
            "c.yaml:5: nothing; use a text",
            id="special hours without words",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}hours:\n  2026-02-27: 08:00-09:00",
            "c.yaml:4: '08:00-09:00'; use a mapping",
            id="special hours of no session",
        ),
        pytest.param(
            f"{KNOWN}sessions:\n  NXT.pre: 08:00-08:50",
            "c.yaml:3: '08:00-08:50'; use a mapping",
            id="hours without a date",
        ),
        pytest.param(
            f"{KNOWN}sessions:\n  NXT.pre:\n    2026-01-01: 08-09",
            "c.yaml:4: '08-09' is not a range of hours",
            id="hours in another form",
        ),
        pytest.param(
            f"{KNOWN}sessions:\n  NXT.pre:\n    2026-01-01:\n",
            "c.yaml:4: nothing; use a text",
            id="no hours",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}first_trading_day:\n  KRX.regular: 10:00-24:00",
            "c.yaml:4: '10:00-24:00' is not a range of hours; use HH:MM-HH:MM or HH:MM:SS-HH:MM:SS, "
            "closing later than opening, or closed",
            id="impossible hour",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}hours:\n  2026-02-27:\n    NXT.pre: closed",
            "c.yaml:5: `reason` is missing",
            id="special hours without a reason",
        ),
        pytest.param(
            f"{KNOWN}sessions:\n  NXT.pre:\n    2026-01-01: closed\n    2025-03-04: 08:00-08:50",
            "c.yaml:3: dates out of order; put the earliest first",
            id="dates out of order",
        ),
        pytest.param(
            f"{KNOWN}{SESSION}holidays: {{}}",
            "c.yaml:3: 'holidays'; use known, sessions, first_trading_day, closed, open, hours",
            id="unknown section",
        ),
        pytest.param(f"{KNOWN}{SESSION}closed: [2026-02-27]", "c.yaml:3: a list; use a mapping", id="list"),
        pytest.param(
            f"known:\n  from: 2025-01-01\n  until: 2024-01-01\n{SESSION}",
            "c.yaml:3: `until` lies before `from`; use a later date",
            id="until before from",
        ),
        pytest.param(
            f"known: {{from: 2025-01-01}}\n{SESSION}", "c.yaml:1: `until` is missing", id="no until"
        ),
        pytest.param(KNOWN, "c.yaml:1: no hours under `sessions`", id="no sessions"),
        pytest.param(f"{KNOWN}{KNOWN}", "c.yaml:2: the key 'known' again", id="a key twice"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_line(text, complaint):
    with pytest.raises(ConfigError) as refusal:
        calendar.load(text.encode(), "c.yaml")
    assert str(refusal.value).startswith(complaint)


PRINT_2026 = """
from datetime import date, timedelta
from collector.market import calendar
from collector.base import resources
path = resources.path("config", "calendar.yaml")
known = calendar.load(path.read_bytes(), "c.yaml")
for day in (date(2026, 1, 1) + timedelta(n) for n in range(365)):
    print(day, ascii(known.closed_reason(day)), [(s.name, s.opens.isoformat()) for s in known.sessions(day)])
"""


"""`test_three_years_of_slots_are_the_same_in_new_york_in_korean_and_in_another_process` has both at once."""


def printed(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.extended
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"TZ": "America/New_York"}),
        {"TZ": "Pacific/Kiritimati", "PYTHONTZPATH": ""},
        pytest.param({"LANG": "ko_KR.UTF-8", "LANGUAGE": "ko", "LC_ALL": "ko_KR.UTF-8"}),
    ],
    ids=["New York", "Kiritimati without tzdata", "Korean"],
)
def test_the_host_has_no_say_in_the_calendar(environment):
    assert printed(PRINT_2026, **environment) == printed(PRINT_2026, TZ="Asia/Seoul", LANG="C")


def test_the_package_of_holidays_is_imported_only_when_it_is_asked():
    code = "import sys; from collector.market import calendar, schedule; print('holidays' in sys.modules)"
    assert printed(code) == "False\n"
