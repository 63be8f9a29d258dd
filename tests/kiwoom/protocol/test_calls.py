"""What is asked is what the official pages show, and nothing else can be."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pytest

from collector.kiwoom.protocol import (
    API_IDS,
    ApiRequest,
    ask_bars,
    ask_prices,
    ask_revoke,
    ask_sectors,
    ask_token,
)
from collector.model import Exchange, Market, Target
from collector.secret import Secret

TARGET = Target(Market.KOSDAQ, "101", Exchange.CONSOLIDATED)
KEYS = Secret("a"), Secret('"\\s')


@dataclass(frozen=True)
class Case:
    """A request (made in the test, so that it is known which test made it) and what is to be sent."""

    ask: Callable[[], ApiRequest]
    api_id: str
    path: str
    body: dict[str, str]
    secrets: tuple[str, ...] = ()


CASES = {
    "prices": Case(
        lambda: ask_prices(TARGET),
        "ka20002",
        "/api/dostk/sect",
        {"mrkt_tp": "1", "inds_cd": "101", "stex_tp": "3"},
    ),
    "sectors": Case(lambda: ask_sectors(Market.KRX100), "ka10101", "/api/dostk/stkinfo", {"mrkt_tp": "7"}),
    "bars": Case(
        lambda: ask_bars("0126Z0", date(2026, 1, 2)),
        "ka10081",
        "/api/dostk/chart",
        {"stk_cd": "0126Z0", "base_dt": "20260102", "upd_stkpc_tp": "0"},
    ),
    "adjusted bars": Case(
        lambda: ask_bars("0126Z0", date(2026, 1, 2), adjusted=True),
        "ka10081",
        "/api/dostk/chart",
        {"stk_cd": "0126Z0", "base_dt": "20260102", "upd_stkpc_tp": "1"},
    ),
    "token": Case(
        lambda: ask_token(*KEYS),
        "au10001",
        "/oauth2/token",
        {"grant_type": "client_credentials", "appkey": "a", "secretkey": '"\\s'},
        ("a", '"\\s'),
    ),
    "revoke": Case(
        lambda: ask_revoke(*KEYS, Secret("t")),
        "au10002",
        "/oauth2/revoke",
        {"appkey": "a", "secretkey": '"\\s', "token": "t"},
        ("a", '"\\s', "t"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_request_is_as_documented(case: Case) -> None:
    asked = case.ask()
    assert (asked.api_id, asked.path, json.loads(asked.body)) == (case.api_id, case.path, case.body)
    assert tuple(secret.reveal() for secret in asked.secrets) == case.secrets
    assert asked.page_key is None
    assert asked.api_id in API_IDS


@pytest.mark.parametrize(
    ("market", "code"),
    [("KOSPI", "0"), ("KOSDAQ", "1"), ("KOSPI200", "2"), ("KOSPI100", "4"), ("KRX100", "7")],
)
def test_a_market_goes_by_its_own_number(market: str, code: str) -> None:
    assert json.loads(ask_sectors(Market(market)).body) == {"mrkt_tp": code}


def test_a_first_page_is_asked_without_continuation_and_the_next_with_the_body_repeated() -> None:
    first, second = ask_prices(TARGET), ask_prices(TARGET, "k1")
    assert first.body == second.body
    assert first.headers(None) == {"Content-Type": "application/json;charset=UTF-8", "api-id": "ka20002"}
    assert second.headers(None) == first.headers(None) | {"cont-yn": "Y", "next-key": "k1"}
    assert ask_bars("005930", date(2026, 1, 2), page_key="k2").page_key == "k2"


def test_a_token_travels_as_a_bearer_and_only_where_there_is_one() -> None:
    assert ask_prices(TARGET).headers(Secret("t"))["authorization"] == "Bearer t"
    assert "authorization" not in ask_prices(TARGET).headers(None)


def test_names_in_hangul_are_sent_as_they_are() -> None:
    assert "삼성".encode() in ask_token(Secret("삼성"), Secret("s")).body
