"""Builds every request that the program can send. Orders are impossible, because no function builds one."""

import json
from dataclasses import dataclass, field
from datetime import date

from collector.model import Exchange, Market, Target
from collector.secret import Secret

TOKEN, REVOKE, SECTORS, PRICES, BARS = "au10001", "au10002", "ka10101", "ka20002", "ka10081"
MINUTES = "ka10080"
API_IDS = frozenset({TOKEN, REVOKE, SECTORS, PRICES, BARS, MINUTES})

MARKET_CODE = {
    Market.KOSPI: "0",
    Market.KOSDAQ: "1",
    Market.KOSPI200: "2",
    Market.KOSPI100: "4",
    Market.KRX100: "7",
}
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

    def headers(self, token: Secret | None) -> dict[str, str]:
        """Return the headers as documented; the continuation pair only for a continued page."""
        headers = {"Content-Type": "application/json;charset=UTF-8", "api-id": self.api_id}
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
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
    body = _json(
        mrkt_tp=MARKET_CODE[target.market],
        inds_cd=target.sector,
        stex_tp=EXCHANGE_CODE[target.exchange],
    )
    return ApiRequest(PRICES, "/api/dostk/sect", body, page_key)


def ask_bars(symbol: str, last: date, *, adjusted: bool = False, page_key: str | None = None) -> ApiRequest:
    """ka10081: request daily bars of a listing up to `last`, newest first, 600 a page."""
    body = _json(stk_cd=symbol, base_dt=f"{last:%Y%m%d}", upd_stkpc_tp="1" if adjusted else "0")
    return ApiRequest(BARS, "/api/dostk/chart", body, page_key)


def ask_minutes(symbol: str, exchange: Exchange, day: date, page_key: str | None = None) -> ApiRequest:
    """ka10080: bars of one minute of a listing, newest first from the end of `day` on, 900 a page; unadjusted."""
    body = _json(stk_cd=symbol + SUFFIX[exchange], tic_scope="1", upd_stkpc_tp="0", base_dt=f"{day:%Y%m%d}")
    return ApiRequest(MINUTES, "/api/dostk/chart", body, page_key)
