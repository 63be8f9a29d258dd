"""Faults that refuse the request: throttling, dead tokens, wrong keys and hosts, maintenance, the firewall."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault
from kiwoom_simulator.server.protocol import (
    TOKEN_DEAD,
    TOO_MANY_CODES,
    UNEXPECTED,
    WRONG_ADDRESS,
    WRONG_HOST,
    WRONG_KEYS,
    ApiRefusal,
    refuse_group_throttled,
    refuse_throttled,
    refuse_total_throttled,
)

_MAINTENANCE = """<!DOCTYPE html><html lang="ko"><head><meta charset="utf-8"><title>시스템 점검 안내</title></head>
<body><h1>시스템 점검 중입니다</h1><p>보다 나은 서비스를 위해 점검을 진행하고 있습니다.</p></body></html>"""
_FIREWALL = """<html><head><title>Request Rejected</title></head><body>The requested URL was rejected.
Please consult with your administrator.<br><br>Your support ID is: 1138220011447733</body></html>"""


def _refuse(case: FaultContext, refusal: ApiRefusal) -> None:
    case.reply.refuse(refusal, "")


def _page(case: FaultContext, text: str, status: int, content_type: str = "text/html; charset=utf-8") -> None:
    """Answer with a page instead of Kiwoom's JSON: no Kiwoom header, no envelope."""
    case.reply.refuse(ApiRefusal(0, "", status), "")
    headers = (("Content-Type", content_type),)
    case.reply.instead = replace(case.answer, status=status, headers=headers, body=text.encode())


@fault(Stage.REFUSE, "1700 with HTTP 429; retry_after adds that header", quota=1, retry_after="")
def throttle_429(case: FaultContext, args: Args) -> None:
    _refuse(case, refuse_throttled(case.call.api_id, args.number("quota"), 429))
    if args.text("retry_after"):
        case.reply.headers = (("Retry-After", args.text("retry_after")),)


@fault(Stage.REFUSE, "1700 with HTTP 200", quota=1)
def throttle_200(case: FaultContext, args: Args) -> None:
    _refuse(case, refuse_throttled(case.call.api_id, args.number("quota"), 200))


@fault(Stage.REFUSE, "1701: too many requests over all api-ids", quota=5, status=429)
def throttle_1701(case: FaultContext, args: Args) -> None:
    _refuse(case, refuse_total_throttled(args.number("quota"), args.number("status")))


@fault(Stage.REFUSE, "1702: too many requests over the api-ids of a group", quota=5, status=429)
def throttle_1702(case: FaultContext, args: Args) -> None:
    _refuse(case, refuse_group_throttled(args.number("quota"), args.number("status")))


@fault(Stage.REFUSE, "HTTP 429 with an empty body, as a proxy in front would send it", retry_after="")
def throttle_bare_429(case: FaultContext, args: Args) -> None:
    _page(case, "", 429)
    if args.text("retry_after"):
        assert case.reply.instead is not None
        case.reply.instead = replace(case.reply.instead, headers=(("Retry-After", args.text("retry_after")),))


@fault(Stage.REFUSE, "1634: return code 5; waiting does not help")
def too_many_codes_1634(case: FaultContext, args: Args) -> None:
    _refuse(case, TOO_MANY_CODES)


@fault(
    Stage.REFUSE,
    "8005: the token of this request dies; kills=0: the answer only claims it",
    kills=1,
)
def token_8005(case: FaultContext, args: Args) -> None:
    if args.number("kills"):
        case.tokens.revoke(case.call.token)
    _refuse(case, TOKEN_DEAD)


@fault(Stage.REFUSE, "HTTP 401: the token of this request dies", kills=1)
def http_401(case: FaultContext, args: Args) -> None:
    if args.number("kills"):
        case.tokens.revoke(case.call.token)
    _refuse(case, TOKEN_DEAD._replace(status=401))


@fault(Stage.REFUSE, "8030: the key belongs to the other host (real or mock)", apis="")
def wrong_host_8030(case: FaultContext, args: Args) -> None:
    _refuse(case, WRONG_HOST)


@fault(Stage.REFUSE, "8050: the IP address is not registered", apis="")
def ip_8050(case: FaultContext, args: Args) -> None:
    _refuse(case, WRONG_ADDRESS)


@fault(Stage.REFUSE, "8010: the token was issued to another IP address")
def ip_8010(case: FaultContext, args: Args) -> None:
    _refuse(
        case,
        ApiRefusal(
            3, "인증에 실패했습니다[8010:Token을 발급받은 IP와 서비스를 요청한 IP가 동일하지 않습니다]"
        ),
    )


@fault(Stage.REFUSE, "8001: app key and secret key do not fit", apis="au10001")
def wrong_keys_8001(case: FaultContext, args: Args) -> None:
    _refuse(case, WRONG_KEYS)


@fault(Stage.REFUSE, "the firewall's HTML page, with HTTP 400", apis="")
def firewall_html_400(case: FaultContext, args: Args) -> None:
    _page(case, _FIREWALL, 400)


@fault(Stage.REFUSE, "the maintenance page: HTML with HTTP 200", apis="")
def maintenance_html_200(case: FaultContext, args: Args) -> None:
    _page(case, _MAINTENANCE, 200)


@fault(Stage.REFUSE, "maintenance as plain text, with this HTTP status", apis="", status=200)
def maintenance_text(case: FaultContext, args: Args) -> None:
    _page(case, "서비스 점검 중입니다", args.number("status"), "text/plain; charset=utf-8")


@fault(
    Stage.REFUSE,
    "maintenance as JSON with an unknown return code",
    apis="",
    return_code=-100,
    status=200,
)
def maintenance_json(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(args.number("return_code"), "시스템 점검 중입니다", args.number("status")))


@fault(Stage.REFUSE, "JSON of a gateway in front, with this HTTP status", status=503)
def gateway_json(case: FaultContext, args: Args) -> None:
    _page(case, '{"message":"no healthy upstream","code":9999}', args.number("status"), "application/json")


@fault(Stage.REFUSE, "a failed authentication, without a code in brackets", return_code=3, status=200)
def auth_without_code(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(args.number("return_code"), "인증에 실패했습니다", args.number("status")))


@fault(Stage.REFUSE, "the token is refused with HTTP 403 and JSON", kills=1)
def http_403(case: FaultContext, args: Args) -> None:
    if args.number("kills"):
        case.tokens.revoke(case.call.token)
    _refuse(case, ApiRefusal(1, "접근 권한이 없습니다", 403))


@fault(Stage.REFUSE, "HTTP 403 with a page of unclear cause: maintenance or a firewall", apis="")
def unavailable_html_403(case: FaultContext, args: Args) -> None:
    _page(case, "<html><body><h1>Service unavailable</h1></body></html>", 403)


@fault(
    Stage.REFUSE,
    "return code 1: the list has changed since the first page, ask anew (strike page 2 or later)",
)
def changed_list(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(1, "조회 이후에 자료가 변경되었습니다.(다시 조회하세요)"))


@fault(Stage.REFUSE, "return code 2: the next-key has expired (strike page 2 or later)", code=1517)
def expired_key(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(2, f"입력 값 오류입니다[{args.number('code')}:연속조회 키가 유효하지 않습니다]"))


@fault(Stage.REFUSE, "8104: the mock host does not offer this call")
def not_offered_8104(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(3, "인증에 실패했습니다[8104:모의투자에서는 지원하지 않는 API입니다]"))


@fault(Stage.REFUSE, "RC9000: the mock host does not offer this")
def not_offered_rc9000(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(20, "[2000](RC9000:모의투자에서는 해당업무가 제공되지 않습니다)"))


@fault(Stage.REFUSE, "an HTML error page with this HTTP status", status=503)
def http_5xx(case: FaultContext, args: Args) -> None:
    _page(case, f"<html><body><h1>{args.number('status')}</h1></body></html>", args.number("status"))


@fault(Stage.REFUSE, "JSON without an envelope, with this HTTP status", status=404)
def http_4xx(case: FaultContext, args: Args) -> None:
    _page(case, "{}", args.number("status"))


@fault(Stage.REFUSE, "1999: Kiwoom's own unexpected error")
def error_1999(case: FaultContext, args: Args) -> None:
    _refuse(case, UNEXPECTED)


@fault(Stage.REFUSE, "a permanent refusal with this code of the 15xx family", code=1517)
def rejected_15xx(case: FaultContext, args: Args) -> None:
    _refuse(
        case, ApiRefusal(2, f"입력 값 오류입니다[{args.number('code')}:입력 값 형식이 올바르지 않습니다]")
    )


@fault(Stage.REFUSE, "an error with an undocumented code", code=7777, return_code=9)
def unknown_code(case: FaultContext, args: Args) -> None:
    text = f"처리 중 오류가 발생했습니다[{args.number('code')}:알 수 없는 오류입니다]"
    _refuse(case, ApiRefusal(args.number("return_code"), text))


@fault(Stage.REFUSE, "the code stands in the text as CODE=8005 instead of [8005:…]", code=8005, return_code=3)
def code_as_text(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(args.number("return_code"), f"인증에 실패했습니다 CODE={args.number('code')}"))


@fault(Stage.REFUSE, "return code 20: a business error, no data")
def no_data_20(case: FaultContext, args: Args) -> None:
    _refuse(case, ApiRefusal(20, "[2000](RC9000) 조회된 내역이 없습니다"))


@fault(Stage.REFUSE, "a redirect; following it would send the body with its secret elsewhere",
       apis="", status=307, location="http://127.0.0.1:9/")  # fmt: skip
def redirect_307(case: FaultContext, args: Args) -> None:
    _page(case, "", args.number("status"))
    assert case.reply.instead is not None
    case.reply.instead = replace(case.reply.instead, headers=(("Location", args.text("location")),))


_QUOTES: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "first": lambda text: text[: max(12, len(text) // 2)],
    "last": lambda text: text[-max(12, len(text) // 2) :],
    "most": lambda text: text[:-4],
    "lines": lambda text: "\n".join(text[start : start + 6] for start in range(0, len(text), 6)),
    "base64": lambda text: b64encode(f"x{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: quote(text, safe=""),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
}
"""Ways in which a gateway may quote a value."""


@fault(
    Stage.REFUSE,
    "an error text quoting the request with keys and token; `form` is one of " + ", ".join(_QUOTES),
    apis="",
    code=1517,
    form="plain",
)
def quoted_request(case: FaultContext, args: Args) -> None:
    form = _QUOTES.get(args.text("form"), str)
    fields = " ".join(map(form, case.call.fields.values()))
    _refuse(case, ApiRefusal(2, f"[{args.number('code')}:{fields} Bearer {form(case.call.token)}]"))
