"""The market in the form of the API: rows of strings by sector, exchange and instant, and pages of rows.

Tests compare with `rows`. `page` is the same content as JSON, cached until the prices move.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from collector.model import Exchange
from kiwoom_simulator.market.listings import Listing, universe
from kiwoom_simulator.market.membership import members
from kiwoom_simulator.market.quotes import QuoteModel, SimulatedQuote
from kiwoom_simulator.market.sessions import Moment, Moments, Sessions

PAGE = 100
"""Rows per page, as in the real API."""

_SUFFIX = {Exchange.KRX: "", Exchange.NXT: "_NX", Exchange.CONSOLIDATED: "_AL"}
_Key = Moment | tuple[Moment, Moment]


class SimulatedMarket:
    """The listings of a seed, their sectors and their quotes. The listings are drawn when they are first asked for."""

    def __init__(self, seed: int = 1, sessions: Sessions | None = None) -> None:
        self.sessions = sessions or Sessions()
        self._seed = seed
        self.tape = QuoteModel(self.sessions)
        self._rows: dict[tuple[str, Exchange], tuple[_Key, str]] = {}
        self._quotes: dict[str, tuple[Moment, SimulatedQuote]] = {}
        self._pages: dict[tuple[str, Exchange, int], tuple[_Key, bytes]] = {}

    def draw(self) -> None:
        """Draw the listings now."""
        self.sectors  # noqa: B018 - kept once it was asked for

    @cached_property
    def listings(self) -> Mapping[str, Listing]:
        """Every listing by its symbol."""
        return {listing.symbol: listing for listing in universe(self._seed)}

    @cached_property
    def sectors(self) -> Mapping[str, Sequence[Listing]]:
        """The members of each sector on KRX."""
        return members(self.listings.values())

    @cached_property
    def _on_nxt(self) -> Mapping[str, Sequence[Listing]]:
        return {
            code: tuple(listing for listing in listings if listing.is_on_nxt)
            for code, listings in self.sectors.items()
        }

    def members(self, sector: str, exchange: Exchange) -> Sequence[Listing]:
        """The listings of a sector on an exchange, in the order served; empty for an unknown sector."""
        sectors = self._on_nxt if exchange is Exchange.NXT else self.sectors
        return sectors.get(sector, ())

    def rows(self, sector: str, exchange: Exchange, at: datetime) -> list[dict[str, str]]:
        """Every row of a target at an aware instant, over all pages."""
        return self.rows_at(sector, exchange, self.sessions.moments(at))

    def rows_at(self, sector: str, exchange: Exchange, moments: Moments) -> list[dict[str, str]]:
        return [self.row(listing, exchange, moments) for listing in self.members(sector, exchange)]

    def row(self, listing: Listing, exchange: Exchange, moments: Moments) -> dict[str, str]:
        return _row(listing, exchange, self.tape.quote(listing, exchange, moments))

    def quote(self, listing: Listing, moments: Moments) -> SimulatedQuote:
        """A listing's quote on KRX, drawn once a moment although it counts in several indices."""
        cached = self._quotes.get(listing.symbol)
        if cached is None or cached[0] != moments.krx:
            cached = self._quotes[listing.symbol] = (
                moments.krx,
                self.tape.quote(listing, Exchange.KRX, moments),
            )
        return cached[1]

    def page(self, sector: str, exchange: Exchange, page_number: int, moments: Moments) -> bytes:
        """The rows of one page (counted from 1) as a JSON list."""
        page_key, key = (sector, exchange, page_number), moments.of(exchange)
        cached = self._pages.get(page_key)
        if cached is None or cached[0] != key:
            listings = self.members(sector, exchange)[(page_number - 1) * PAGE : page_number * PAGE]
            text = ",".join([self._encode_row(listing, exchange, moments, key) for listing in listings])
            cached = self._pages[page_key] = key, f"[{text}]".encode()
        return cached[1]

    def _encode_row(self, listing: Listing, exchange: Exchange, moments: Moments, key: _Key) -> str:
        """A row as JSON, built once per moment for all sectors of the listing. No value needs escaping."""
        cached = self._rows.get((listing.symbol, exchange))
        if cached is None or cached[0] != key:
            row = self.row(listing, exchange, moments)
            text = "{" + ",".join([f'"{name}":"{value}"' for name, value in row.items()]) + "}"
            cached = self._rows[listing.symbol, exchange] = key, text
        return cached[1]


def _row(listing: Listing, exchange: Exchange, quote: SimulatedQuote) -> dict[str, str]:
    """A quote in Kiwoom's form: the sign of a price is its direction against the previous close."""
    base, change = quote.base, quote.price - quote.base

    def with_direction(price: int | None) -> str:
        if price is None:
            return "0"
        return f"+{price}" if price > base else f"-{price}" if price < base else str(price)

    return {
        "stk_cd": listing.symbol + _SUFFIX[exchange],
        "stk_nm": listing.name,
        "cur_prc": with_direction(quote.price),
        "pred_pre_sig": sign(quote),
        "pred_pre": f"{change:+}" if change else "0",
        "flu_rt": percent(change, base),
        "now_trde_qty": str(quote.volume),
        "sel_bid": with_direction(quote.ask),
        "buy_bid": with_direction(quote.bid),
        "open_pric": with_direction(quote.open),
        "high_pric": with_direction(quote.high),
        "low_pric": with_direction(quote.low),
    }


def sign(quote: SimulatedQuote) -> str:
    if quote.price == quote.base:
        return "3"
    if quote.price > quote.base:
        return "1" if quote.price == quote.highest else "2"
    return "4" if quote.price == quote.lowest else "5"


def percent(change: int, base: int) -> str:
    """A change in percent of the base, rounded half up (away from zero) to two decimals, always signed."""
    points = (abs(change) * 20_000 + base) // (2 * base)
    sign = "" if points == 0 else "+" if change > 0 else "-"
    return f"{sign}{points // 100}.{points % 100:02}"
