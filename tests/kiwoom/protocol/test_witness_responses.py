"""What is asked of a witness, and what its answers come to."""

import json
from datetime import date

import pytest

from collector.errors import Unreadable
from collector.kiwoom import protocol
from collector.kiwoom.protocol import API_IDS, ApiRequest
from collector.model import Exchange, Market
from tests.kiwoom.protocol.test_witness_calls import FACT, LEVEL
from tests.support.recorded_answers import OK, reply

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("request_", "api_id", "path", "body"),
    [
        (protocol.ask_listings(Market.KOSPI), "ka10099", "stkinfo", {"mrkt_tp": "0"}),
        (protocol.ask_listings(Market.KOSDAQ), "ka10099", "stkinfo", {"mrkt_tp": "10"}),
        (protocol.ask_indices(Market.KOSDAQ), "ka20003", "sect", {"inds_cd": "101"}),
        (protocol.ask_index_days(Market.KOSPI), "ka20009", "sect", {"mrkt_tp": "0", "inds_cd": "001"}),
        (protocol.ask_index_bars("013", DAY), "ka20006", "chart", {"inds_cd": "013", "base_dt": "20261120"}),
        (
            protocol.ask_flows(Market.KOSDAQ, Exchange.NXT, DAY),
            "ka10051",
            "sect",
            {"mrkt_tp": "1", "amt_qty_tp": "0", "base_dt": "20261120", "stex_tp": "2"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_request_is_as_documented(request_: ApiRequest, api_id, path, body):
    assert (request_.api_id, request_.path, json.loads(request_.body)) == (
        api_id,
        f"/api/dostk/{path}",
        body,
    )
    assert api_id in API_IDS


def answered(name: str, rows: list[object], **fields: object):
    document = {**fields, name: rows, "return_code": 0, "return_msg": OK}
    return reply(json.dumps(document).encode())


def test_a_symbol_that_comes_twice_counts_once():
    page = protocol.read_listings(answered("list", [FACT, FACT | {"code": "000040"}, FACT | {"name": "x"}]))
    assert [(fact.symbol, fact.name) for fact in page.facts] == [
        ("000020", "동화약품"),
        ("000040", "동화약품"),
    ]
    assert page.repeats == 1


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (protocol.read_listings, "list"),
        (protocol.read_indices, "all_inds_idex"),
        (protocol.read_index_days, "inds_cur_prc_daly_rept"),
    ],
)
@pytest.mark.parametrize("rows", [[], [{}], [None, 5]], ids=str)
def test_an_answer_without_a_readable_row_says_nothing(read, name, rows):
    with pytest.raises(Unreadable):
        read(answered(name, rows))


def test_the_other_rows_of_an_index_page_are_kept():
    page = protocol.read_indices(answered("all_inds_idex", [LEVEL, LEVEL | {"fall": "text"}]))
    assert [level.sector for level in page.levels] == ["013"]
    assert len(page.bad) == 1


def test_a_page_of_index_bars_and_a_day_of_flows_may_be_empty():
    assert protocol.read_index_bars(answered("inds_dt_pole_qry", [])).bars == []
    assert protocol.read_flows(answered("inds_netprps", [])) == ([], [])
    assert len(protocol.read_flows(answered("inds_netprps", [{}]))[1]) == 1
