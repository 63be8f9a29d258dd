"""Daily bars: they agree with the snapshots of their days, with each other, and with the calendar."""

from datetime import date, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model import KST, Exchange
from kiwoom_simulator.market.listings import Listing
from tests.simulator.test_market import LISTINGS, MARKET, ON_NXT, trading_days
from tests.support.api_client import Client, serving

CLOSED = datetime(2026, 11, 20, 21, 0, tzinfo=KST)
SPLIT = next(
    listing
    for listing in LISTINGS
    if listing.split is not None and listing.listed < date(2020, 1, 1).toordinal()
)
YOUNG = next(listing for listing in LISTINGS if listing.listed > date(2025, 6, 1).toordinal())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(LISTINGS), trading_days)
def test_a_days_bar_is_its_closing_snapshot(listing: Listing, day: date) -> None:
    bar = MARKET.tape.day(listing, Exchange.KRX, day.toordinal())
    snapshot = MARKET.tape.quote(listing, Exchange.KRX, MARKET.sessions.last(day.toordinal()))
    if bar is None:
        assert snapshot.volume == 0
    else:
        assert bar == snapshot._replace(ask=None, bid=None)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ON_NXT), trading_days)
def test_a_consolidated_bar_holds_the_volume_of_both_venues(listing: Listing, day: date) -> None:
    bars = [MARKET.tape.day(listing, exchange, day.toordinal()) for exchange in Exchange]
    if None not in bars:
        krx, nxt, both = (bar.volume for bar in bars if bar is not None)
        assert both == krx + nxt


async def test_pages_of_600_lead_back_to_the_listing() -> None:
    async with serving(freeze=CLOSED) as client:
        first = await client.bars(YOUNG.symbol, "20261120")
        assert first.headers["cont-yn"] == "N"
        assert first.rows[-1]["dt"] >= f"{date.fromordinal(YOUNG.listed):%Y%m%d}"
        old = await client.bars("005930", "20261120")
        older = await client.bars("005930", "20261120", old.headers["next-key"])
        dates = [bar["dt"] for bar in old.rows + older.rows]
        assert len(old.rows) == len(older.rows) == 600
        assert dates == sorted(set(dates), reverse=True)
        assert old.body["stk_cd"] == "005930"


async def test_bars_begin_at_the_base_date_or_the_trading_day_before() -> None:
    async with serving(freeze=CLOSED) as client:
        assert (await client.bars("005930", "20260101")).rows[0]["dt"] == "20251230"
        assert (await client.bars("005930", "20991231")).rows[0]["dt"] == "20261120"


async def test_no_trading_day_is_absent_from_a_listing_that_was_never_suspended() -> None:
    async with serving(freeze=CLOSED) as client:
        dates = [bar["dt"] for bar in (await client.bars("069500", "20261120")).rows]
        days = [
            f"{date.fromordinal(day):%Y%m%d}"
            for day, _ in zip(MARKET.sessions.back_from(date(2026, 11, 20).toordinal()), dates, strict=False)
        ]
        assert dates == days


async def test_adjusted_bars_differ_before_a_split_and_only_there() -> None:
    assert SPLIT.split is not None
    async with serving(freeze=CLOSED) as client:
        plain = (await client.bars(SPLIT.symbol, "20261120")).rows
        adjusted = (await client.bars(SPLIT.symbol, "20261120", adjusted="1")).rows
    split = f"{date.fromordinal(SPLIT.split.day):%Y%m%d}"
    differ = {
        one["dt"] for one, other in zip(plain, adjusted, strict=True) if one["cur_prc"] != other["cur_prc"]
    }
    assert differ == {bar["dt"] for bar in plain if bar["dt"] < split}
    closes = [int(bar["cur_prc"]) for bar in adjusted]
    assert all(0.65 < after / before < 1.35 for after, before in pairwise(closes))


async def test_the_running_day_has_a_bar_that_equals_the_snapshot() -> None:
    async with serving(freeze=datetime(2026, 11, 20, 11, 0, tzinfo=KST)) as client:
        bar = (await client.bars("005930", "20261120")).rows[0]
        now = await _row(client, "005930")
        assert (bar["dt"], bar["cur_prc"], bar["trde_qty"]) == (
            "20261120",
            now["cur_prc"].lstrip("+-"),
            now["now_trde_qty"],
        )


@pytest.mark.parametrize(
    ("symbol", "base", "code"),
    [("999999", "20261120", "1902"), ("069500_NX", "20261120", "1902"), ("005930", "2026-11-20", "1517"),
     ("005930", "", "1511")],
    ids=["unknown symbol", "not on NXT", "malformed date", "no date"],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused(symbol: str, base: str, code: str) -> None:
    async with serving(freeze=CLOSED) as client:
        assert (await client.bars(symbol, base)).code == code


async def _row(client: Client, symbol: str) -> dict[str, str]:
    walked = await client.walk("402")
    return next(row for got in walked for row in got.rows if row["stk_cd"] == symbol)
