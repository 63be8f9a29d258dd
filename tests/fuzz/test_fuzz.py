"""Foreign bytes in every reader: the kept inputs, and a few hundred bent ones each. `./dev torture` tries a million."""

import random
from collections import Counter

import pytest

from tests.fuzz.bend import LONGEST, bend
from tests.fuzz.cases import LIMIT, FindingError, Tally, judge, unguided
from tests.fuzz.targets import TARGETS, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_read_as_the_slow_reading_says(name):
    tally = Tally()
    for data in corpus(name):
        judge(name, data, tally)
    assert tally.slowest < LIMIT


@pytest.mark.parametrize("name", TARGETS)
def test_bent_inputs_are_read_alike_or_refused_by_name(name):
    tally = Tally()
    unguided(name, len(corpus(name)) + 300, 20002, tally)
    assert len(tally.outcomes) > 1


def test_equal_seeds_try_equal_cases():
    def tried() -> Tally:
        tally = Tally()
        unguided("headers", 200, 7, tally)
        return tally

    assert tried().outcomes == tried().outcomes


def test_a_finding_names_its_target_and_holds_its_input():
    """The judge itself is tried: bytes that no text can be are no case of this target, so its reader raises."""
    with pytest.raises(FindingError, match="headers: AttributeError") as caught:
        judge("headers", None, Tally())
    assert caught.value.data is None


def test_bending_changes_an_input_and_keeps_it_short():
    dice = random.Random(1)
    found = Counter(len(bend(b"cont-yn: Y", b"x" * LONGEST, dice)) for _ in range(500))
    assert len(found) > 20
    assert max(found) <= LONGEST


def test_the_shares_are_of_a_hundred():
    assert sum(target.share for target in TARGETS.values()) == 100
