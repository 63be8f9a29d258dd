"""When to ask again and when to stop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.kiwoom.retry import ATTEMPTS, CircuitBreaker, RetryBudget, backoff

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 20.0), (60, 20.0)]
)
def test_the_wait_before_the_next_attempt_doubles_up_to_a_bound(attempt, longest):
    assert [backoff(attempt, chance) for chance in (0.0, 0.5)] == [0.0, longest / 2]
    assert longest - 0.01 < backoff(attempt, 0.9999) < longest


def test_a_page_is_asked_three_times():
    assert ATTEMPTS == 3


def test_a_sweep_may_retry_ten_times_and_once_more_for_every_ten_requests():
    budget = RetryBudget()
    assert [budget.spend() for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(9):
        budget.count_request()
    assert not budget.spend()
    budget.count_request()
    assert [budget.spend(), budget.spend()] == [True, False]


@unhurried
@given(st.lists(st.booleans(), max_size=300))
def test_retries_never_pass_a_tenth_of_the_requests_and_the_floor(asked):
    budget = RetryBudget()
    for retry in asked:
        if retry:
            budget.spend()
        else:
            budget.count_request()
        assert budget.retries <= 10 + budget.requests // 10


def away(breaker: CircuitBreaker, now: float, times: int = 5) -> None:
    for _ in range(times):
        breaker.record(now, away=True)


def test_four_failures_in_a_row_stop_nobody():
    breaker = CircuitBreaker(60)
    away(breaker, 0, 4)
    assert (breaker.is_open, breaker.wait(0)) == (False, 0)


def test_a_refusal_between_failures_shows_that_somebody_is_there():
    breaker = CircuitBreaker(60)
    for _ in range(10):
        away(breaker, 0, 4)
        breaker.record(0, away=False)
    assert not breaker.is_open


def test_after_an_answer_an_outage_begins_anew():
    breaker = CircuitBreaker(60)
    away(breaker, 0, 7)
    breaker.record(100, away=False)
    away(breaker, 200, 1)
    away(breaker, 205, 3)
    assert not breaker.is_open
    breaker.record(210, away=True)
    assert breaker.wait(210) == 1.0
    breaker.wait(211)
    assert [breaker.wait(now) is None for now in (260, 260.5)] == [False, True]


def test_the_fifth_failure_in_a_row_stops_everybody():
    breaker = CircuitBreaker(60)
    away(breaker, 100)
    assert breaker.is_open
    assert [breaker.wait(now) for now in (100, 100.25)] == [1.0, 0.75]


def test_one_request_probes_while_the_others_wait():
    breaker = CircuitBreaker(60)
    away(breaker, 0)
    assert breaker.wait(1) == 0
    assert all(breaker.wait(now) for now in (1, 2, 5))


def test_a_probe_that_is_answered_lets_everybody_go():
    breaker = CircuitBreaker(60)
    away(breaker, 0)
    breaker.wait(1)
    breaker.record(1.1, away=False)
    breaker.release_probe()
    assert [breaker.wait(1.1) for _ in range(3)] == [0, 0, 0]


def test_each_probe_that_fails_doubles_the_pause_up_to_half_a_minute():
    breaker, now, pauses = CircuitBreaker(1000), 0.0, []
    away(breaker, now, 4)
    for _ in range(8):
        breaker.record(now, away=True)
        breaker.release_probe()
        pauses.append(breaker.wait(now))
        now += pauses[-1]
        assert breaker.wait(now) == 0
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_an_outage_that_outlasts_the_patience_is_not_waited_for():
    breaker = CircuitBreaker(60)
    away(breaker, 0)
    breaker.wait(1)
    assert breaker.wait(30) is not None
    breaker.record(55, away=True)
    breaker.release_probe()
    assert breaker.wait(56) == pytest.approx(1)
    assert breaker.wait(56.5) == pytest.approx(0.5)
    breaker.wait(57)
    assert breaker.wait(61) is None


def test_a_probe_goes_out_even_after_the_patience_has_ended():
    """A program that lives on must find out some day that the API is back."""
    breaker = CircuitBreaker(60)
    away(breaker, 0)
    assert breaker.wait(500) == 0
    assert breaker.wait(500) is None


def test_a_probe_that_never_reports_does_not_stop_everybody_for_ever():
    breaker = CircuitBreaker(1000)
    away(breaker, 0)
    assert breaker.wait(1) == 0
    assert breaker.wait(30) > 0
    assert breaker.wait(31) == 0


EVENTS = st.lists(st.tuples(st.sampled_from(["ask", "away", "here"]), st.floats(0, 20)), max_size=60)


@unhurried
@given(EVENTS)
def test_while_it_is_open_one_probe_at_a_time_is_under_way(events):
    breaker, now, sent = CircuitBreaker(10_000), 0.0, None
    away(breaker, now)
    for event, seconds in events:
        now += seconds
        if event == "ask" and breaker.is_open:
            goes = breaker.wait(now) == 0
            assert not (goes and sent is not None and now - sent < 30)
            sent = now if goes else sent
        elif sent is not None:
            breaker.record(now, away=event == "away")
            breaker.release_probe()
            sent = None
