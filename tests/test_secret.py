"""A secret is never read by accident."""

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.secret import Secret

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law

SENTINEL = "S3ntin3lS3cr3t"
SECRET = Secret(SENTINEL)


@dataclass
class Holder:
    secret: Secret


def test_it_reveals_itself_when_asked():
    assert SECRET.reveal() == SENTINEL


WAYS = ["{}", "{!s}", "{!r:>40}", "{!a}", "{0.__class__} {0}"]


@pytest.mark.parametrize(
    "held", [SECRET, [SECRET], {SECRET: SECRET}, Holder(SECRET)], ids=["it", "list", "dict", "dataclass"]
)
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_formatting_shows_it(way, held):
    text = way.format(held)
    assert SENTINEL not in text
    assert "***" in text


@pytest.mark.parametrize("spec", ["", "x", ">40", "0>99", "s"])
def test_no_width_or_kind_shows_it(spec):
    assert format(SECRET, spec) == "***"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol):
    with pytest.raises(TypeError):
        pickle.dumps(SECRET, protocol)


@pytest.mark.parametrize(
    "spread",
    [
        copy.copy,
        copy.deepcopy,
        json.dumps,
        vars,
        iter,
        len,
        bytes,
        int,
        lambda secret: asdict(Holder(secret)),
    ],
)
def test_what_would_spread_it_refuses_without_showing_it(spread):
    with pytest.raises((TypeError, ValueError)) as caught:
        spread(SECRET)
    assert SENTINEL not in "".join(traceback.format_exception(caught.value))


def test_a_traceback_with_local_variables_does_not_show_it():
    def broken(secret: Secret) -> None:
        raise RuntimeError(f"wrong: {secret}")

    with pytest.raises(RuntimeError) as caught:
        broken(SECRET)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if frame.name == "broken"]
    assert SENTINEL not in str([frame.locals for frame in own])


@unhurried
@given(st.text(), st.text())
def test_two_are_equal_exactly_if_their_values_are(one, other):
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))


def test_bytes_of_the_environment_that_are_no_utf_8_can_be_compared():
    assert Secret("a\udcff") == Secret("a\udcff")
    assert Secret("a\udcff") != Secret("a")


@pytest.mark.parametrize("other", [SENTINEL, None, SENTINEL.encode(), "***"])
def test_it_equals_nothing_but_a_secret(other):
    assert other != SECRET
