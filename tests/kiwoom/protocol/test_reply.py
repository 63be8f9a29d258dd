"""Headers: whether another page follows is read strictly, since a walk's wholeness hangs on it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Unreadable
from collector.kiwoom.protocol import ApiResponse

unhurried = settings(deadline=None)  # how fast a shared machine is at the moment is no law


def reply(*headers: tuple[str, str]) -> ApiResponse:
    return ApiResponse(200, headers, b"")


@pytest.mark.parametrize(
    "names", [("cont-yn", "next-key"), ("Cont-Yn", "Next-Key"), ("CONT-YN", "NEXT-KEY")], ids=str
)
def test_names_come_in_any_case(names):
    assert reply((names[0], "Y"), (names[1], "abc")).next_key() == "abc"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("cont-yn", "N"), ("next-key", "")], id="as documented"),
        pytest.param([("cont-yn", "N")], id="no key at all"),
        pytest.param([("cont-yn", " N ")], id="blanks around"),
        pytest.param([("cont-yn", ""), ("next-key", "")], id="both empty"),
        pytest.param([("cont-yn", "N"), ("next-key", "abc")], id="N wins over a key"),
        pytest.param([], id="neither"),
    ],
)
def test_the_last_page_has_no_next_key(headers):
    assert reply(*headers).next_key() is None


@pytest.mark.parametrize("key", ["a", "N" * 50, "!~", '"{}\\'])
def test_a_key_of_1_to_50_visible_characters_is_taken_as_it_is(key):
    assert reply(("cont-yn", "Y"), ("next-key", key)).next_key() == key


TWICE = "a continuation header came more than once"
FLAG = "cont-yn is neither Y nor N"
KEY = "cont-yn is Y but next-key is not 1 to 50 visible ASCII characters"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        pytest.param([("cont-yn", "Y")], KEY, id="Y without a key"),
        pytest.param([("cont-yn", "Y"), ("next-key", "")], KEY, id="Y with an empty key"),
        pytest.param([("cont-yn", "Y"), ("next-key", "N" * 51)], KEY, id="51 characters"),
        pytest.param([("cont-yn", "Y"), ("next-key", "다음")], KEY, id="Hangul"),
        pytest.param([("cont-yn", "Y"), ("next-key", "a b")], KEY, id="a blank inside"),
        pytest.param([("cont-yn", "Y"), ("next-key", "a\r\nx: 1")], KEY, id="a line end inside"),
        pytest.param([("cont-yn", "Y"), ("next-key", "a\x7f")], KEY, id="a control character"),
        pytest.param([("cont-yn", "y"), ("next-key", "a")], FLAG, id="lower case"),
        pytest.param([("cont-yn", "YES"), ("next-key", "a")], FLAG, id="another word"),
        pytest.param([("next-key", "abc")], FLAG, id="a key without a flag"),
        pytest.param([("cont-yn", ""), ("next-key", "abc")], FLAG, id="a key with an empty flag"),
        pytest.param([("cont-yn", "Y"), ("Cont-Yn", "N"), ("next-key", "a")], TWICE, id="Y and N"),
        pytest.param([("cont-yn", "N"), ("cont-yn", "N")], TWICE, id="N twice"),
        pytest.param([("cont-yn", "Y"), ("next-key", "a"), ("NEXT-KEY", "b")], TWICE, id="two keys"),
        pytest.param([("cont-yn", "N"), ("next-key", ""), ("next-key", "")], TWICE, id="two empty keys"),
    ],
)
def test_a_continuation_with_two_readings_is_refused(headers, says):
    with pytest.raises(Unreadable) as refusal:
        reply(*headers).next_key()
    assert str(refusal.value) == says


def test_a_header_that_repeats_with_one_value_has_one_reading():
    assert reply(("api-id", "ka20002"), ("API-ID", " ka20002")).header("api-id") == "ka20002"


def test_a_header_with_two_values_is_refused():
    with pytest.raises(Unreadable, match="2 times"):
        reply(("api-id", "ka20002"), ("Api-Id", "ka10081")).header("api-id")


def test_a_missing_header_is_empty():
    assert reply().header("api-id") == ""


NAMES = st.sampled_from(["cont-yn", "Cont-YN", "next-key", "NEXT-KEY", "api-id"])
VALUES = st.sampled_from(["Y", "N", "", "y", "abc"]) | st.text(max_size=60)


@unhurried
@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_whatever_the_headers_a_key_can_be_sent_back_or_the_answer_is_unreadable(headers):
    try:
        key = reply(*headers).next_key()
    except Unreadable:
        return
    assert key is None or (1 <= len(key) <= 50 and key.isascii() and key.isprintable() and " " not in key)
