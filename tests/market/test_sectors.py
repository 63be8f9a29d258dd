"""The shipped table of sectors, and the questions that are asked of any such table."""

import re
from collections import Counter

import pytest

from collector.errors import Unreadable
from collector.market import sectors
from collector.model import Exchange, Market, Sector

TABLE = sectors.bundled_sectors()


def codes(market: Market, exchange: Exchange) -> list[str]:
    return [sector.code for sector in sectors.of_market(TABLE, market, exchange)]


def test_every_market_is_served():
    counts = Counter(sector.market for sector in TABLE.values())
    assert counts == {
        Market.KOSPI: 31,
        Market.KOSDAQ: 34,
        Market.KOSPI200: 26,
        Market.KOSPI100: 2,
        Market.KRX100: 23,
    }


def test_every_code_is_three_digits_and_the_key_of_its_row():
    assert all(code == sector.code and re.fullmatch("[0-9]{3}", code) for code, sector in TABLE.items())


def test_every_code_belongs_to_its_market():
    assert [code for code, sector in TABLE.items() if sectors.market_of(code) is not sector.market] == []


def test_what_the_api_lists_under_a_market_that_does_not_serve_it_is_left_out():
    ours, theirs = Sector("001", Market.KOSPI, "종합"), Sector("199", Market.KOSPI, "코스닥")
    assert sectors.filter_served([ours, theirs], Market.KOSPI) == [ours]


def test_another_markets_whole_list_is_not_believed():
    with pytest.raises(Unreadable, match="ka10101 lists no sector that KOSDAQ serves"):
        sectors.filter_served([Sector("001", Market.KOSDAQ, "종합")], Market.KOSDAQ)


def test_all_sectors_of_a_market_are_those_that_it_serves_whatever_a_table_says():
    wrong = {**TABLE, "199": Sector("199", Market.KOSPI, "코스닥")}
    assert sectors.of_market(wrong, Market.KOSPI, Exchange.KRX) == sectors.of_market(
        TABLE, Market.KOSPI, Exchange.KRX
    )


def test_every_sector_has_a_korean_and_an_english_name():
    assert all(sector.name_ko and sector.name_en for sector in TABLE.values())


@pytest.mark.parametrize(
    ("code", "market"),
    [
        ("001", Market.KOSPI),
        ("603", Market.KOSPI),
        ("101", Market.KOSDAQ),
        ("201", Market.KOSPI200),
        ("401", Market.KOSPI100),
        ("701", Market.KRX100),
        ("302", None),
        ("X01", None),
        ("", None),
        ("０01", None),
    ],
    ids=repr,
)
def test_the_first_digit_names_the_market(code, market):
    assert sectors.market_of(code) is market


@pytest.mark.parametrize(
    ("code", "members"), [("001", 2477), ("140", 1345), ("201", 200), ("603", None)], ids=str
)
def test_members_are_a_number_or_unknown(code, members):
    assert TABLE[code].members == members


def test_indices_without_members_are_known_as_such():
    assert [
        code for code in ("603", "604", "605", "160", "165", "770", "207") if not TABLE[code].index_only
    ] == []
    assert not TABLE["001"].index_only


def test_all_on_krx_is_every_sector_of_the_market():
    assert codes(Market.KOSPI, Exchange.KRX) == [
        code for code, sector in TABLE.items() if sector.market is Market.KOSPI
    ]


@pytest.mark.parametrize("exchange", [Exchange.NXT, Exchange.CONSOLIDATED], ids=str)
def test_all_elsewhere_leaves_out_what_has_no_members(exchange):
    on_krx = codes(Market.KOSPI, Exchange.KRX)
    assert codes(Market.KOSPI, exchange) == [code for code in on_krx if code not in ("603", "604", "605")]
