"""Which days a period has, when a bar is final, and what an exchange still shows."""

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from collector.backfill.period import over_at, parse_period
from collector.errors import ConfigError
from collector.market.visibility import closings, is_disturbed, visible_day, visible_until
from collector.model import KST, Exchange
from tests.support.bar_histories import CALENDAR, NOW

KRX, NXT, CONSOLIDATED = Exchange


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """An instant of November 2026, KST; the 20th is a Friday, the 19th the day of the CSAT."""
    return datetime(2026, 11, day, hour, minute, second, tzinfo=KST)


MONDAY_MORNING = at(23, 9)


def test_a_period_has_the_trading_days_that_are_over():
    period = parse_period(date(2026, 11, 14), date(2026, 11, 22), CALENDAR, NOW)
    assert period.days == tuple(date(2026, 11, day) for day in range(16, 21))
    assert (period.pending, period.newest) == ((), date(2026, 11, 20))


def test_the_day_that_is_not_over_is_pending_until_the_last_session_of_the_krx_ends():
    first, last = date(2026, 11, 19), date(2026, 11, 20)
    during = parse_period(first, last, CALENDAR, at(20, 19, 59))
    assert during.pending == ((last, at(20, 20)),)
    assert (during.days, during.newest) == ((first,), first)
    assert parse_period(first, last, CALENDAR, at(20, 20)).days == (first, last)


def test_before_there_was_an_after_market_a_day_was_over_at_its_close():
    assert over_at(CALENDAR, date(2025, 6, 2)) == datetime(2025, 6, 2, 15, 30, tzinfo=KST)


def test_where_no_hours_are_known_a_day_is_over_at_midnight():
    assert over_at(CALENDAR, date(1990, 2, 1)) == datetime(1990, 2, 2, tzinfo=KST)


def test_hours_of_2000_end_at_three_and_the_third_of_january_was_closed():
    assert over_at(CALENDAR, date(2000, 2, 1)) == datetime(2000, 2, 1, 15, tzinfo=KST)
    assert len(parse_period(date(2000, 1, 2), date(2000, 1, 14), CALENDAR, NOW).days) == 9


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        pytest.param(date(2026, 11, 20), date(2026, 11, 1), "ends on 2026-11-01, before it begins", id="reversed"),
        pytest.param(date(2026, 11, 20), date(2026, 11, 24), "in the future: it is 2026-11-22", id="future"),
        pytest.param(date(2026, 11, 21), date(2026, 11, 22), "no trading day: 2026-11-21 Saturday", id="a weekend"),
        pytest.param(date(2026, 9, 24), date(2026, 9, 25), "no trading day", id="a holiday"),
    ],
)  # fmt: skip
def test_a_period_that_cannot_have_been_meant_is_refused_in_words(first, last, words):
    with pytest.raises(ConfigError, match=words) as refused:
        parse_period(first, last, CALENDAR, NOW)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("exchange", "slot", "until"),
    [
        pytest.param(KRX, at(20, 15, 29), None, id="KRX, in its session"),
        pytest.param(KRX, at(20, 15, 30), MONDAY_MORNING, id="KRX, at its close"),
        pytest.param(KRX, at(20, 17), None, id="KRX, in its after-market"),
        pytest.param(KRX, at(20, 20), MONDAY_MORNING, id="KRX, in the evening"),
        pytest.param(KRX, at(22, 12), MONDAY_MORNING, id="KRX, on Sunday"),
        pytest.param(KRX, at(20, 8), at(20, 9), id="KRX, before it opens"),
        pytest.param(KRX, at(18, 20), at(19, 10), id="KRX, before the CSAT"),
        pytest.param(NXT, at(20, 15, 30), at(20, 15, 40), id="NXT, between two of its sessions"),
        pytest.param(NXT, at(20, 20), at(23, 8), id="NXT, in the evening"),
        pytest.param(CONSOLIDATED, at(20, 15, 30), at(20, 15, 40), id="consolidated, at KRX's close"),
        pytest.param(CONSOLIDATED, at(20, 15, 25), None, id="consolidated, KRX alone is open"),
        pytest.param(CONSOLIDATED, at(20, 20), at(23, 8), id="consolidated, in the evening"),
    ],
)
def test_the_final_state_is_shown_until_the_next_session_opens(exchange, slot, until):
    assert visible_until(CALENDAR, exchange, slot) == until


@pytest.mark.parametrize(
    ("now", "disturbed"),
    [(at(20, 15, 59), False), (at(20, 16), True), (at(22, 12), True)],
    ids=["before the after-market", "in it", "after it"],
)
def test_the_after_market_may_have_changed_what_krx_shows(now, disturbed):
    assert is_disturbed(CALENDAR, KRX, at(20, 15, 40), now) is disturbed


def test_what_was_seen_in_the_evening_nothing_has_disturbed():
    assert not is_disturbed(CALENDAR, KRX, at(20, 20), at(22, 12))


@pytest.mark.parametrize(
    ("instant", "day"),
    [(at(20, 8, 59), 19), (at(20, 9), 20), (at(22, 12), 20), (at(19, 9, 30), 18), (at(19, 10), 19)],
    ids=["before the opening", "after it", "Sunday", "before the CSAT opening", "after that"],
)
def test_prices_are_of_the_last_day_that_has_opened(instant, day):
    assert visible_day(CALENDAR, instant) == date(2026, 11, day)


def test_a_closing_stands_until_the_after_market_and_is_shown_until_the_next_day():
    [found] = closings(CALENDAR, [date(2026, 11, 20)])
    assert found == (date(2026, 11, 20), at(20, 15, 30), at(20, 16), MONDAY_MORNING)


def test_closings_are_in_order_and_each_ends_before_the_next():
    days = parse_period(date(2025, 1, 2), date(2026, 11, 20), CALENDAR, NOW).days
    found = list(closings(CALENDAR, days))
    assert [each.day for each in found] == list(days)
    assert all(one.shown_until <= other.closes for one, other in pairwise(found))
    assert all(timedelta(0) < each.shown_until - each.closes for each in found)
