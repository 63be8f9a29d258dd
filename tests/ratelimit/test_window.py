"""The sliding window: with full caution and a known shortest round trip, no second holds a request too many."""

from bisect import bisect_left
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ratelimit.clock_offset import ClockOffset
from collector.ratelimit.rtt import TRUSTED_AFTER, MinRttEstimator
from collector.ratelimit.window import COOLDOWN, free_after
from tests.support.quota_model import most_in_a_second

unhurried = settings(deadline=None, max_examples=60)  # how fast a shared machine is at the moment is no law


def arrivals(places: int, trips: list[tuple[float, float]]) -> list[float]:
    """When the server sees requests that are sent as soon as a place is free, in virtual time.

    Each trip is the seconds there and the seconds back (the server's own work among them).
    """
    seen: list[float] = []
    round_trips, left, ticket = MinRttEstimator(), iter(trips), count()
    events: list[tuple[float, int, float | None]] = [(0.0, next(ticket), None) for _ in range(places)]
    while events:
        now, _, sent = heappop(events)
        if sent is not None:  # an answer
            round_trips.add_sample(now - sent)
            after = free_after(0, round_trips.lower_bound()).total_seconds()
            heappush(events, (now + after, next(ticket), None))
        elif trip := next(left, None):  # a free place
            seen.append(now + trip[0])
            heappush(events, (now + sum(trip), next(ticket), now))
    return sorted(seen)


ROADS = st.tuples(st.floats(0, 0.2), st.floats(0, 0.2))
JITTER = st.one_of(st.just(0.0), st.floats(0, 0.05), st.floats(0, 2))
JITTERS = st.lists(st.tuples(JITTER, JITTER), min_size=1, max_size=120)


@unhurried
@given(st.integers(1, 8), ROADS, JITTERS)
def test_no_second_at_the_server_holds_more_than_the_quota(places, road, jitters):
    """The quickest trip is taken first: from then on what is trusted is less than any later way back and there."""
    trips = [road, *((road[0] + there, road[1] + back) for there, back in jitters)]
    assert most_in_a_second(arrivals(places, trips)) <= places


@unhurried
@given(st.integers(1, 8), st.lists(st.tuples(JITTER, JITTER), min_size=1, max_size=TRUSTED_AFTER - 1))
def test_before_round_trips_are_trusted_nothing_is_assumed_of_the_network(places, trips):
    assert most_in_a_second(arrivals(places, trips)) <= places


@pytest.mark.parametrize(("milliseconds", "used"), [(2, 0.99), (20, 0.99), (100, 0.98), (400, 0.95)])
def test_on_an_even_road_nearly_the_whole_quota_is_used(milliseconds, used):
    trips = [(milliseconds / 2000, milliseconds / 2000)] * 200
    seen = arrivals(5, trips)
    assert 100 / (seen[150] - seen[50]) > used * 5


UNIFORM, FLAT, LONG_TAILED = (
    pytest.param(lambda c: 0.02 + (c.uniform(0, 1) + c.uniform(0, 1)) * 0.005, id="jitter on both ways"),
    pytest.param(lambda c: 0.02 + c.uniform(0, 0.01), id="jitter on one way"),
    pytest.param(lambda c: 0.02 + c.expovariate(400) + c.expovariate(400), id="a long tail on both ways"),
)


CAREFUL = 8.0


@pytest.mark.parametrize("trip", [UNIFORM, FLAT, LONG_TAILED])
@pytest.mark.parametrize(
    ("answers", "caution", "most"),
    [
        *((answers, 1.0, 1e-2) for answers in (TRUSTED_AFTER, 36)),
        *((answers, 1.0, 2e-3) for answers in (100, 512)),
        *((answers, CAREFUL, 1e-5) for answers in (TRUSTED_AFTER, 36, 100, 512)),
    ],
)
def test_hardly_ever_is_more_trusted_than_a_later_round_trip_takes(trip, answers, caution, most):
    """Of the first judgements of 300 programs: the chance that the next round trip is quicker than what is trusted."""
    chance = Random(3)
    later = sorted(trip(chance) for _ in range(20_000))
    quicker = 0
    for _ in range(300):
        trips = MinRttEstimator()
        for _ in range(answers):
            trips.add_sample(trip(chance))
        quicker += bisect_left(later, trips.lower_bound(caution))
    assert quicker / 300 / len(later) < most


def trips_of(*seconds: float, prior: float | None = None) -> MinRttEstimator:
    trips = MinRttEstimator(prior=prior)
    for each in seconds:
        trips.add_sample(each)
    return trips


def test_round_trips_are_trusted_after_enough_answers():
    trips = trips_of(*[0.1] * (TRUSTED_AFTER - 1))
    assert trips.lower_bound() == 0
    trips.add_sample(0.101)
    assert trips.lower_bound() == pytest.approx(0.0976)  # 2.4 gaps


@pytest.mark.parametrize(("answers", "bound"), [(5, 0.02), (8, 0.05), (10, 0.06), (12, 0.0)])
def test_of_few_answers_a_share_is_believed_however_they_differ(answers, bound):
    assert trips_of(0.1, *[0.3] * (answers - 1)).lower_bound() == pytest.approx(bound)


def test_a_change_of_route_is_forgotten_in_time():
    assert trips_of(*[0.01] * 100, *[0.1] * 512).lower_bound() == pytest.approx(0.098)


def test_a_quicker_route_counts_at_once():
    trips = trips_of(*[0.1] * 100, 0.01)
    assert trips.lower_bound() == 0
    for _ in range(7):
        trips.add_sample(0.01)
    assert trips.lower_bound() == pytest.approx(0.0098)


def test_the_more_round_trips_differ_and_the_more_caution_there_is_the_less_is_certain():
    trips = trips_of(0.1, 0.101, 0.102, 0.103, 0.104, 0.105, 0.106, 0.107, *[0.2] * 40)
    assert [trips.lower_bound(caution) for caution in (0.1, 1, 4)] == pytest.approx([0.0965, 0.0965, 0.086])


@pytest.mark.parametrize(("quickest", "bound"), [(0.1, 0.098), (0.4, 0.397)])
def test_however_alike_round_trips_are_a_fiftieth_of_the_quickest_or_3_ms_are_doubted(quickest, bound):
    assert trips_of(quickest, *[quickest + 0.001] * 50).lower_bound() == pytest.approx(bound)


def test_what_another_program_found_is_good_from_the_first_answer_on():
    trips = MinRttEstimator(prior=0.09)
    assert trips.lower_bound() == 0.09
    trips.add_sample(0.095)
    assert trips.lower_bound() == 0.09


@pytest.mark.parametrize(("prior", "bound"), [(0.05, 0.098), (0.099, 0.099)])
def test_of_what_we_found_and_what_another_program_found_the_better_counts(prior, bound):
    assert trips_of(*[0.1] * 100, prior=prior).lower_bound() == pytest.approx(bound)


def test_an_answer_quicker_than_what_another_program_found_shows_that_the_network_is_another_one():
    trips = MinRttEstimator(prior=0.09)
    trips.add_sample(0.02)
    assert trips.lower_bound() == 0


def shared(trips: MinRttEstimator, *seconds: float) -> list[tuple[int, float]]:
    """After which of these answers a bound was shared, and the bound."""
    bounds = []
    for number, each in enumerate(seconds, 1):
        trips.add_sample(each)
        if bound := trips.shareable_estimate():
            bounds.append((number, bound))
    return bounds


def test_what_is_found_is_told_once_in_four_answers_and_later_once_in_a_dozen():
    told = shared(MinRttEstimator(), *[0.1] * 79)
    assert [number for number, _ in told] == [8, 12, 16, 20, 24, 36, 48, 60, 72]


def test_a_bound_far_below_the_quickest_answer_is_not_told():
    assert [number for number, _ in shared(MinRttEstimator(), *[0.1, 0.2] * 12)] == [8, 16, 20, 24]


def test_programs_that_begin_together_share_the_better_bound():
    assert shared(MinRttEstimator(prior=0.099), *[0.1] * 8) == [(8, 0.099)]


LOOKS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 0.5), st.floats(0, 0.5)), min_size=1, max_size=200)


@unhurried
@given(st.floats(-1e6, 1e6), LOOKS)
def test_a_moment_that_is_told_to_another_clock_and_back_never_comes_early(ahead, looks):
    """Each look comes some time after the one before, and takes some time there and some back."""
    clocks, now = ClockOffset(), 0.0
    for pause, there, back in looks:
        now += pause
        clocks.add_sample(now, now + there + ahead, now + there + back)
        now += there + back
        assert clocks.to_local(now + ahead) >= now - 1e-6
        assert clocks.to_local_earliest(now + ahead) <= now + 1e-6
        assert clocks.to_remote(now) >= now + ahead - 1e-6


def test_a_clock_is_known_as_well_as_its_quickest_looks_allow():
    clocks = ClockOffset()
    for there, back in ((0.5, 0.001), (0.001, 0.5), (0.2, 0.2)):
        clocks.add_sample(0, 100 + there, there + back)
    assert clocks.to_remote(0) - 100 == pytest.approx(0.001)
    assert clocks.to_local(100) == pytest.approx(0.001)


@pytest.mark.parametrize("step", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_clock_that_was_set_is_known_anew_at_once(step):
    clocks = ClockOffset()
    for second in range(3):
        clocks.add_sample(second, 100 + second, second + 0.01)
    clocks.add_sample(3, 103 + step, 3.01)
    assert clocks.to_remote(3) == pytest.approx(103 + step)
    clocks.add_sample(4, 104 + step, 4.001)
    assert clocks.to_remote(4) == pytest.approx(104 + step)


@pytest.mark.parametrize(
    ("ago", "certain", "seconds"), [(0, 0, 1), (0, 0.1, 0.9), (0.25, 0, 0.75), (0.25, 0.1, 0.65), (2, 0, -1)]
)
def test_a_place_is_free_a_second_after_its_request_arrived_at_the_latest(ago, certain, seconds):
    assert free_after(ago, certain).total_seconds() == pytest.approx(seconds)


def test_a_refusal_holds_everybody_longer_than_the_window():
    assert COOLDOWN.total_seconds() >= 1.3
