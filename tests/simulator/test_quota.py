"""The rate limit: strict by the second, or a bucket, whatever the arrivals."""

from hypothesis import given
from hypothesis import strategies as st

from kiwoom_simulator.server.quota import Bucket, Window

arrivals = st.lists(st.integers(0, 5000), max_size=80).map(lambda found: [at / 1000 for at in sorted(found)])


@given(arrivals, st.integers(1, 6))
def test_no_second_ever_grants_more_than_the_limit(found: list[float], limit: int) -> None:
    window = Window(limit)
    granted = [at for at in found if window.admits(at)]
    assert all(sum(at - 1 < other <= at for other in granted) <= limit for at in granted)


@given(arrivals, st.integers(1, 6))
def test_a_request_is_refused_only_if_the_second_before_it_is_full(found: list[float], limit: int) -> None:
    window = Window(limit)
    granted: list[float] = []
    for at in found:
        is_full = sum(at - 1 < other <= at for other in granted) == limit
        assert window.admits(at) is not is_full
        if not is_full:
            granted.append(at)


@given(arrivals)
def test_the_peak_is_the_fullest_second_refused_requests_included(found: list[float]) -> None:
    window = Window(1)
    for at in found:
        window.admits(at)
    assert window.peak == max((sum(at - 1 < other <= at for other in found) for at in found), default=0)


def test_refused_requests_take_a_place_only_if_they_are_to() -> None:
    beat = [0.0, 0.6, 1.2, 1.8]
    assert [Window(1).admits(0.0), *map(Window(1).admits, beat)] == [True, True, False, True, False]
    assert list(map(Window(1, counts_refused=True).admits, beat)) == [True, False, False, False]


def test_no_limit_admits_everything() -> None:
    assert all(map(Window(0).admits, [0.0] * 100))


def test_a_bucket_grants_its_size_at_once_and_then_its_rate() -> None:
    bucket = Bucket(rate=1.0, size=2)
    assert [bucket.admits(at) for at in (0.0, 0.0, 0.1, 1.0, 1.5, 2.0, 9.0, 9.0, 9.0)] == [
        True, True, False, True, False, True, True, True, False,
    ]  # fmt: skip
