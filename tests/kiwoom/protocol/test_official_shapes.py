"""Rows in the shapes of Kiwoom's own captures of 2026-07-01, with values of our own."""

import pytest

from collector.kiwoom.protocol import read_prices, read_sectors
from collector.model import Exchange, Market, Quote
from tests.support.recorded_answers import OK, page, reply, row

NOTHING = {"now_trde_qty": "0", "open_pric": "0", "high_pric": "0", "low_pric": "0"}
UNTRADED = row(
    cur_prc="5120", pred_pre_sig="3", pred_pre="0", flu_rt="0.00", sel_bid="+5150", buy_bid="-5100", **NOTHING
)
SUSPENDED = UNTRADED | {"sel_bid": "0", "buy_bid": "0"}
AT_THE_LIMIT = row(
    cur_prc="+9100", pred_pre_sig="1", pred_pre="+2100", flu_rt="+30.00", sel_bid="0", buy_bid="+9100"
)
BELOW_THE_BOOK = row(cur_prc="+7010", pred_pre="+10", flu_rt="+0.14", sel_bid="+7060", buy_bid="+7050")
LEVEL = row(
    cur_prc="7000",
    pred_pre_sig="3",
    pred_pre="0",
    flu_rt="0.00",
    open_pric="7000",
    sel_bid="+7010",
    buy_bid="7000",
)


def read(sent: dict[str, object]) -> Quote:
    answer = read_prices(reply(page([sent])), Exchange.KRX)
    assert (answer.bad, answer.decorated, answer.surplus) == ([], 0, 0)
    return next(iter(answer.rows))


@pytest.mark.parametrize(
    ("sent", "price", "book", "volume", "sign"),
    [
        pytest.param(UNTRADED, 5_120, (5_150, 5_100), 0, 3, id="untraded, with quotes"),
        pytest.param(SUSPENDED, 5_120, (None, None), 0, 3, id="suspended"),
        pytest.param(AT_THE_LIMIT, 9_100, (None, 9_100), 9_263_135, 1, id="upper limit, without an ask"),
        pytest.param(BELOW_THE_BOOK, 7_010, (7_060, 7_050), 9_263_135, 2, id="price outside the book"),
        pytest.param(LEVEL, 7_000, (7_010, 7_000), 9_263_135, 3, id="no sign where equal to the base"),
    ],
)
def test_a_row_of_each_shape_is_read(
    sent: dict[str, object], price: int, book: tuple[int | None, int | None], volume: int, sign: int
) -> None:
    quote = read(sent)
    assert (quote.price, (quote.ask, quote.bid), quote.volume, quote.sign) == (price, book, volume, sign)


@pytest.mark.parametrize("name", ["KB&T", "한빛(1우B)", "미래 + 나무", "TIGER 미국S&P500(H)"])
def test_a_name_holds_more_than_letters(name: str) -> None:
    assert read(row(stk_nm=name)).name == name


def test_sectors_without_members_are_kept_with_their_other_market_code() -> None:
    listed = (
        '{"marketCode":"0","code":"002","name":"대형주","group":"2"},'
        '{"marketCode":"6","code":"603","name":"변동성지수","group":"3"}'
    )
    body = f'{{"list":[{listed}],"return_code":0,"return_msg":"{OK}"}}'.encode()
    sectors = read_sectors(reply(body, ("api-id", "ka10101")), Market.KOSPI)
    assert [(sector.code, sector.market) for sector in sectors] == [("002", "KOSPI"), ("603", "KOSPI")]
