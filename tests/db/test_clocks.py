"""Which clock is wrong, and by how much, in words."""

from datetime import UTC, datetime, timedelta

import pytest

from collector.db.clocks import ClockReadings, Comparison, length, why_kept, why_unsure, why_wrong

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
S, M, H, D = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.mark.parametrize(
    ("asked", "answered", "ahead"),
    [
        (0 * S, 1 * S, 0 * S),
        (-1 * S, 1 * S, 0 * S),
        (3 * S, 4 * S, 3 * S),
        (-4 * S, -3 * S, -3 * S),
        (-1 * S, 30 * D, 0 * S),
        (30 * D, 30 * D + 10 * S, 30 * D),
    ],
)
def test_a_round_trip_is_no_difference(asked, answered, ahead):
    comparison = Comparison(NOW + asked, NOW, NOW + answered)
    assert comparison.ahead == ahead
    assert comparison.is_apart is (ahead > 5 * S)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (456 * D, "456 days"),
        (1 * D, "1 day"),
        (9 * H, "9 hours"),
        (90 * M, "2 hours"),
        (1 * M, "1 minute"),
        (7 * S, "7 seconds"),
        (0 * S, "0 seconds"),
    ],
)
def test_a_length_is_told_in_its_largest_unit(span, words):
    assert length(span) == words


@pytest.mark.parametrize(
    ("host", "database", "api", "words"),
    [
        (0 * D, 0 * D, 0 * D, ""),
        (4 * S, 0 * S, 50 * S, ""),
        (0 * D, 0 * D, None, ""),
        (
            365 * D,
            0 * D,
            0 * D,
            "this machine's clock is 365 days ahead of the database and of the answer's Date",
        ),
        (-2 * D, 0 * D, 0 * D, "this machine's clock is 2 days behind the database and the answer's Date"),
        (9 * H, 0 * H, None, "this machine's clock is 9 hours ahead of the database"),
        (0 * D, 3 * D, 0 * D, "the database's clock is 3 days ahead of this machine's and the answer's Date"),
        (
            9 * H,
            9 * H,
            0 * H,
            "the clocks of this machine and the database are 9 hours ahead of the answer's Date",
        ),
    ],
)
def test_the_clock_that_stands_alone_is_the_wrong_one(host, database, api, words):
    assert why_wrong(NOW + host, NOW + database, None if api is None else NOW + api) == words


def test_an_old_walk_stops_what_runs_by_itself_and_not_what_an_operator_asks_for():
    paused = ClockReadings(NOW, NOW, NOW - 30 * D)
    assert why_kept(paused) != ""
    assert why_unsure(paused) == ""
    assert (
        why_unsure(ClockReadings(NOW, NOW, NOW + 2 * D)) == "the newest stored walk lies 2 days in the future"
    )
