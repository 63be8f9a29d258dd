"""ka10101 and ka10081, and the requests as they are sent."""

import json
from datetime import date

import pytest

from collector.errors import Unreadable
from collector.kiwoom.protocol import read_bars, read_sectors
from collector.model import Market, Sector
from tests.support.recorded_answers import reply, sample


def sector_list(*rows: object) -> bytes:
    return json.dumps({"list": list(rows), "return_code": 0, "return_msg": ""}).encode()


def test_the_sectors_of_a_market_come_in_the_order_served():
    assert read_sectors(reply(sample("sectors.json")), Market.KOSPI) == [
        Sector("001", Market.KOSPI, "종합(KOSPI)"),
        Sector("002", Market.KOSPI, "대형주"),
        Sector("603", Market.KOSPI, "변동성지수"),
    ]


PART = "ka10101 does not list a market's sectors in one page"
CODE = "ka10101 has a row without a sector code of three digits"
NAME = "ka10101: the name of sector 001 is not a name of 1 to 40 printable characters"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([], PART, id="none"),
        pytest.param(
            [{"code": "001", "name": "a"}, {"code": "001", "name": "b"}],
            "ka10101 lists a sector twice",
            id="one code twice",
        ),
        pytest.param([{"code": "01", "name": "a"}], CODE, id="two digits"),
        pytest.param([{"code": "0001", "name": "a"}], CODE, id="four digits"),
        pytest.param([{"code": "00A", "name": "a"}], CODE, id="a letter"),
        pytest.param([{"code": "００１", "name": "a"}], CODE, id="full-width digits"),
        pytest.param([{"code": 1, "name": "a"}], CODE, id="a number"),
        pytest.param([{"code": "001"}], CODE, id="no name"),
        pytest.param([{"code": "001", "name": " "}], NAME, id="a blank name"),
        pytest.param([{"code": "001", "name": "a\0"}], NAME, id="a name that no text column takes"),
        pytest.param([{"code": "001", "name": "\ud800"}], NAME, id="half a surrogate pair"),
        pytest.param([["001", "a"]], CODE, id="a list"),
        pytest.param([None], CODE, id="null"),
    ],
)
def test_a_list_of_sectors_that_cannot_be_believed_is_refused_whole(rows, says):
    with pytest.raises(Unreadable) as refusal:
        read_sectors(reply(sector_list(*rows)), Market.KOSPI)
    assert str(refusal.value) == says


def test_a_list_of_sectors_that_goes_on_is_refused():
    with pytest.raises(Unreadable) as refusal:
        read_sectors(reply(sample("sectors.json"), ("cont-yn", "Y"), ("next-key", "a")), Market.KOSPI)
    assert str(refusal.value) == PART


def test_bars_come_newest_first():
    page = read_bars(reply(sample("bars.json"), ("cont-yn", "Y"), ("next-key", "k")), "005930")
    assert [
        (bar.symbol, bar.trading_date, bar.open, bar.high, bar.low, bar.close, bar.volume)
        for bar in page.bars
    ] == [
        ("005930", date(2026, 11, 20), 69800, 70500, 69600, 70100, 9263135),
        ("005930", date(2026, 11, 19), 69900, 70000, 69300, 69600, 8120034),
    ]
    assert (page.next_key, page.bad) == ("k", [])


@pytest.mark.parametrize(
    "changed",
    [
        *({"dt": dt} for dt in ("", "20261301", "00000101", "2026112", "２０２６１１２０", None)),
        {"cur_prc": "abc"},
        {"open_pric": "2147483648"},
        {"trde_qty": "-1"},
        {"trde_qty": None},
        {"high_pric": 1},
    ],
    ids=str,
)
def test_a_bar_that_does_not_decode_is_kept_as_it_was_sent(changed):
    document = json.loads(sample("bars.json"))
    document["stk_dt_pole_chart_qry"][0] |= changed
    page = read_bars(reply(json.dumps(document).encode()), "005930")
    assert (len(page.bars), len(page.bad)) == (1, 1)
    assert json.loads(page.bad[0].raw) == document["stk_dt_pole_chart_qry"][0]


LACKING = ["pred_pre", "pred_pre_sig", "trde_tern_rt", "trde_prica"]


@pytest.mark.parametrize("absent", [LACKING[:3], LACKING, *([name] for name in LACKING)], ids=str)
def test_a_bar_does_not_depend_on_what_only_serves_a_check(absent):
    document = json.loads(sample("bars.json"))
    for row in document["stk_dt_pole_chart_qry"]:
        for name in absent:
            del row[name]
    page = read_bars(reply(json.dumps(document).encode()), "005930")
    whole = read_bars(reply(sample("bars.json")), "005930")
    assert page.bad == []
    assert [bar[:-1] for bar in page.bars] == [bar[:-1] for bar in whole.bars]
    assert [bar.change for bar in page.bars] == [
        None if "pred_pre" in absent else bar.change for bar in whole.bars
    ]


@pytest.mark.parametrize("odd", [None, "", 1, 1.5, [], "x"], ids=str)
def test_what_is_not_kept_of_a_bar_may_be_anything(odd):
    document = json.loads(sample("bars.json"))
    document["stk_dt_pole_chart_qry"][0] |= dict.fromkeys(LACKING[1:], odd)
    page = read_bars(reply(json.dumps(document).encode()), "005930")
    assert (len(page.bars), page.bad) == (2, [])


def test_an_undocumented_or_doubled_field_does_not_hide_behind_an_absent_one():
    """The quick way counts quotes: a row that lacks a field must not make room for one that nobody knows."""
    document = json.loads(sample("bars.json"))
    del document["stk_dt_pole_chart_qry"][0]["pred_pre"]
    body = json.dumps(document).replace('"dt"', '"dt": "20261119", "dt"', 1)
    with pytest.raises(Unreadable):
        read_bars(reply(body.encode()), "005930")


def test_an_answer_without_a_list_is_unreadable():
    with pytest.raises(Unreadable, match=r"^the answer has no list stk_dt_pole_chart_qry$"):
        read_bars(reply(b'{"return_code":0,"return_msg":""}'), "005930")
