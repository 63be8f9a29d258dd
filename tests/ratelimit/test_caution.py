"""The caution: how much of a round trip is taken for the time before the count, against servers that count anywhere."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ratelimit import caution
from collector.ratelimit.caution import is_trial, time_after_count
from collector.ratelimit.window import COOLDOWN
from tests.support.quota_model import CautionModel, QuotaModel, Trip

unhurried = settings(deadline=None, max_examples=40)  # how fast a shared machine is at the moment is no law
SECONDS = st.floats(0, 3)


@unhurried
@given(SECONDS, SECONDS, st.floats(0.01, 8), st.floats(0.01, 8))
def test_less_caution_frees_a_permit_no_later_and_never_before_the_request_was_sent(
    trip, shortest, one, other
):
    less, more = sorted((one, other))
    assert time_after_count(trip, shortest, more) <= time_after_count(trip, shortest, less) <= trip


@unhurried
@given(SECONDS, SECONDS, st.floats(1, 8))
def test_with_full_caution_no_more_than_the_shortest_round_trip_is_assumed(trip, shortest, full):
    assert time_after_count(trip, shortest, full) == pytest.approx(min(shortest, trip))


@pytest.mark.parametrize(
    ("trip", "shortest", "value", "after"),
    [
        pytest.param(0.5, 0.0, 0.1, 0.0, id="nothing is known yet"),
        pytest.param(0.6, 0.4, 0.5, 0.5, id="half of the rest"),
        pytest.param(0.6, 0.4, 0.05, 0.588, id="never less than the least margin"),
        pytest.param(0.41, 0.4, 0.0625, 0.4, id="a rest shorter than the least margin"),
    ],
)
def test_a_share_of_the_rest_is_taken_for_the_time_before_the_count(trip, shortest, value, after):
    assert time_after_count(trip, shortest, value) == pytest.approx(after)


def test_only_a_request_that_less_caution_would_have_changed_is_a_trial():
    assert is_trial(0.6, 0.4, 0.5)
    assert not is_trial(0.6, 0.4, 0.05)
    assert not is_trial(0.6, 0.0, 1)


def real(chance: Random) -> float:
    """The real host: official.md of the vendor's own client measured 0.37 to 0.65 s, and 1 % up to 2.5 s."""
    if chance.random() < 0.01:
        return chance.uniform(0.65, 2.5)
    return chance.uniform(0.37, 0.46) if chance.random() < 0.5 else chance.uniform(0.46, 0.65)


def counting(share: float, least: float, jitter: float | None = None) -> Trip:
    """A server that counts after a share of the round trip; without a jitter the round trips are those of `real`."""

    def trip(chance: Random) -> tuple[float, float]:
        seconds = real(chance) if jitter is None else chance.uniform(least, least + jitter)
        return seconds * share + 0.001, seconds * (1 - share) + 0.001

    return trip


def independent(chance: Random) -> tuple[float, float]:
    """A way there and a way back that know nothing of each other."""
    return chance.uniform(0.15, 0.225), chance.uniform(0.15, 0.225)


MODELS = {
    "20 ms, counts half way": (counting(0.5, 0.02, 0.01), 0.99),
    "100 ms, counts half way": (counting(0.5, 0.1, 0.05), 0.98),
    "300 ms, counts half way": (counting(0.5, 0.3, 0.15), 0.95),
    "300 ms, both ways vary": (independent, 0.92),
    "real, counts at the gate": (counting(0, 0), 0.975),
    "real, counts after the work": (counting(1, 0), 0.875),
    "460 ms, counts after the work": (counting(1, 0.34, 0.24), 0.88),
}


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_quota_is_used_and_two_of_a_thousand_are_refused_at_most(name: str, programs: int) -> None:
    """Twenty minutes from a new database on, the time of learning included."""
    trip, least = MODELS[name]
    figures = QuotaModel(trip, programs=programs).run(1200)
    print(f"{figures.used(5, 60):.1%} used, {figures.refused_share():.2%} refused")
    assert figures.used(5, 60) > least
    assert figures.refused_share() <= 0.002
    assert figures.refused_share(since=600) <= 0.001


def test_a_server_that_counts_later_from_now_on_refuses_a_few_requests_and_no_storm() -> None:
    model = QuotaModel(counting(0, 0), programs=2)
    model.run(600)
    assert model.caution.value < 0.2
    model.trip = counting(1, 0)
    figures = model.run(600)
    assert model.caution.value >= 0.5
    assert 0 < len(figures.refused) <= 8


@pytest.mark.extended
@settings(unhurried, max_examples=20)
@given(
    st.floats(0, 1),
    st.floats(0.005, 0.6),
    st.floats(0, 0.6),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.02]),
)
def test_wherever_a_server_counts_refusals_stay_rare(share, least, jitter, programs, crashing):
    model = QuotaModel(counting(share, least, jitter), programs=programs, crashing=crashing)
    figures = model.run(600)
    assert len(figures.refused) <= 12
    assert (
        max((sum(at <= other < at + 30 for other in figures.refused) for at in figures.refused), default=0)
        <= 6
    )


def test_a_burst_of_refusals_is_one_event() -> None:
    model = CautionModel()
    for late in (0.0, 0.1, 0.2):
        model.refuse(late)
    assert model.value == pytest.approx(caution.INITIAL * caution.GROWTH)
    model.refuse(60)
    assert model.value == pytest.approx(caution.INITIAL * caution.GROWTH**2)


@pytest.mark.parametrize(
    ("value", "after", "grown"),
    [
        pytest.param(0.5, 60, 0.5 * caution.GROWTH, id="long after the one before"),
        pytest.param(0.5, 3, 0.5 * caution.GROWTH_SOON, id="soon after the one before"),
        pytest.param(0.0625, 60, caution.LEAST_REFUSED, id="of a small caution"),
        pytest.param(7, 60, caution.MOST, id="of a large caution"),
    ],
)
def test_the_further_the_caution_is_from_right_the_more_a_refusal_adds(value, after, grown) -> None:
    model = CautionModel(value=value, refused_at=0.0, paused_until=COOLDOWN.total_seconds())
    model.refuse(after)
    assert model.value == pytest.approx(grown)
