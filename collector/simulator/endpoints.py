"""What each call of the API answers when nothing is wrong with it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from json import dumps

from collector.model import Exchange, Market, Sector
from collector.simulator import market as markets
from collector.simulator.calls import Call
from collector.simulator.protocol import Place, malformed
from collector.simulator.reply import Reply

NextKey = Callable[[Place], str]

_MARKETS = {
    "0": Market.KOSPI,
    "1": Market.KOSDAQ,
    "2": Market.KOSPI200,
    "4": Market.KOSPI100,
    "7": Market.KRX100,
}


def sector_page(call: Call, place: Place, market: markets.Market, at: datetime, next_key: NextKey) -> Reply:
    """ka20002: one page of a sector. The sector's code alone decides; mrkt_tp is ignored, as the real server does."""
    exchange = call.exchange
    if exchange is None:
        return Reply(call.api_id).refuse(malformed("stex_tp"), "malformed")
    total = len(market.members(call.sector, exchange))
    reply = Reply(call.api_id, list_name="inds_stkpc")
    reply.rows = market.page(call.sector, exchange, place.page, market.sessions.moments(at))
    reply.count = min(markets.PAGE, max(0, total - (place.page - 1) * markets.PAGE))
    if place.page * markets.PAGE < total:
        reply.next_key = next_key(Place(place.walk, place.page + 1))
    return reply


def sector_list(call: Call, sectors: Mapping[str, Sector]) -> Reply:
    """ka10101: the sectors of a market, in one page."""
    number = call.fields["mrkt_tp"]
    market = _MARKETS.get(number)
    rows = [
        {"marketCode": number, "code": sector.code, "name": sector.name_ko, "group": sector.code[0]}
        for sector in sectors.values()
        if sector.market is market
    ]
    encoded = dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(call.api_id, list_name="list", rows=encoded, count=len(rows))


def is_consolidated(call: Call) -> bool:
    return call.exchange is Exchange.CONSOLIDATED
