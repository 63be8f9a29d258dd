"""Each fact of the API names its source, its date, and tests that exist."""

import re

import pytest

from tests.project.test_fault_table import _PROOF, ROOT, _exist

PAGE = (ROOT / "docs" / "reference" / "api-facts.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")]
FACTS = [
    [cell.strip() for cell in row]
    for row in ROWS
    if not set("".join(row)) <= set("- ") and row[0].strip() != "fact"
]


def test_there_are_facts() -> None:
    assert len(FACTS) > 30


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact[0][:40])
def test_a_fact_has_a_source_a_date_and_a_test(fact: list[str]) -> None:
    _, source, seen, tests = fact
    assert source
    assert re.fullmatch(r"–|\d{4}(–\d{4}|-\d{2}-\d{2})?", seen)
    assert _PROOF.search(tests) or tests == "the same two"


def test_every_test_that_is_named_exists() -> None:
    assert not re.sub(_PROOF, "", PAGE).count("tests/"), "a name that no test has"
    _exist(PAGE)
