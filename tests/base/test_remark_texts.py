"""Every remark is explained in both languages, with the numbers of its walk and what to do."""

from datetime import datetime

import pytest

from collector.base.remark_texts import LANGUAGES, Numbers, explain, explain_outcome, explain_remark
from collector.model import KST, Outcome, Remark, Status, Target

SLOT = datetime(2026, 11, 20, 11, 0, tzinfo=KST)
NXT = Target.of("KOSPI", "001", "NXT")
NUMBERS = Numbers(pages=7, rows=1650, bad=3, expected=1716)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("remark", Remark)
def test_every_remark_says_what_is_wrong_and_what_to_do(remark, language):
    for numbers in (NUMBERS, NUMBERS._replace(expected=None)):
        said = explain_remark(remark, numbers, language)
        problem, _, advice = said.partition("; ")
        assert problem
        assert advice
        assert "{" not in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_differ(language):
    hangul = any("가" <= char <= "힣" for char in explain_remark("row_count", NUMBERS, language))
    assert hangul is (language == "ko")


def test_another_number_of_rows_names_both_numbers():
    assert explain(["row_count"], NUMBERS) == (
        "row_count: 1,653 rows where 1,716 were expected; three walks that agree make it complete;"
        " if the list is right, collector accept does so at once"
    )
    assert "1,653" in explain(["row_count"], NUMBERS, "ko")
    assert "1,716" in explain(["row_count"], NUMBERS, "ko")


def test_a_walk_that_is_complete_but_for_a_row_says_how_many():
    outcome = Outcome(NXT, SLOT, Status.COMPLETE, 9, 899, ("undecoded",), bad=1, expected=900)
    assert explain_outcome(outcome).startswith(
        "undecoded: 1 rows did not decode and lie in quarantine; the other 899 are stored"
    )
    assert not outcome.is_whole


def test_an_error_stands_for_itself_and_so_does_a_remark_of_another_version():
    assert explain_outcome(Outcome(NXT, SLOT, Status.FAILED, error="Rejected: no")) == "Rejected: no"
    assert explain(["of_tomorrow"], NUMBERS) == "of_tomorrow"
