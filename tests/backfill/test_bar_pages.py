"""A page of bars: the quick way and the strict one read the same."""

import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Unreadable
from collector.kiwoom.protocol import ApiResponse, read_bars
from collector.model import BarPage

DAY = date(2026, 11, 20)
PLAIN = st.integers(0, 2**31 - 1).map(str)
SATURATED = ["2147483648", "2147483647", "2147483", "4294967295"]
DECORATED = st.sampled_from(["", " 12 ", "007", "--5", "1,234", "+7", "-7", "x", "１", "-0", *SATURATED])
CHANGE = st.integers(-(2**31) + 1, 2**31 - 1).map(lambda won: f"{won:+}") | DECORATED
ROW = st.fixed_dictionaries(
    {
        **dict.fromkeys(("cur_prc", "open_pric", "high_pric", "low_pric"), PLAIN | DECORATED),
        "trde_qty": st.integers(0, 10**15 - 1).map(str) | DECORATED,
        "dt": st.integers(0, 9_000).map(lambda days: f"{DAY - timedelta(days):%Y%m%d}")
        | st.sampled_from(["", "20261301", "2026-1-1", "２０２６１１２０", "19000229"]),
    },
    optional={
        "pred_pre": CHANGE,
        **dict.fromkeys(
            ("trde_prica", "pred_pre_sig", "trde_tern_rt"), st.just("1") | st.none() | st.just(1)
        ),
    },
)


def page(rows: list[dict[str, str]], **envelope: object) -> BarPage:
    document = {
        "stk_cd": "005930",
        "stk_dt_pole_chart_qry": rows,
        "return_code": 0,
        "return_msg": "",
        **envelope,
    }
    headers = (("api-id", "ka10081"), ("cont-yn", "N"))
    return read_bars(ApiResponse(200, headers, json.dumps(document).encode()), "005930")


def agree(rows):
    """A return_code as text is one that only the strict way takes."""
    quick, strict = page(rows), page(rows, return_code="0")
    assert quick == strict
    assert quick.size == len(rows)


@pytest.mark.extended
@settings(max_examples=30)
@given(rows=st.lists(ROW, max_size=6))
def test_the_quick_way_and_the_strict_one_agree(rows):
    agree(rows)


@pytest.mark.extended
@given(rows=st.lists(ROW, max_size=6))
def test_the_quick_way_and_the_strict_one_agree_about_many_pages(rows):
    agree(rows)


@settings(max_examples=30)
@given(rows=st.lists(ROW, max_size=6))
def test_a_page_reads_as_its_rows_read_alone(rows):
    alone = [bar for row in rows for bar in page([row]).bars]
    assert page(rows).bars == alone


def test_an_answer_about_another_listing_is_never_taken_for_this_one():
    with pytest.raises(Unreadable, match="another listing"):
        page([], stk_cd="000660")
