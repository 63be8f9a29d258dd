"""The seeded bugs still fit the tree: `./dev torture mutants` says whether each is caught."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@cache
def text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@EACH
def test_the_text_that_a_bug_replaces_stands_exactly_once(mutant: Mutant):
    assert text(mutant.file).count(mutant.old) == 1


@EACH
def test_a_bug_changes_something_and_its_tests_exist(mutant: Mutant):
    assert mutant.old != mutant.new
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name.partition('[')[0]}\(", text(file), re.MULTILINE)


def test_no_two_bugs_have_one_name():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
