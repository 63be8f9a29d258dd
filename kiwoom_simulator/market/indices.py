"""Index values and their counts as ka20003, ka20009, ka20001 and ka20006 show them.

Counts follow Kiwoom's own captures of 2026-07-01: advancers + unchanged + decliners are the members that have traded,
untraded members are in none of the three, 001 leaves out ETF and ETN, and an index without members has zero counts
but a level and a volume.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import NamedTuple

from collector.model import Exchange, Sector
from kiwoom_simulator.market.listings import Listing, ListingKind
from kiwoom_simulator.market.market import SimulatedMarket, percent, sign
from kiwoom_simulator.market.noise import roll
from kiwoom_simulator.market.sessions import Moments

DAYS = 20
"""Days that ka20009 lists."""
BARS = 600
"""Bars a page of ka20006."""
_OUTSIDE = frozenset({ListingKind.ETF, ListingKind.ETN})
_LEVEL = 50


class IndexState(NamedTuple):
    """An index at one moment: its level in hundredths, its change, and what traded."""

    level: int
    change: int
    rate: str
    volume: int
    value: int
    signs: Counter[str]
    members: int

    @property
    def traded_count(self) -> int:
        return self.signs.total()


def index_members(market: SimulatedMarket, sector: str) -> list[Listing]:
    """The members that an index counts."""
    listings = market.members(sector, Exchange.KRX)
    return [listing for listing in listings if sector != "001" or listing.kind not in _OUTSIDE]


def state(market: SimulatedMarket, sector: str, moments: Moments) -> IndexState:
    """Where an index stands: its members weighed by value, 1,000.00 at their bases."""
    members = index_members(market, sector)
    if not members:
        return _memberless(sector, moments)
    quotes = [market.quote(listing, moments) for listing in members]
    base = sum(listing.shares * quote.base for listing, quote in zip(members, quotes, strict=True))
    value = sum(listing.shares * quote.price for listing, quote in zip(members, quotes, strict=True))
    level = 100_000 * value // base
    return IndexState(
        level,
        level - 100_000,
        percent(value - base, base),
        sum(quote.volume for quote in quotes),
        sum(quote.volume * quote.price for quote in quotes),
        Counter(sign(quote) for quote in quotes if quote.volume),
        len(quotes),
    )


def _memberless(sector: str, moments: Moments) -> IndexState:
    """A volatility or dividend index: a level and, but for the volatility index, a volume; all counts zero."""
    change = roll(int(sector), _LEVEL, moments.krx.day) % 2_001 - 1_000
    volume = 0 if sector == "603" else 1_000_000 + roll(int(sector), _LEVEL, moments.krx.day) % 1_000_000
    return IndexState(
        100_000 + change, change, percent(change, 100_000), volume, volume * 50_000, Counter(), 0
    )


def line(sector: Sector, now: IndexState) -> dict[str, str]:
    """A row of ka20003."""
    return {
        "stk_cd": sector.code,
        "stk_nm": sector.name_ko,
        "cur_prc": _points(now.level, now.change),
        "pre_sig": _sign(now.change),
        "pred_pre": f"{now.change / 100:+.2f}" if now.change else "0.00",
        "flu_rt": now.rate,
        "trde_qty": str(now.volume // 1_000),
        "wght": "",
        "trde_prica": str(now.value // 1_000_000),
        **_counts(now),
        "flo_stk_num": str(now.members),
    }


def days(
    market: SimulatedMarket, sector: str, moments: Moments
) -> tuple[dict[str, object], list[dict[str, str]]]:
    """The head of ka20009, and its days, newest first; the newest is the session shown."""
    now = state(market, sector, moments)
    head: dict[str, object] = {
        "cur_prc": _points(now.level, now.change),
        "pred_pre_sig": _sign(now.change),
        "pred_pre": f"{now.change / 100:+.2f}",
        "flu_rt": now.rate,
        "trde_qty": str(now.volume // 1_000),
        "trde_prica": str(now.value // 1_000_000),
        "trde_frmatn_stk_num": str(now.traded_count),
        "trde_frmatn_rt": f"+{100 * now.traded_count / now.members:.2f}" if now.members else "0.00",
        **_counts(now),
    }
    return head, [
        {
            "dt_n": f"{date.fromordinal(day):%Y%m%d}",
            "cur_prc_n": _points(past.level, past.change),
            "pred_pre_sig_n": _sign(past.change),
            "pred_pre_n": f"{past.change / 100:+.2f}",
            "flu_rt_n": past.rate,
            "acc_trde_qty_n": str(past.volume // 1_000),
        }
        for day, past in _past(market, sector, moments, DAYS)
    ]


def bars(
    market: SimulatedMarket, sector: str, newest: int, moments: Moments, page: int
) -> tuple[list[dict[str, str]], bool]:
    """A page of ka20006: levels in hundredths without a point. Past days are flat at their level."""
    start = min(newest, moments.krx.day)
    wanted = islice(market.sessions.back_from(start), (page - 1) * BARS, page * BARS)
    return [_bar(day, _level_of(sector, day)) for day in wanted], page < 2


def _bar(day: int, level: int) -> dict[str, str]:
    return {
        "cur_prc": str(level),
        "trde_qty": str(400_000 + level % 1_000),
        "dt": f"{date.fromordinal(day):%Y%m%d}",
        "open_pric": str(level),
        "high_pric": str(level + 300),
        "low_pric": str(level - 300),
        "trde_prica": str(9_000_000 + level),
    }


def _past(
    market: SimulatedMarket, sector: str, moments: Moments, count: int
) -> Iterator[tuple[int, IndexState]]:
    """The newest days with the state of each; days before the session shown are invented, not computed."""
    for day in islice(market.sessions.back_from(moments.krx.day), count):
        if day == moments.krx.day:
            yield day, state(market, sector, moments)
        else:
            level = _level_of(sector, day)
            change = level - 100_000
            yield (
                day,
                IndexState(level, change, percent(change, 100_000), 400_000_000 + level, 0, Counter(), 0),
            )


def _level_of(sector: str, day: int) -> int:
    return 98_000 + roll(int(sector), _LEVEL, day) % 4_001


def _counts(now: IndexState) -> dict[str, str]:
    signs = now.signs
    return {
        "upl": str(signs["1"]),
        "rising": str(signs["1"] + signs["2"]),
        "stdns": str(signs["3"]),
        "fall": str(signs["4"] + signs["5"]),
        "lst": str(signs["4"]),
    }


def _points(level: int, change: int) -> str:
    return f"{'+' if change > 0 else '-' if change < 0 else ''}{level / 100:.2f}"


def _sign(change: int) -> str:
    return "2" if change > 0 else "5" if change < 0 else "3"
