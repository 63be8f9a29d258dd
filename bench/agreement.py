"""Reconstructed rows beside the rows that the simulator showed at the same slots, on the three venues.

    python -m bench agreement [--every N]

Every N-th listing of 001 and 101, 79 slots of a day from 09:00 to 15:30. All values of a row count: price, change,
sign, percent, volume, open, high, low. A slot takes the last bar labelled before it, so the bar of the opening auction
comes too late for the opening instant; those rows are counted apart.
"""

import argparse
from collections import Counter
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table

from bench.minutes import DAY
from collector.backfill.reconstruct import CannotReconstruct, SlotQuote, minute_day
from collector.kiwoom.protocol import ApiResponse, read_minutes
from collector.kiwoom.protocol.requests import SUFFIX
from collector.model import Exchange
from kiwoom_simulator.market.listings import Listing
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.minutes import page

OPENING = DAY + timedelta(hours=9)
SLOTS = [OPENING + timedelta(minutes=5 * index) for index in range(79)]
_COLUMNS = ("equal", "opening instant", "different", "untraded for long")


def main(arguments: list[str]) -> None:
    """Compare, and print one table."""
    parser = argparse.ArgumentParser(prog="bench agreement", description=__doc__)
    parser.add_argument("--every", type=int, default=20)
    chosen = parser.parse_args(arguments)
    market = SimulatedMarket()
    table = Table("", "listings", *_COLUMNS, title="rows by outcome", title_justify="left")
    for exchange in Exchange:
        members = [listing for sector in ("001", "101") for listing in market.members(sector, exchange)]
        listings = members[:: chosen.every]
        outcomes: Counter[str] = Counter()
        for listing in listings:
            outcomes += _compare(market, listing, exchange)
        counts = (f"{outcomes[name]:,}" for name in _COLUMNS)
        table.add_row(exchange, f"{len(listings):,}", *counts)
    Console().print(table)


def _compare(market: SimulatedMarket, listing: Listing, exchange: Exchange) -> Counter[str]:
    """The outcomes of one listing's slots."""
    now = market.sessions.moments(DAY + timedelta(days=2))
    rows, _ = page(market, listing, exchange, newest=DAY.toordinal(), page_number=1, now=now)
    symbol = listing.symbol + SUFFIX[exchange]
    body = (
        f'{{"stk_cd":"{symbol}","stk_min_pole_chart_qry":[{",".join(rows)}],"return_code":0,"return_msg":""}}'
    )
    answer = ApiResponse(200, (("api-id", "ka10080"),), body.encode())
    try:
        day = minute_day(read_minutes(answer, symbol, DAY.date()).bars, DAY.date(), is_last_page=False)
    except CannotReconstruct:
        return Counter({"untraded for long": len(SLOTS)})
    return Counter(_outcome(market, listing, exchange, day.at(slot)) for slot in SLOTS)


def _outcome(market: SimulatedMarket, listing: Listing, exchange: Exchange, quote: SlotQuote) -> str:
    shown = _shown(market, listing, exchange, quote.slot)
    extremes = (quote.open or 0, quote.high or 0, quote.low or 0)
    made = (quote.price, quote.change, quote.rate & 7, quote.rate >> 3, quote.volume, *extremes)
    if shown == made:
        return "equal"
    return "opening instant" if quote.slot == OPENING else "different"


def _shown(market: SimulatedMarket, listing: Listing, exchange: Exchange, slot: datetime) -> tuple[int, ...]:
    """Price, change, sign, basis points, volume, open, high and low of the row that ka20002 has at the slot."""
    row = market.row(listing, exchange, market.sessions.moments(slot))
    extremes = (abs(int(row[name])) for name in ("open_pric", "high_pric", "low_pric"))
    change, sign, volume = (int(row[name]) for name in ("pred_pre", "pred_pre_sig", "now_trde_qty"))
    return (abs(int(row["cur_prc"])), change, sign, round(float(row["flu_rt"]) * 100), volume, *extremes)
