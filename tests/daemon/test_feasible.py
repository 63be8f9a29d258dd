"""What sweeps come to, when they will have ended, and which schedules do not fit the quota."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model import KST
from collector.sweep.estimate import Due, find_overrun, list_completions, megabytes

NINE = datetime(2026, 11, 23, 9, tzinfo=KST)


def due(schedule: str, *minutes: float) -> list[Due]:
    return [Due(NINE + timedelta(minutes=at), schedule) for at in minutes]


def ended(plan, requests, per_second):
    """Minutes after nine at which each sweep ends."""
    return [
        (end.due.schedule, round((end.at - NINE).total_seconds() / 60, 3))
        for end in list_completions(sorted(plan), requests, per_second)
    ]


@pytest.mark.parametrize(
    ("plan", "requests", "per_second", "expected"),
    [
        ([], {}, 5, []),
        (due("a", 0, 5), {"a": 300}, 5, [("a", 1), ("a", 6)]),
        (due("a", 0) + due("b", 0), {"a": 300, "b": 300}, 5, [("a", 2), ("b", 2)]),
        (due("a", 0) + due("b", 0.5), {"a": 300, "b": 75}, 5, [("b", 1), ("a", 1.25)]),
        (due("a", 0, 5), {"a": 300}, 0, [("a", 0), ("a", 5)]),
        (due("a", 0) + due("b", 0), {"a": 300, "b": 75}, 0, [("a", 0), ("b", 0)]),
    ],
    ids=["nothing", "in turn", "two at once", "a short one meanwhile", "no quota", "no quota, two at once"],
)
def test_sweeps_that_run_together_share_the_quota(plan, requests, per_second, expected):
    assert ended(plan, requests, per_second) == expected


def test_a_sweep_that_is_longer_than_its_interval_clashes():
    found = find_overrun(due("a", 0, 1, 2), {"a": 530}, 5)
    # 300 requests alone, 150 beside a second one, and the last 80 beside two others.
    ends, next_at = NINE + timedelta(seconds=60 + 60 + 48), NINE + timedelta(minutes=1)
    assert found == (due("a", 0)[0], ends, next_at)


def test_two_that_fit_alone_and_not_together_clash():
    plan = sorted(due("a", 0, 1, 2) + due("b", 0, 1, 2))
    assert find_overrun(plan, {"a": 200, "b": 10}, 5) is None
    assert find_overrun(plan, {"a": 200, "b": 150}, 5) is not None


def test_a_sweep_that_ends_as_its_next_slot_falls_due_fits():
    assert find_overrun(due("a", 0, 1, 2), {"a": 300}, 5) is None


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")), max_size=30),
    st.integers(1, 500),
    st.integers(1, 20),
)
def test_every_sweep_ends_once_and_the_quota_is_never_exceeded(starts, requests, per_second):
    plan = sorted({Due(NINE + timedelta(minutes=at), name) for at, name in starts})
    found = list(list_completions(plan, dict.fromkeys("abc", requests), per_second))
    assert sorted(end.due for end in found) == plan
    assert all(end.at >= end.due.at for end in found)
    if found:
        span = (max(end.at for end in found) - plan[0].at).total_seconds()
        assert len(plan) * requests <= span * per_second + 1e-3


def test_a_million_rows_take_95_megabytes():
    assert (megabytes(1_000_000, 1), megabytes(1_000, 10)) == (95.0, 0.95)


def test_a_year_of_the_boards_every_five_minutes_is_thirteen_gigabytes():
    assert round(megabytes(7_122, 79 * 245)) == 13_095
