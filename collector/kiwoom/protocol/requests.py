"""Builds every request that the program can send. Orders are impossible, because no function builds one."""

import json
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from collector.model import Exchange, Market, Target
from collector.secret import Secret

TOKEN, REVOKE, SECTORS, PRICES, BARS = "au10001", "au10002", "ka10101", "ka20002", "ka10081"
MINUTES = "ka10080"
LISTINGS, INDICES, INDEX_DAYS, INDEX_BARS, FLOWS = "ka10099", "ka20003", "ka20009", "ka20006", "ka10051"
API_IDS = frozenset(
    {TOKEN, REVOKE, SECTORS, PRICES, BARS, MINUTES, LISTINGS, INDICES, INDEX_DAYS, INDEX_BARS, FLOWS}
)

MARKET_CODE = {
    Market.KOSPI: "0",
    Market.KOSDAQ: "1",
    Market.KOSPI200: "2",
    Market.KOSPI100: "4",
    Market.KRX100: "7",
}
LISTING_CODE = {Market.KOSPI: "0", Market.KOSDAQ: "10"}
"""mrkt_tp of ka10099, which numbers the boards in another way than ka20002."""
BOARD_SECTOR = {Market.KOSPI: "001", Market.KOSDAQ: "101"}
"""The sector that holds a whole board, which ka20003 is asked for."""
EXCHANGE_CODE = {Exchange.KRX: "1", Exchange.NXT: "2", Exchange.CONSOLIDATED: "3"}
SUFFIX = {Exchange.KRX: "", Exchange.NXT: "_NX", Exchange.CONSOLIDATED: "_AL"}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One POST: the call, its path, the JSON body, and the next-key of the page (None: the first page).

    The body is left out of the repr: that of a token request holds the keys, which are listed in `secrets`.
    """

    api_id: str
    path: str
    body: bytes = field(repr=False)
    page_key: str | None = None
    secrets: tuple[Secret, ...] = ()
    accepts_gzip: bool = False

    def headers(self, token: Secret | None) -> dict[str, str]:
        """Return the headers as documented; the continuation pair only for a continued page."""
        headers = {"Content-Type": "application/json;charset=UTF-8", "api-id": self.api_id}
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        if self.accepts_gzip:
            headers["Accept-Encoding"] = "gzip"
        if self.page_key is not None:
            headers |= {"cont-yn": "Y", "next-key": self.page_key}
        return headers


def _json(**fields: str) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def ask_token(app_key: Secret, secret_key: Secret) -> ApiRequest:
    """au10001: request a token for the key pair."""
    body = _json(grant_type="client_credentials", appkey=app_key.reveal(), secretkey=secret_key.reveal())
    return ApiRequest(TOKEN, "/oauth2/token", body, secrets=(app_key, secret_key))


def ask_revoke(app_key: Secret, secret_key: Secret, token: Secret) -> ApiRequest:
    """au10002: revoke a token, for every program with it."""
    body = _json(appkey=app_key.reveal(), secretkey=secret_key.reveal(), token=token.reveal())
    return ApiRequest(REVOKE, "/oauth2/revoke", body, secrets=(app_key, secret_key, token))


def ask_sectors(market: Market) -> ApiRequest:
    """ka10101: request the sectors of a market, one page."""
    return ApiRequest(SECTORS, "/api/dostk/stkinfo", _json(mrkt_tp=MARKET_CODE[market]))


def ask_prices(target: Target, page_key: str | None = None) -> ApiRequest:
    """ka20002: request one page of the prices of a sector's stocks; the body is repeated for every page."""
    return ApiRequest(PRICES, "/api/dostk/sect", _price_body(target), page_key)


@lru_cache(maxsize=1024)  # each page of a target, slot after slot
def _price_body(target: Target) -> bytes:
    return _json(
        mrkt_tp=MARKET_CODE[target.market],
        inds_cd=target.sector,
        stex_tp=EXCHANGE_CODE[target.exchange],
    )


def ask_bars(symbol: str, last: date, *, adjusted: bool = False, page_key: str | None = None) -> ApiRequest:
    """ka10081: request daily bars of a listing up to `last`, newest first, 600 a page."""
    body = _json(stk_cd=symbol, base_dt=f"{last:%Y%m%d}", upd_stkpc_tp="1" if adjusted else "0")
    return ApiRequest(BARS, "/api/dostk/chart", body, page_key)


def ask_minutes(symbol: str, exchange: Exchange, day: date, page_key: str | None = None) -> ApiRequest:
    """ka10080: bars of one minute of a listing, newest first from the end of `day` on, 900 a page; unadjusted."""
    body = _json(stk_cd=symbol + SUFFIX[exchange], tic_scope="1", upd_stkpc_tp="0", base_dt=f"{day:%Y%m%d}")
    return ApiRequest(MINUTES, "/api/dostk/chart", body, page_key)


def ask_listings(board: Market) -> ApiRequest:
    """ka10099: the listings of a board (KOSPI or KOSDAQ), all in one answer of some 700 kB."""
    return ApiRequest(LISTINGS, "/api/dostk/stkinfo", _json(mrkt_tp=LISTING_CODE[board]))


def ask_indices(board: Market) -> ApiRequest:
    """ka20003: the index and the counts of each sector of a board, on KRX."""
    return ApiRequest(INDICES, "/api/dostk/sect", _json(inds_cd=BOARD_SECTOR[board]))


def ask_index_days(board: Market) -> ApiRequest:
    """ka20009: the last 20 days of a board's index, the newest of which is the session shown."""
    body = _json(mrkt_tp=MARKET_CODE[board], inds_cd=BOARD_SECTOR[board])
    return ApiRequest(INDEX_DAYS, "/api/dostk/sect", body)


def ask_index_bars(sector: str, last: date, page_key: str | None = None) -> ApiRequest:
    """ka20006: daily bars of a sector's index up to `last`, newest first."""
    body = _json(inds_cd=sector, base_dt=f"{last:%Y%m%d}")
    return ApiRequest(INDEX_BARS, "/api/dostk/chart", body, page_key)


def ask_flows(board: Market, exchange: Exchange, day: date) -> ApiRequest:
    """ka10051: net purchases in money (`amt_qty_tp` 0) of each kind of investor, by sector, on one day."""
    body = _json(
        mrkt_tp=MARKET_CODE[board],
        amt_qty_tp="0",
        base_dt=f"{day:%Y%m%d}",
        stex_tp=EXCHANGE_CODE[exchange],
    )
    return ApiRequest(FLOWS, "/api/dostk/sect", body)
