"""Days as people write them."""

from datetime import date

import pytest

from collector.base.day_text import parse_day

TODAY = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("20261120", date(2026, 11, 20)),
        ("today", TODAY),
        ("Today", TODAY),
        ("yesterday", date(2026, 3, 1)),
        ("-5d", date(2026, 2, 25)),
        ("-0d", TODAY),
        ("20240229", date(2024, 2, 29)),
    ],
)
def test_a_day_is_read(text: str, day: date) -> None:
    assert parse_day(text, TODAY) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "20261",
        "2026-1-2",
        "20260229",
        "2026-02-30",
        "5d",
        "+5d",
        "-5",
        "-99999d0",
        "2026/11/20",
        "２０２６1120",
    ],
)
def test_what_is_no_day_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date; use YYYY-MM-DD, YYYYMMDD, today, yesterday or -5d"):
        parse_day(text, TODAY)


def test_a_day_before_the_first_one_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a date"):
        parse_day("-99999d", date(1, 1, 3))
