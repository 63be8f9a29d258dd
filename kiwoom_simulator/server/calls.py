"""Parses a request: api-id, fields and position in a walk."""

from dataclasses import dataclass
from json import JSONDecodeError, loads

from collector.model import Exchange
from kiwoom_simulator.server.http import HttpRequest
from kiwoom_simulator.server.protocol import EXCHANGES, PagePosition, place_of

REQUIRED: dict[str, tuple[str, ...]] = {
    "au10001": ("grant_type", "appkey", "secretkey"),
    "au10002": ("appkey", "secretkey", "token"),
    "ka10101": ("mrkt_tp",),
    "ka20002": ("mrkt_tp", "inds_cd", "stex_tp"),
    "ka20003": ("inds_cd",),
    "ka20001": ("mrkt_tp", "inds_cd"),
    "ka20009": ("mrkt_tp", "inds_cd"),
    "ka20006": ("inds_cd", "base_dt"),
    "ka10051": ("mrkt_tp", "amt_qty_tp", "base_dt", "stex_tp"),
    "ka10099": ("mrkt_tp",),
    "ka10081": ("stk_cd", "base_dt", "upd_stkpc_tp"),
    "ka10080": ("stk_cd", "tic_scope", "upd_stkpc_tp", "base_dt"),
}
"""The imitated calls with their required fields, in the order of the error messages."""

PATHS: dict[str, str] = {
    "au10001": "/oauth2/token",
    "au10002": "/oauth2/revoke",
    "ka10101": "/api/dostk/stkinfo",
    "ka20002": "/api/dostk/sect",
    "ka20003": "/api/dostk/sect",
    "ka20001": "/api/dostk/sect",
    "ka20009": "/api/dostk/sect",
    "ka20006": "/api/dostk/chart",
    "ka10051": "/api/dostk/sect",
    "ka10099": "/api/dostk/stkinfo",
    "ka10081": "/api/dostk/chart",
    "ka10080": "/api/dostk/chart",
}
_BY_PATH = {"/oauth2/token": "au10001", "/oauth2/revoke": "au10002"}


@dataclass(slots=True)
class Call:
    """One parsed request. `key` is the next-key of the request, "" on a first page."""

    api_id: str
    path: str
    fields: dict[str, str]
    token: str
    key: str
    agent: str = ""
    """The User-Agent of the client."""
    position: PagePosition | None = None
    """The position in a walk; None for a next-key never issued for this request."""

    @property
    def is_data(self) -> bool:
        return self.api_id.startswith("k")

    @property
    def sector(self) -> str:
        return self.fields.get("inds_cd", "")

    @property
    def exchange(self) -> Exchange | None:
        return EXCHANGES.get(self.fields.get("stex_tp", ""))

    @property
    def symbol(self) -> str:
        return self.fields.get("stk_cd", "")

    @property
    def page(self) -> int:
        return self.position.page if self.position is not None else 0


def read(request: HttpRequest, walk: int, *, bound_to_token: bool) -> Call:
    """Parse a request. `walk` is the number of the walk if the request begins one."""
    headers = request.headers
    api_id = _BY_PATH.get(request.path) or headers.get("api-id", "")
    key = headers.get("next-key", "") if headers.get("cont-yn", "").upper() == "Y" else ""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    call = Call(
        api_id,
        request.path,
        _fields(request.body),
        token if scheme.lower() == "bearer" else "",
        key,
        headers.get("user-agent", ""),
    )
    call.position = place_of(key, request_fingerprint(call, bound_to_token)) if key else PagePosition(walk, 1)
    return call


def request_fingerprint(call: Call, bound_to_token: bool) -> str:
    """The fields bound to a next-key; a continuation must repeat them."""
    fields = ",".join(
        call.fields.get(name, "") for name in REQUIRED.get(call.api_id, ()) if name != "mrkt_tp"
    )
    return f"{fields}/{call.token[:8] if bound_to_token else ''}"


def missing_field(call: Call) -> str | None:
    return next((name for name in REQUIRED[call.api_id] if not call.fields.get(name)), None)


def _fields(body: bytes) -> dict[str, str]:
    """The text fields of the body. A body without a JSON object gives no fields."""
    try:
        document = loads(body or b"{}")
    except (JSONDecodeError, UnicodeDecodeError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {name: value for name, value in document.items() if isinstance(value, str)}
