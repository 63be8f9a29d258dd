"""The simulated market: its size is the real one's, and its prices obey what is known of the real ones."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from collector.market.sectors import bundled_sectors
from collector.model import KST, Exchange
from kiwoom_simulator import SimulatedMarket
from kiwoom_simulator.market import ticks
from kiwoom_simulator.market.listings import Listing, ListingKind, universe
from kiwoom_simulator.market.sessions import Sessions

MARKET = SimulatedMarket()
OPEN = datetime(2026, 11, 20, 11, 3, 7, tzinfo=KST)
LISTINGS = tuple(MARKET.listings.values())
ON_NXT = tuple(listing for listing in LISTINGS if listing.is_on_nxt)
PRICES = ("cur_prc", "sel_bid", "buy_bid", "open_pric", "high_pric", "low_pric")

listings = st.sampled_from(LISTINGS)
instants = st.datetimes(datetime(2025, 1, 3), datetime(2027, 12, 30)).map(lambda at: at.replace(tzinfo=UTC))
trading_days = st.dates(date(2025, 1, 3), date(2027, 12, 30)).filter(
    lambda day: MARKET.sessions.is_open(day.toordinal())
)


def row(listing: Listing, exchange: Exchange, at: datetime) -> dict[str, str]:
    return MARKET.row(listing, exchange, MARKET.sessions.moments(at))


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=KST)


@pytest.mark.parametrize(
    ("sector", "size"),
    [("001", 2477), ("101", 1821), ("106", 1116), ("027", 557), ("139", 299), ("008", 123), ("138", 100),
     ("013", 81), ("016", 62), ("002", 100), ("003", 200), ("201", 200), ("150", 150), ("401", 100), ("402", 50),
     ("701", 100)],
)  # fmt: skip
def test_sectors_have_the_sizes_that_were_seen(sector: str, size: int) -> None:
    assert len(MARKET.members(sector, Exchange.KRX)) == size


def test_a_sector_of_the_table_is_empty_only_if_it_has_no_members_by_nature() -> None:
    table = bundled_sectors()
    empty = {code for code in table if not MARKET.members(code, Exchange.KRX)}
    assert empty == {code for code, sector in table.items() if sector.index_only}


def test_the_industries_part_the_common_stock_of_their_board() -> None:
    industries = [
        code for code, sector in bundled_sectors().items() if sector.kind == "industry" and code < "100"
    ]
    stood = Counter(listing.symbol for code in industries for listing in MARKET.members(code, Exchange.KRX))
    commons = {
        listing.symbol
        for listing in MARKET.members("001", Exchange.KRX)
        if listing.kind is ListingKind.COMMON
    }
    assert set(stood) == commons
    assert set(stood.values()) == {1}


def test_kospi_kosdaq_and_kospi200_on_all_exchanges_hold_about_thirty_thousand_rows() -> None:
    wanted = [
        code for code, sector in bundled_sectors().items() if sector.market in ("KOSPI", "KOSDAQ", "KOSPI200")
    ]
    assert (
        29_000 < sum(len(MARKET.members(code, exchange)) for code in wanted for exchange in Exchange) < 31_000
    )


def test_no_fund_trades_on_nxt() -> None:
    assert len(ON_NXT) == 606
    assert {listing.kind for listing in ON_NXT} == {ListingKind.COMMON}


def test_symbols_and_names_are_unique_and_some_symbols_hold_letters() -> None:
    symbols = [listing.symbol for listing in LISTINGS]
    assert len(set(symbols)) == len({listing.name for listing in LISTINGS}) == len(LISTINGS)
    assert all(re.fullmatch(r"[0-9A-Z]{6}", symbol) for symbol in symbols)
    assert {"0126Z0", "33626K", "005930"} <= set(symbols)
    assert max(len(listing.name) for listing in LISTINGS) <= 40


def test_another_seed_is_another_market_with_the_same_best_known() -> None:
    other = {listing.symbol: listing for listing in universe(2)}
    assert other.keys() != MARKET.listings.keys()
    assert other["005930"].name == "삼성전자"
    assert other["005930"].key != MARKET.listings["005930"].key


def test_rows_come_in_the_order_of_their_symbols() -> None:
    symbols = [found["stk_cd"] for found in MARKET.rows("101", Exchange.KRX, OPEN)]
    assert symbols == sorted(symbols)


@pytest.mark.extended
def test_a_day_shows_every_kind_of_row() -> None:
    day = MARKET.rows("001", Exchange.KRX, at(date(2026, 11, 20), 16)) + MARKET.rows(
        "101", Exchange.KRX, OPEN
    )
    signs = Counter(found["pred_pre_sig"] for found in day)
    assert signs.keys() == {"1", "2", "3", "4", "5"}
    untraded = [found for found in day if found["now_trde_qty"] == "0"]
    assert len(untraded) > 50
    with_quotes = [found for found in untraded if found["sel_bid"] != "0" and found["buy_bid"] != "0"]
    suspended = [found for found in untraded if found["sel_bid"] == found["buy_bid"] == "0"]
    assert len(with_quotes) > 10
    assert len(suspended) > 10
    at_the_limit = [found for found in day if found["pred_pre_sig"] == "1"]
    assert {found["sel_bid"] for found in at_the_limit} == {"0"}
    traded = [found for found in day if found["now_trde_qty"] != "0" and found["buy_bid"] != "0"]
    assert any(abs(int(found["cur_prc"])) < abs(int(found["buy_bid"])) for found in traded)
    assert all(not found[name].strip("+-0123456789") for found in day for name in PRICES)


def test_codes_with_letters_stand_in_ascii_order_on_pages_of_100() -> None:
    symbols = [found["stk_cd"] for found in MARKET.rows("001", Exchange.KRX, OPEN)]
    assert symbols == sorted(symbols)
    assert sum(not symbol.isdigit() for symbol in symbols) > 20


@pytest.mark.extended
@settings(max_examples=400, deadline=None)
@given(listings, st.sampled_from(Exchange), instants)
def test_a_row_obeys_the_invariants_of_the_api(listing: Listing, exchange: Exchange, when: datetime) -> None:
    if exchange is Exchange.NXT and not listing.is_on_nxt:
        return
    found = row(listing, exchange, when)
    change, price = int(found["pred_pre"]), abs(int(found["cur_prc"]))
    base = price - change
    expected = (Decimal(100) * change / base).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert Decimal(found["flu_rt"]) == expected
    assert all(_sign(found[name], base) for name in PRICES if found[name] != "0")
    assert all(_is_legal(abs(int(found[name])), listing.is_fund) for name in PRICES)
    lowest, highest = ticks.limits(base, fund=listing.is_fund)
    assert lowest <= price <= highest
    assert found["pred_pre_sig"] == _expected_sign(price, base, lowest, highest)
    if found["now_trde_qty"] == "0":
        assert change == 0
        assert [found[name] for name in PRICES[3:]] == ["0"] * 3
        return
    low, high, opening = (abs(int(found[name])) for name in ("low_pric", "high_pric", "open_pric"))
    assert lowest <= low <= price <= high <= highest
    assert low <= opening <= high
    ask, bid = abs(int(found["sel_bid"])), abs(int(found["buy_bid"]))
    assert (ask or highest + 1) > (bid or lowest - 1)


def _sign(text: str, base: int) -> bool:
    price = abs(int(text))
    return text == (f"+{price}" if price > base else f"-{price}" if price < base else str(price))


def _is_legal(price: int, fund: bool) -> bool:
    return price == 0 or ticks.floor(price, fund=fund) == price


def _expected_sign(price: int, base: int, lowest: int, highest: int) -> str:
    if price == base:
        return "3"
    return ("1" if price == highest else "2") if price > base else ("4" if price == lowest else "5")


@pytest.mark.extended
@settings(max_examples=200, deadline=None)
@given(
    listings, st.sampled_from(Exchange), trading_days, st.integers(8 * 3600, 20 * 3600), st.integers(1, 3600)
)
def test_within_a_day_volume_and_high_only_grow_and_the_low_only_falls(
    listing: Listing, exchange: Exchange, day: date, second: int, later: int
) -> None:
    if exchange is Exchange.NXT and not listing.is_on_nxt:
        return
    first, then = (at(day, 0) + timedelta(seconds=second), at(day, 0) + timedelta(seconds=second + later))
    before, after = (MARKET.sessions.moments(when) for when in (first, then))
    if before.krx.day != day.toordinal() or before.nxt.day != day.toordinal():
        return
    early, late = (MARKET.tape.quote(listing, exchange, moments) for moments in (before, after))
    assert late.volume >= early.volume
    assert late.base == early.base
    if early.high is not None and late.high is not None and early.low is not None and late.low is not None:
        assert late.high >= early.high
        assert late.low <= early.low


@pytest.mark.extended
@settings(max_examples=300, deadline=None)
@given(listings, trading_days)
def test_yesterdays_close_is_todays_base_unless_the_shares_were_split(listing: Listing, day: date) -> None:
    ordinal = day.toordinal()
    before = MARKET.sessions.previous(ordinal)
    split = listing.split
    if split is not None and before < split.day <= ordinal:
        return
    yesterday = MARKET.tape.quote(listing, Exchange.KRX, MARKET.sessions.last(before))
    today = MARKET.tape.quote(listing, Exchange.KRX, MARKET.sessions.last(ordinal))
    assert today.base == yesterday.price


@pytest.mark.extended
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ON_NXT), trading_days, st.integers(10 * 3600, 20 * 3600))
def test_consolidated_volume_is_that_of_both_venues(listing: Listing, day: date, second: int) -> None:
    when = at(day, 0) + timedelta(seconds=second)
    moments = MARKET.sessions.moments(when)
    assume(moments.krx.day == moments.nxt.day)
    krx, nxt, both = (int(row(listing, exchange, when)["now_trde_qty"]) for exchange in Exchange)
    assert both == krx + nxt


@pytest.mark.parametrize("second", [0, 1, 29])
@pytest.mark.parametrize("listing", ON_NXT[:3], ids=lambda listing: listing.symbol)
def test_where_nxt_opens_after_krx_the_consolidated_tape_is_krxs_until_then(
    listing: Listing, second: int
) -> None:
    """The first trading day of a year begins at ten, and NXT half a minute later."""
    when = at(date(2027, 1, 4), 10) + timedelta(seconds=second)
    krx, nxt, both = (row(listing, exchange, when) for exchange in Exchange)
    assert both["now_trde_qty"] == krx["now_trde_qty"] != nxt["now_trde_qty"]
    assert both["cur_prc"] == krx["cur_prc"]


@pytest.mark.extended
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([listing for listing in ON_NXT if not listing.is_thin]),
    trading_days,
    st.integers(10 * 3600 + 600, 15 * 3600),
)
def test_the_venues_differ_by_a_tick_or_two(listing: Listing, day: date, second: int) -> None:
    """Once both are open for a while: KRX opens at ten on the year's first day, when NXT has long moved on.

    A thin listing trades so rarely that its last trades on both venues may be far apart in time.
    """
    when = at(day, 0) + timedelta(seconds=second)
    krx, nxt = (
        abs(int(row(listing, exchange, when)["cur_prc"])) for exchange in (Exchange.KRX, Exchange.NXT)
    )
    assert abs(krx - nxt) <= 3 * max(ticks.tick(krx), ticks.tick(nxt))


def test_prices_stand_between_two_steps_and_move_with_them() -> None:
    assert MARKET.rows("201", Exchange.KRX, OPEN) == MARKET.rows(
        "201", Exchange.KRX, OPEN + timedelta(seconds=1)
    )
    assert MARKET.rows("201", Exchange.KRX, OPEN) != MARKET.rows(
        "201", Exchange.KRX, OPEN + timedelta(minutes=1)
    )


@pytest.mark.parametrize(
    ("when", "shows"),
    [
        (datetime(2026, 11, 20, 15, 30, tzinfo=KST), date(2026, 11, 20)),
        (datetime(2026, 11, 21, 12, 0, tzinfo=KST), date(2026, 11, 20)),
        (datetime(2026, 11, 23, 8, 59, 59, tzinfo=KST), date(2026, 11, 20)),
        (datetime(2026, 11, 23, 9, 0, tzinfo=KST), date(2026, 11, 23)),
        (datetime(2026, 11, 19, 9, 30, tzinfo=KST), date(2026, 11, 18)),
        (datetime(2026, 1, 2, 9, 30, tzinfo=KST), date(2025, 12, 30)),
    ],
    ids=["the close", "Saturday", "before the opening", "the opening", "exam day", "first day of the year"],
)
def test_krx_shows_the_session_before_until_the_next_one_opens(when: datetime, shows: date) -> None:
    assert MARKET.sessions.moments(when).krx.day == shows.toordinal()


def test_nxt_opens_an_hour_before_krx() -> None:
    moments = MARKET.sessions.moments(datetime(2026, 11, 23, 8, 30, tzinfo=KST))
    assert moments.nxt.day == date(2026, 11, 23).toordinal()
    assert moments.krx.day == date(2026, 11, 20).toordinal()


FRIDAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("closes", "before", "opens"),
    [
        (at(FRIDAY, 8, 50), at(FRIDAY, 9, 0, 29), at(FRIDAY, 9, 0, 30)),
        (at(FRIDAY, 15, 20), at(FRIDAY, 15, 39, 59), at(FRIDAY, 15, 40)),
        (at(FRIDAY, 20), at(date(2026, 11, 23), 7, 59, 59), at(date(2026, 11, 23), 8)),
    ],
    ids=["before noon", "at KRX's close", "overnight"],
)
def test_nxt_stands_between_its_sessions(closes: datetime, before: datetime, opens: datetime) -> None:
    shown = MARKET.rows("013", Exchange.NXT, closes)
    assert MARKET.rows("013", Exchange.NXT, closes + timedelta(minutes=1)) == shown
    assert MARKET.rows("013", Exchange.NXT, before) == shown
    assert MARKET.rows("013", Exchange.NXT, opens) != shown


LATE = SimulatedMarket(sessions=Sessions(after_market_moves=True))
"""The market of those who believe that KRX's after-market moves what ka20002 shows."""


def test_krxs_after_market_moves_nothing_unless_it_is_asked_to() -> None:
    shown = MARKET.rows("013", Exchange.KRX, at(FRIDAY, 15, 30))
    assert MARKET.rows("013", Exchange.KRX, at(FRIDAY, 18)) == shown
    assert LATE.rows("013", Exchange.KRX, at(FRIDAY, 15, 59, 59)) == shown
    assert LATE.rows("013", Exchange.KRX, at(FRIDAY, 18)) != shown
    assert LATE.rows("013", Exchange.KRX, at(FRIDAY, 18)) != LATE.rows("013", Exchange.KRX, at(FRIDAY, 19))
    assert LATE.rows("013", Exchange.KRX, at(FRIDAY, 20)) == LATE.rows(
        "013", Exchange.KRX, at(date(2026, 11, 22), 9)
    )


def test_before_there_was_an_after_market_nothing_moves_after_the_close() -> None:
    before = date(2026, 9, 11)
    assert LATE.rows("013", Exchange.KRX, at(before, 18)) == MARKET.rows("013", Exchange.KRX, at(before, 18))


@settings(max_examples=100, deadline=None)
@given(listings, st.integers(16 * 3600, 20 * 3600), st.integers(1, 3600))
def test_in_the_after_market_prices_keep_to_the_day_and_only_volume_grows(
    listing: Listing, second: int, later: int
) -> None:
    closed, early, late = (
        LATE.quote(listing, LATE.sessions.moments(at(FRIDAY, 0) + timedelta(seconds=when)))
        for when in (15 * 3600 + 1800, second, second + later)
    )
    assert closed.volume <= early.volume <= late.volume
    assert (late.base, late.open, late.high, late.low) == (closed.base, closed.open, closed.high, closed.low)


@settings(max_examples=50, deadline=None)
@given(listings)
def test_what_the_after_market_moves_is_neither_the_days_bar_nor_tomorrows_base(listing: Listing) -> None:
    evening, monday = (LATE.sessions.moments(at(day, 20)) for day in (FRIDAY, date(2026, 11, 23)))
    assert LATE.tape.running(listing, Exchange.KRX, evening) == MARKET.tape.running(
        listing, Exchange.KRX, MARKET.sessions.moments(at(FRIDAY, 20))
    )
    assert LATE.quote(listing, monday).base == MARKET.quote(listing, monday).base


@given(st.integers(1, 3_000_000), st.booleans())
def test_a_tick_up_and_a_tick_down_meet_again(price: int, fund: bool) -> None:
    legal = ticks.floor(price, fund=fund)
    assert ticks.below(ticks.above(legal, fund=fund), fund=fund) == legal
