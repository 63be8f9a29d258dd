"""Slots out of minute bars: against what the simulator showed at each slot, and for days that do not tell."""

from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from collector.backfill.reconstruct import CannotReconstruct, ObservedQuote, minute_day, reconstruct
from collector.kiwoom.protocol import ApiResponse, read_minutes
from collector.kiwoom.protocol.minutes import MinuteBar
from collector.model import KST, Exchange
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.minutes import page

DAY = date(2026, 11, 20)
OPENS = datetime(2026, 11, 20, 9, 0, tzinfo=KST)
SLOTS = [OPENS + timedelta(minutes=5 * number) for number in range(79)]


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket()


def served(market: SimulatedMarket, symbol: str, exchange: Exchange = Exchange.KRX) -> list[MinuteBar]:
    """The first page of a listing's bars, a day later."""
    now = market.sessions.moments(OPENS + timedelta(days=3))
    rows, _ = page(market, market.listings[symbol], exchange, newest=DAY.toordinal(), page_number=1, now=now)
    body = (
        f'{{"stk_cd":"{symbol}","stk_min_pole_chart_qry":[{",".join(rows)}],"return_code":0,"return_msg":""}}'
    )
    answer = ApiResponse(200, (("api-id", "ka10080"),), body.encode())
    return list(read_minutes(answer, symbol, DAY).bars)


@pytest.mark.extended
@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(exchange, marks=() if exchange is Exchange.CONSOLIDATED else pytest.mark.extended)
        for exchange in Exchange
    ],
)
def test_a_day_equals_what_the_simulator_showed_at_each_slot(market: SimulatedMarket, exchange: Exchange):
    """All but the opening instant itself, before which no bar is labelled."""
    outcomes: Counter[str] = Counter()
    for listing in [one for one in market.members("013", exchange) if one.dormant_since is None][:12]:
        day = minute_day(served(market, listing.symbol, exchange), DAY, is_last_page=False)
        for quote in reconstruct(day, SLOTS):
            row = market.row(listing, exchange, market.sessions.moments(quote.slot))
            shown = [
                abs(int(row[name]))
                for name in ("cur_prc", "now_trde_qty", "open_pric", "high_pric", "low_pric")
            ]
            made = [quote.price, quote.volume, quote.open or 0, quote.high or 0, quote.low or 0]
            change, sign = int(row["pred_pre"]), int(row["pred_pre_sig"])
            is_equal = shown == made and (quote.change, quote.rate & 7, quote.rate >> 3) == (
                change,
                sign,
                round(float(row["flu_rt"]) * 100),
            )
            outcomes["equal" if is_equal else "opening" if quote.slot == OPENS else "different"] += 1
    assert outcomes["different"] == 0
    assert outcomes["equal"] >= 70 * sum(outcomes.values()) // 79


def bar(minute: float, close: int, volume: int, total: int | None, **more: int) -> MinuteBar:
    facts = {"open": close, "high": close, "low": close, "change": close - 1000, "sign": 2, **more}
    return MinuteBar(
        starts_at=OPENS + timedelta(minutes=minute), close=close, volume=volume, total_volume=total, **facts
    )


BARS = [bar(0, 1010, 5, 5, high=1015), bar(1, 1005, 2, 7, low=1001), bar(7, 1020, 3, 10, open=1018)]
EARLIER = bar(-1000, 990, 1, 1)


def test_a_slot_takes_the_last_bar_that_is_labelled_before_it():
    day = minute_day([*reversed(BARS), EARLIER], DAY, is_last_page=False)
    quotes = {minute: day.at(OPENS + timedelta(minutes=minute)) for minute in (0, 1, 2, 7, 8, 400)}
    assert (quotes[0].price, quotes[0].volume, quotes[0].open, quotes[0].rate & 7) == (1000, 0, None, 3)
    assert [quotes[minute].price for minute in (1, 2, 7, 8, 400)] == [1010, 1005, 1005, 1020, 1020]
    assert [quotes[minute].volume for minute in (1, 2, 7, 8, 400)] == [5, 7, 7, 10, 10]
    assert [quotes[8].open, quotes[8].high, quotes[8].low, quotes[8].change, quotes[8].rate >> 3] == [
        1010, 1020, 1001, 20, 200,
    ]  # fmt: skip


def test_volumes_are_added_up_where_the_api_does_not_say_them():
    day = minute_day([*[one._replace(total_volume=None) for one in BARS], EARLIER], DAY, is_last_page=False)
    assert day.at(SLOTS[-1]).volume == 10


def test_labels_on_the_half_minute_are_taken_as_they_are():
    half = [one._replace(starts_at=one.starts_at + timedelta(seconds=30)) for one in BARS]
    day = minute_day([*half, EARLIER], DAY, is_last_page=False)
    assert [day.at(OPENS + timedelta(minutes=minute)).price for minute in (1, 2)] == [1010, 1005]


@pytest.mark.parametrize(
    ("bars", "reason"),
    [
        ([], "there are no minute bars"),
        (BARS[1:], "the first bars of the day are missing"),
        ([BARS[0], BARS[2]], "do not add up"),
        ([*BARS, BARS[1]], "two bars have the same label"),
        ([one._replace(total_volume=None) for one in BARS], "nothing shows that the first bars"),
        ([BARS[0], BARS[1]._replace(change=7), BARS[2]], "do not agree on the previous close"),
        ([bar(-100_000, 990, 1, 1)], "too long ago"),
    ],
)
def test_a_day_that_its_bars_do_not_tell_is_refused(bars: list[MinuteBar], reason: str):
    with pytest.raises(CannotReconstruct, match=reason):
        minute_day(bars, DAY, is_last_page=False)


@pytest.mark.parametrize("has_total", [True, False])
def test_a_page_that_ends_within_the_day_is_refused_until_the_next_one_is_there(
    market: SimulatedMarket, has_total: bool
):
    whole = served(market, "005930")
    if not has_total:
        whole = [one._replace(total_volume=None) for one in whole]
    cut = whole[:200]
    with pytest.raises(CannotReconstruct, match="first bars"):
        minute_day(cut, DAY, is_last_page=False)
    day = minute_day([*cut, *whole[200:]], DAY, is_last_page=False)
    assert list(reconstruct(day, SLOTS)) == list(
        reconstruct(minute_day(whole, DAY, is_last_page=False), SLOTS)
    )


def test_an_untraded_day_stands_at_the_close_before():
    quote = minute_day([EARLIER], DAY, is_last_page=False).at(SLOTS[5])
    assert quote[1:] == (990, 0, 3, 0, None, None, None)


def test_a_split_on_the_day_is_measured_against_the_close_in_new_shares():
    split = [replace_change(one, 100) for one in BARS]
    day = minute_day([*split, EARLIER], DAY, is_last_page=False)
    assert (day.base, day.at(SLOTS[0]).price) == (100, 100)


def replace_change(one: MinuteBar, base: int) -> MinuteBar:
    return one._replace(change=one.close - base)


def test_observed_quotes_agree_if_the_bars_until_their_page_arrived_bear_them_out():
    day = minute_day([*BARS, EARLIER], DAY, is_last_page=False)
    at = OPENS + timedelta(minutes=7)
    late = at + timedelta(seconds=20)
    quotes = [
        ObservedQuote(at, late, 1005, 7),
        ObservedQuote(at, late, 1019, 9),
        ObservedQuote(at, late, 1030, 11),
    ]
    agreement = day.agree(quotes)
    assert (agreement.compared, agreement.prices, agreement.volumes) == (3, 2, 2)
