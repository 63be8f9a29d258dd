"""The calls that can vouch for a walk: ka10099, ka20001, ka20009, ka20006 and ka10051."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from json import dumps

from collector.model import Market, Sector
from kiwoom_simulator.market import board_list, indices
from kiwoom_simulator.market.market import SimulatedMarket
from kiwoom_simulator.market.noise import roll
from kiwoom_simulator.market.sessions import Moments
from kiwoom_simulator.server.calls import Call
from kiwoom_simulator.server.protocol import EXCHANGES, KeyOf, PagePosition, refuse_malformed
from kiwoom_simulator.server.reply import SimulatedReply, refuse

_LISTED_ON = {"0": Market.KOSPI, "10": Market.KOSDAQ}
_BOARD_OF = {"0": Market.KOSPI, "1": Market.KOSDAQ}
_FLOW = 70
_INVESTORS = (
    "sc_netprps", "insrnc_netprps", "invtrt_netprps", "bank_netprps", "jnsinkm_netprps", "endw_netprps",
    "etc_corp_netprps", "ind_netprps", "frgnr_netprps", "native_trmt_frgnr_netprps", "natn_netprps",
    "samo_fund_netprps", "orgn_netprps",
)  # fmt: skip


def answer(
    call: Call, market: SimulatedMarket, sectors: Mapping[str, Sector], moments: Moments, key_of: KeyOf
) -> SimulatedReply:
    """The reply to one of these calls."""
    if call.api_id == "ka10099":
        return _listings(call, market, sectors, moments)
    if call.api_id == "ka20006":
        return _bars(call, market, moments, key_of)
    if call.api_id == "ka10051":
        return _flows(call, market, sectors)
    return _days(call, market, sectors, moments)


def _listings(
    call: Call, market: SimulatedMarket, sectors: Mapping[str, Sector], moments: Moments
) -> SimulatedReply:
    board = _LISTED_ON.get(call.fields["mrkt_tp"])
    rows = board_list.board_rows(market, sectors, board, moments) if board else []
    return _reply(call, "list", rows)


def _days(
    call: Call, market: SimulatedMarket, sectors: Mapping[str, Sector], moments: Moments
) -> SimulatedReply:
    """ka20009, and as much of ka20001 as the two share."""
    if call.sector not in sectors:
        return _reply(call, "inds_cur_prc_daly_rept", [])
    head, rows = indices.days(market, call.sector, moments)
    if call.api_id == "ka20001":
        state = indices.state(market, call.sector, moments)
        return SimulatedReply(call.api_id, fields={**head, "flo_stk_num": str(state.members)})
    return _reply(call, "inds_cur_prc_daly_rept", rows, head)


def _bars(call: Call, market: SimulatedMarket, moments: Moments, key_of: KeyOf) -> SimulatedReply:
    newest = _ordinal(call.fields["base_dt"])
    if newest is None or call.position is None:
        return refuse(call.api_id, refuse_malformed("base_dt"), "malformed")
    rows, more = indices.bars(market, call.sector, newest, moments, call.position.page)
    reply = _reply(call, "inds_dt_pole_qry", rows, {"inds_cd": call.sector})
    if more:
        reply.next_key = key_of(PagePosition(call.position.walk, call.position.page + 1))
    return reply


def _flows(call: Call, market: SimulatedMarket, sectors: Mapping[str, Sector]) -> SimulatedReply:
    """ka10051: invented amounts that are the same for the same day; levels and rates times 100, without a point."""
    day, board = _ordinal(call.fields["base_dt"]), _BOARD_OF.get(call.fields["mrkt_tp"])
    if day is None or EXCHANGES.get(call.fields["stex_tp"]) is None:
        return refuse(call.api_id, refuse_malformed("base_dt"), "malformed")
    served = market.sessions.is_open(day)
    rows = [
        _flow(sector, day, int(call.fields["stex_tp"]))
        for sector in sectors.values()
        if served and sector.market is board and not sector.index_only
    ]
    return _reply(call, "inds_netprps", rows)


def _flow(sector: Sector, day: int, exchange: int) -> dict[str, str]:
    draws = [roll(int(sector.code) * 10 + exchange, _FLOW + index, day) for index in range(len(_INVESTORS))]
    change = draws[0] % 601 - 300
    return {
        "inds_cd": sector.code,
        "inds_nm": sector.name_ko,
        "cur_prc": f"{'+' if change > 0 else '-'}{100_000 + change}",
        "pre_smbol": "2" if change > 0 else "5",
        "pred_pre": f"{change:+}",
        "flu_rt": str(change // 10),
        "trde_qty": str(100_000 + draws[1] % 100_000),
        **{
            name: _with_sign(draw % 2_001 - 1_000, draw) for name, draw in zip(_INVESTORS, draws, strict=True)
        },
    }


def _with_sign(amount: int, chance: int) -> str:
    """With a sign in any case; zero comes as `+0` and as `-0`."""
    return f"{amount:+}" if amount else ("-0" if chance % 2 else "+0")


def _reply(
    call: Call, name: str, rows: Sequence[Mapping[str, str]], fields: dict[str, object] | None = None
) -> SimulatedReply:
    body = dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return SimulatedReply(call.api_id, fields=fields or {}, list_name=name, rows=body, count=len(rows))


def _ordinal(text: str) -> int | None:
    try:
        return datetime.strptime(text, "%Y%m%d").toordinal()  # noqa: DTZ007 - a date without a time
    except ValueError:
        return None
