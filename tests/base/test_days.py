"""Day bounds and day ranges in Korean time."""

from datetime import UTC, date, datetime, timedelta

import pytest

from collector.base.days import day_bounds, day_start, days_between, days_through

DAY = date(2026, 11, 16)


def test_day_starts_at_midnight_in_korea():
    assert day_start(DAY) == datetime(2026, 11, 15, 15, tzinfo=UTC)


@pytest.mark.parametrize("day", [DAY, date(2026, 12, 31), date(2028, 2, 28), date(1999, 12, 31)])
def test_day_bounds_join_without_gap(day):
    start, end = day_bounds(day)
    assert end - start == timedelta(hours=24)
    assert day_bounds(end.date())[0] == end
    assert end.utcoffset() == timedelta(hours=9)


def test_day_range_excludes_its_end():
    assert list(days_between(date(2028, 2, 28), date(2028, 3, 1))) == [date(2028, 2, 28), date(2028, 2, 29)]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (DAY - timedelta(days=1), []),
        (DAY, [DAY]),
        (DAY + timedelta(days=1), [DAY, DAY + timedelta(days=1)]),
    ],
)
def test_inclusive_day_range(last, expected):
    assert list(days_through(DAY, last)) == expected


def test_reversed_day_range_is_empty():
    assert list(days_between(DAY, DAY - timedelta(days=3))) == []
