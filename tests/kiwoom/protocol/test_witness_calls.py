"""The calls of the witnesses, in the shapes of Kiwoom's own captures of 2026-07-01, with values of our own."""

from datetime import date

import pytest

from collector.kiwoom.protocol.flows import INVESTORS, flows
from collector.kiwoom.protocol.indices import IndexBar, days, index_bars, levels
from collector.kiwoom.protocol.listings import kind, listing_facts
from collector.market.witness_values import IndexLevel

LEVEL = {
    "stk_cd": "013",
    "stk_nm": "전기/전자",
    "cur_prc": "-144100.50",
    "pre_sig": "5",
    "pred_pre": "-5100.25",
    "flu_rt": "-3.42",
    "trde_qty": "166251",
    "wght": "",
    "trde_prica": "23068868",
    "upl": "3",
    "rising": "45",
    "stdns": "2",
    "fall": "34",
    "lst": "1",
    "flo_stk_num": "84",
}
FACT = {
    "code": "000020",
    "name": "동화약품",
    "listCount": "0000000027931470",
    "auditInfo": "정상",
    "regDay": "19760324",
    "lastPrice": "00006010",
    "state": "증거금40%|신용가능",
    "marketCode": "0",
    "marketName": "거래소",
    "upName": "제약",
    "upSizeName": "소형주",
    "companyClassName": "",
    "orderWarning": "0",
    "nxtEnable": "N",
    "kind": "A",
}


def test_index_level_has_shares_and_won():
    """ka20003 sends thousand shares and million won; levels keep their two decimals as integers."""
    good, bad = levels([LEVEL])
    assert good == [
        IndexLevel(
            "013",
            "전기/전자",
            14_410_050,
            -510_025,
            -342,
            5,
            166_251_000,
            23_068_868_000_000,
            3,
            45,
            2,
            34,
            1,
            84,
        )
    ]
    assert good[0].traded_count == 81
    assert bad == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"rising": "many"}, "is not a whole number"),
        ({"fall": "-1"}, "is not a count"),
        ({"flo_stk_num": "4294967295"}, ""),
        ({"stk_cd": "13"}, "three digits"),
        ({"cur_prc": "1.234"}, "decimals"),
        ({"trde_qty": "-5"}, "negative"),
    ],
    ids=str,
)
def test_an_index_row_with_a_wrong_value_is_kept_as_a_bad_row(changed, reason):
    good, bad = levels([LEVEL | changed, LEVEL])
    assert len(good) == 1
    assert len(bad) == 1
    assert reason in bad[0].reason


def test_an_index_row_without_a_count_is_a_bad_row():
    row = {name: value for name, value in LEVEL.items() if name != "flo_stk_num"}
    good, bad = levels([row, None, []])
    assert good == []
    assert len(bad) == 3


def test_session_date_is_the_newest_day_in_any_order():
    sent = [
        {"dt_n": "20260630", "cur_prc_n": "+8476.48", "acc_trde_qty_n": "449824"},
        {"dt_n": "20260701", "cur_prc_n": "-8310.64", "acc_trde_qty_n": "427142"},
    ]
    found, bad = days({"trde_frmatn_stk_num": "917"}, sent)
    assert found.session == date(2026, 7, 1)
    assert found.traded == 917
    assert found.days[0] == (date(2026, 7, 1), 831_064, 427_142_000)
    assert bad == []


def test_an_answer_without_days_has_no_session():
    found, _ = days({}, [])
    assert found.session is None


def test_index_bar_levels_come_without_a_point():
    sent = [
        {
            "cur_prc": "650711",
            "trde_qty": "564",
            "dt": "20260528",
            "open_pric": "746524",
            "high_pric": "746524",
            "low_pric": "584316",
            "trde_prica": "121971",
        }
    ]
    assert index_bars(sent) == (
        [IndexBar(date(2026, 5, 28), 746_524, 746_524, 584_316, 650_711, 564_000, 121_971_000_000)],
        [],
    )


def test_listing_fact_drops_the_padding():
    (fact,), bad = listing_facts([FACT])
    assert (fact.symbol, fact.shares, fact.listed_on, fact.nxt) == (
        "000020",
        27_931_470,
        date(1976, 3, 24),
        False,
    )
    assert (fact.kind, fact.industry, fact.size) == ("share", "제약", "소형주")
    assert bad == []


@pytest.mark.parametrize(
    ("symbol", "name", "market_code", "expected"),
    [
        ("005930", "삼성전자", "0", "share"),
        ("005935", "삼성전자우", "0", "preferred"),
        ("00088K", "한화3우B", "0", "preferred"),
        ("0000D0", "TIGER 나스닥", "8", "etf"),
        ("580012", "KB 인버스 ETN", "60", "etn"),
        ("330590", "롯데리츠", "6", "reit"),
        ("088980", "맥쿼리인프라", "2", "infra"),
        ("473370", "교보17호스팩", "10", "spac"),
        ("442770", "신한제12호스팩", "10", "spac"),
        ("123456", "?", "99", "other"),
    ],
)
def test_kind_of_a_listing(symbol, name, market_code, expected):
    assert kind(symbol, name, market_code) == expected


@pytest.mark.parametrize(
    "changed", [{"nxtEnable": "?"}, {"code": "20"}, {"regDay": "19761399"}, {"listCount": "x"}]
)
def test_a_listing_row_with_a_wrong_value_is_a_bad_row(changed):
    good, bad = listing_facts([FACT | changed])
    assert good == []
    assert len(bad) == 1


def test_flows_are_won_with_their_sign():
    row = {"inds_cd": "001"} | dict.fromkeys(INVESTORS, "-0")
    (flow,), bad = flows([row | {"frgnr_netprps": "-18924", "ind_netprps": "+13667"}])
    assert flow.net_amounts["foreigner"] == -1_892_400_000_000
    assert flow.net_amounts["individual"] == 1_366_700_000_000
    assert flow.net_amounts["bank"] == 0
    assert bad == []
