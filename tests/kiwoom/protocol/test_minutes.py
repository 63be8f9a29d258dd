"""Minute bars of ka10080, in the shape of Kiwoom's own capture, with values of our own: one day out of a page."""

import json
from datetime import date, datetime
from typing import Any

import pytest

from collector.errors import Unreadable
from collector.kiwoom.protocol import ApiResponse, read_minutes
from collector.kiwoom.protocol.minutes import MinutePage
from collector.model import KST

MINUTE = {
    "cur_prc": "-51800",
    "trde_qty": "17",
    "cntr_tm": "20260626123830",
    "open_pric": "-51700",
    "high_pric": "+52500",
    "low_pric": "-51700",
    "acc_trde_qty": "12612",
    "pred_pre": "-400",
    "pred_pre_sig": "5",
}
DAY = date(2026, 6, 26)
SYMBOL = "005930_NX"


def read(*rows: dict[str, Any], day: date = DAY, **document: Any) -> MinutePage:
    """A page with these rows, read for one day."""
    body = {"stk_cd": SYMBOL, "stk_min_pole_chart_qry": list(rows), "return_code": 0, "return_msg": "ok"}
    headers = (("api-id", "ka10080"), ("cont-yn", "Y"), ("next-key", "N2"))
    return read_minutes(ApiResponse(200, headers, json.dumps(body | document).encode()), SYMBOL, day)


def at(label: str, **changes: str) -> dict[str, Any]:
    return MINUTE | {"cntr_tm": label} | changes


def test_a_bar_is_an_instant_in_korea_with_amounts_in_won() -> None:
    page = read(MINUTE)
    (bar,) = page.bars
    assert bar.starts_at == datetime(2026, 6, 26, 12, 38, 30, tzinfo=KST)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (51_700, 52_500, 51_700, 51_800, 17)
    assert (bar.change, bar.sign, bar.total_volume) == (-400, 5, 12_612)
    assert (page.next_key, page.size) == ("N2", 1)


@pytest.mark.parametrize("blank", ["", " ", None])
def test_the_cumulative_volume_may_be_absent(blank: str | None) -> None:
    row = {name: value for name, value in MINUTE.items() if name != "acc_trde_qty"}
    row |= {} if blank is None else {"acc_trde_qty": blank}
    page = read(row, at("20260626123700"))
    assert [bar.total_volume for bar in page.bars] == [None, 12_612]


def test_a_page_is_read_for_one_day_and_the_newest_bar_before_it() -> None:
    labels = ["20260629090000", "20260626152900", "20260626090000", "20260625152900", "20260625152800"]
    page = read(*map(at, labels))
    assert [f"{bar.starts_at:%Y%m%d%H%M%S}" for bar in page.bars] == labels[1:4]
    assert page.size == 5


def test_a_bar_of_another_day_is_not_decoded() -> None:
    rows = (MINUTE, at("20260625152900"), at("20260624152900", high_pric="x"))
    assert len(read(*rows).bars) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cntr_tm": "2026062612383"}, "cntr_tm is not an instant of fourteen digits"),
        ({"cntr_tm": "２０２６０６２６１２３８３０"}, "cntr_tm is not an instant of fourteen digits"),
        ({"cntr_tm": "20260626126030"}, "cntr_tm is not an existing instant"),
        ({"high_pric": "0"}, "high_pric is not a price"),
        ({"low_pric": ""}, "low_pric is not a price"),
        ({"cur_prc": "1e5"}, "cur_prc is not a whole number"),
        ({"trde_qty": "-3"}, "trde_qty is a negative volume"),
        ({"acc_trde_qty": "-3"}, "acc_trde_qty is a negative volume"),
        ({"pred_pre": "?"}, "pred_pre is not a whole number"),
        ({"pred_pre_sig": "6"}, "pred_pre_sig is not a sign"),
        ({"pred_pre_sig": None}, "pred_pre_sig"),
    ],
)
def test_a_wrong_value_of_the_day_makes_the_page_unreadable(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(at("20260626123900"), MINUTE | changes)


def test_undocumented_fields_and_unusual_spellings_are_read_as_the_plain_ones() -> None:
    plain = read(MINUTE, at("20260626123700"))
    odd = read(
        MINUTE | {"new": "1"}, at("20260626123700", cur_prc="--51,800", trde_qty=" 17"), more={"a": "b"}
    )
    assert odd == plain


def test_an_answer_about_another_listing_or_call_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="another listing"):
        read(MINUTE, stk_cd="000660")
    with pytest.raises(Unreadable, match="no list"):
        read(MINUTE, stk_min_pole_chart_qry=None)
