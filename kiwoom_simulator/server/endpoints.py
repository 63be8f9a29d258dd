"""The regular answers of the data calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from json import dumps

from collector.model import Exchange, Market, Sector
from kiwoom_simulator.market import history, indices, minutes
from kiwoom_simulator.market.market import PAGE, SimulatedMarket
from kiwoom_simulator.market.sessions import Moments
from kiwoom_simulator.server import witness_endpoints
from kiwoom_simulator.server.calls import Call
from kiwoom_simulator.server.clock import SimulatedClock
from kiwoom_simulator.server.protocol import EXCHANGES, UNKNOWN_SYMBOL, KeyOf, PagePosition, refuse_malformed
from kiwoom_simulator.server.reply import SimulatedReply, refuse

_BOARDS = {
    "0": Market.KOSPI,
    "1": Market.KOSDAQ,
    "2": Market.KOSPI200,
    "4": Market.KOSPI100,
    "7": Market.KRX100,
}
_EXCHANGE_OF = {"": Exchange.KRX, "NX": Exchange.NXT, "AL": Exchange.CONSOLIDATED}


@dataclass
class Endpoints:
    """The data calls over one market. `key_of` gives the next-key for a position in the walk."""

    market: SimulatedMarket
    sectors: Mapping[str, Sector]
    clock: SimulatedClock
    _indices: dict[str, tuple[Moments, bytes]] = field(default_factory=dict)

    def answer(self, call: Call, key_of: KeyOf) -> SimulatedReply:
        """The reply to a call with all required fields."""
        if call.api_id == "ka20002":
            return self._sector_page(call, key_of)
        if call.api_id == "ka10081":
            return self._daily_bars(call, key_of)
        if call.api_id == "ka10080":
            return self._minute_bars(call, key_of)
        if call.api_id == "ka10101":
            return self._sector_list(call)
        if call.api_id == "ka20003":
            return self._all_indices(call)
        return witness_endpoints.answer(call, self.market, self.sectors, self.clock.moments(), key_of)

    def _sector_page(self, call: Call, key_of: KeyOf) -> SimulatedReply:
        """ka20002. Only the sector code counts: mrkt_tp is ignored, as on the real server."""
        exchange, position = EXCHANGES.get(call.fields["stex_tp"]), call.position
        if exchange is None or position is None:
            return refuse(call.api_id, refuse_malformed("stex_tp"), "malformed")
        rest = len(self.market.members(call.sector, exchange)) - (position.page - 1) * PAGE
        return SimulatedReply(
            call.api_id,
            list_name="inds_stkpc",
            rows=self.market.page(call.sector, exchange, position.page, self.clock.moments()),
            count=min(PAGE, max(0, rest)),
            next_key=key_of(PagePosition(position.walk, position.page + 1)) if rest > PAGE else None,
        )

    def _daily_bars(self, call: Call, key_of: KeyOf) -> SimulatedReply:
        """ka10081: the days of one listing up to base_dt, newest first."""
        symbol, _, suffix = call.symbol.partition("_")
        listing, exchange = self.market.listings.get(symbol), _EXCHANGE_OF.get(suffix)
        if listing is None or exchange is None or (exchange is Exchange.NXT and not listing.is_on_nxt):
            return refuse(call.api_id, UNKNOWN_SYMBOL, "unknown_symbol")
        newest, adjusted = _ordinal(call.fields["base_dt"]), call.fields["upd_stkpc_tp"] == "1"
        if newest is None or call.position is None:
            return refuse(call.api_id, refuse_malformed("base_dt"), "malformed")
        bars = history.bars(
            self.market, listing, exchange, newest=newest, adjusted=adjusted, now=self.clock.moments()
        )
        rows, more = history.page(bars, call.position.page)
        return SimulatedReply(
            call.api_id,
            fields={"stk_cd": call.symbol},
            list_name="stk_dt_pole_chart_qry",
            rows=f"[{','.join(rows)}]".encode(),
            count=len(rows),
            next_key=key_of(PagePosition(call.position.walk, call.position.page + 1)) if more else None,
        )

    def _minute_bars(self, call: Call, key_of: KeyOf) -> SimulatedReply:
        """ka10080: the minutes of one listing up to the end of base_dt, newest first."""
        symbol, _, suffix = call.symbol.partition("_")
        listing, exchange = self.market.listings.get(symbol), _EXCHANGE_OF.get(suffix)
        if listing is None or exchange is None or (exchange is Exchange.NXT and not listing.is_on_nxt):
            return refuse(call.api_id, UNKNOWN_SYMBOL, "unknown_symbol")
        newest = _ordinal(call.fields["base_dt"])
        if newest is None or call.position is None or call.fields["tic_scope"] != "1":
            return refuse(call.api_id, refuse_malformed("base_dt"), "malformed")
        rows, more = minutes.page(
            self.market,
            listing,
            exchange,
            newest=newest,
            page_number=call.position.page,
            now=self.clock.moments(),
        )
        return SimulatedReply(
            call.api_id,
            fields={"stk_cd": call.symbol},
            list_name="stk_min_pole_chart_qry",
            rows=f"[{','.join(rows)}]".encode(),
            count=len(rows),
            next_key=key_of(PagePosition(call.position.walk, call.position.page + 1)) if more else None,
        )

    def _sector_list(self, call: Call) -> SimulatedReply:
        """ka10101: the sectors of a market, in one page."""
        market_code = call.fields["mrkt_tp"]
        board = _BOARDS.get(market_code)
        rows = [
            {
                "marketCode": _market_code(market_code, sector.code),
                "code": sector.code,
                "name": sector.name_ko,
                "group": _group(sector.code),
            }
            for sector in self.sectors.values()
            if sector.market is board
        ]
        return SimulatedReply(call.api_id, list_name="list", rows=_encode(rows), count=len(rows))

    def _all_indices(self, call: Call) -> SimulatedReply:
        """ka20003: one line per sector of a market, computed once per moment."""
        moments = self.clock.moments()
        cached = self._indices.get(call.sector)
        if cached is None or cached[0] != moments:
            board = {"001": Market.KOSPI, "101": Market.KOSDAQ}.get(call.sector)
            lines = [
                indices.line(sector, indices.state(self.market, sector.code, moments))
                for sector in self.sectors.values()
                if sector.market is board
            ]
            cached = self._indices[call.sector] = moments, _encode(lines)
        return SimulatedReply(
            call.api_id, list_name="all_inds_idex", rows=cached[1], count=cached[1].count(b"stk_cd")
        )


def _market_code(asked: str, code: str) -> str:
    """The indices without members carry 6 in the list of KOSPI (Kiwoom's own capture of 2026-07-01)."""
    return "6" if asked == "0" and code.startswith("6") else asked


def _group(code: str) -> str:
    """The number within the market, without zeros: 001 is 1, 030 is 30, 603 is 3."""
    return str(int(code[1:]))


def _encode(rows: list[dict[str, str]]) -> bytes:
    return dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _ordinal(text: str) -> int | None:
    """The ordinal of a date YYYYMMDD; None for any other text."""
    try:
        return datetime.strptime(text, "%Y%m%d").toordinal()  # noqa: DTZ007 - a date without a time
    except ValueError:
        return None
