"""Lengths of time as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.base import duration

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        (" 5m ", timedelta(minutes=5)),
        ("0s", timedelta()),
        ("007d", timedelta(days=7)),
        ("999999999d", timedelta(days=999_999_999)),
    ],
)
def test_a_number_and_a_unit_are_a_length_of_time(text, span):
    assert duration.parse(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        "5M",
        "5min",
        "-5m",
        "+5m",
        "1.5h",
        "1h30m",
        "5m5",
        "٥m",
        "５m",
        "1_0s",
        "1e3s",
        "9999999999s",
    ],
)
def test_anything_else_is_refused_and_told_what_is_allowed(text):
    with pytest.raises(ValueError, match="500ms, 10s, 5m, 2h, 7d"):
        duration.parse(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "0ms"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(seconds=90), "90s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(minutes=60), "1h"),
        (timedelta(hours=48), "2d"),
    ],
)
def test_a_length_of_time_is_shown_in_its_largest_whole_unit(span, text):
    assert duration.show(span) == text


@unhurried
@given(st.integers(0, 10**9 - 1), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_what_is_shown_reads_back_as_the_same(number, unit):
    span = duration.parse(f"{number}{unit}")
    assert duration.parse(duration.show(span)) == span
    assert len(duration.show(span)) <= len(f"{number}{unit}") + 1
