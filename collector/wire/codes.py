"""From Kiwoom's error codes to ours: one table, so that each code is judged in one place.

`return_code` is only a class of errors; the code that means something stands in the text, as `[1700:…` or
`CODE=8005`. The codes and what to do about each are those of the official CLI and of public clients that
measured; a code that is not here is `Rejected`, since nobody can say that asking again would help.
"""

import re
from collections.abc import Mapping

from collector.errors import ApiError, CollectorError, Denied, Rejected, Throttled, TokenExpired, Unavailable

_CODE = re.compile(r"\[(\d{3,5}):|CODE=(\d{3,5})", re.ASCII)
_QUOTA = re.compile(r"유량=(\d{1,4})", re.ASCII)

THROTTLED = frozenset({1700, 1701, 1702})
_OF_SEVERAL = frozenset({1701, 1702})
"""Their 유량=N is what all calls have together, or a group of them, which says nothing of one."""
EXPIRED = frozenset({8003, 8005, 8006, 8009, 8031, 8103})
UNAVAILABLE = frozenset({1999})
DENIED = frozenset({8001, 8002, 8010, 8011, 8012, 8020, 8030, 8040, 8050, 8104, 8200})
TOO_MANY_REQUESTS = 5

_KEYS = (
    "check KIWOOM_APP_KEY and KIWOOM_SECRET_KEY against the pair issued at openapi.kiwoom.com"
    " / 앱키와 시크릿키가 키움에서 발급받은 한 쌍인지 확인하세요"
)
_ADDRESS = (
    "register this machine's public IP address with the key at openapi.kiwoom.com"
    " / 이 장비의 공인 IP를 키움 홈페이지에서 지정단말기로 등록하세요"
)
_HOST = (
    "a key of the mock host works on the mock host only, a real one on the real host only:"
    " set KIWOOM_BASE_URL to the other, or use the other key"
    " / 실전용 키는 api.kiwoom.com, 모의용 키는 mockapi.kiwoom.com에서만 쓸 수 있습니다"
)
_OPERATOR = "Kiwoom refuses this key: see the text / 키움이 이 키를 거부했습니다. 위 메시지를 확인하세요"
FIREWALL = (
    "the firewall in front of the API refuses this client: set api.user_agent to a product name of your"
    " own, or ask Kiwoom about this address"
    " / 방화벽이 요청을 막았습니다. api.user_agent를 바꾸거나 키움에 문의하세요"
)

MEANINGS: Mapping[int, tuple[str, str]] = {
    1501: ("API ID가 비어 있습니다.", "The API ID is missing."),
    1504: ("이 주소에서는 이 API ID를 쓸 수 없습니다.", "This address does not serve this API ID."),
    1505: ("그런 API ID는 없습니다.", "There is no such API ID."),
    1511: ("꼭 있어야 할 입력 값이 없습니다.", "A required field has no value."),
    1512: ("HTTP 헤더가 없거나 읽을 수 없습니다.", "The HTTP header is missing or cannot be read."),
    1513: ("authorization 헤더가 없습니다.", "The header authorization is missing."),
    1514: ("authorization 헤더의 형식이 틀렸습니다.", "The header authorization has a wrong form."),
    1515: ("authorization 헤더의 종류가 틀렸습니다.", "The header authorization has an unknown grant type."),
    1516: ("authorization 헤더에 토큰이 없습니다.", "The header authorization has no token."),
    1517: ("입력 값의 형식이 틀렸습니다.", "A field's value has a wrong form."),
    1634: ("한 번에 물을 수 있는 종목 수를 넘었습니다.", "Too many symbols in one call."),
    1687: ("되풀이되는 호출이라 막혔습니다.", "A call that repeats itself is held back."),
    1700: ("이 API의 호출 한도를 넘었습니다.", "The quota of this API is used up."),
    1701: ("모든 API를 합한 호출 한도를 넘었습니다.", "The quota of all APIs together is used up."),
    1702: ("이 API가 속한 묶음의 호출 한도를 넘었습니다.", "The quota of this API's group is used up."),
    1901: ("그런 시장 코드는 없습니다.", "There is no such market code."),
    1902: ("그런 종목은 없습니다.", "There is no such symbol."),
    1903: ("이 거래소에 그런 종목은 없습니다.", "There is no such symbol on this exchange."),
    1999: ("키움 서버에 예상 밖의 오류가 났습니다.", "An unexpected error of Kiwoom's own."),
    8001: ("앱키와 시크릿키가 맞지 않습니다.", "App key and secret key do not fit."),
    8002: ("앱키와 시크릿키를 확인하지 못했습니다.", "App key and secret key could not be verified."),
    8003: ("토큰을 찾지 못했습니다.", "The token could not be looked up."),
    8005: ("토큰이 유효하지 않습니다.", "The token is not valid."),
    8006: ("토큰을 만들지 못했습니다.", "No token could be made."),
    8009: ("토큰을 발급하지 못했습니다.", "No token could be issued."),
    8010: ("토큰을 받은 IP와 다른 IP에서 물었습니다.", "The token was issued to another IP address."),
    8011: ("토큰 요청에 grant_type이 없습니다.", "The request for a token lacks grant_type."),
    8012: ("토큰 요청의 grant_type이 틀렸습니다.", "The request for a token has a wrong grant_type."),
    8020: ("앱키 또는 시크릿키가 오지 않았습니다.", "App key or secret key did not arrive."),
    8030: ("실전과 모의가 다른 앱키입니다.", "A real key on the mock host, or the other way round."),
    8031: ("실전과 모의가 다른 토큰입니다.", "A real token on the mock host, or the other way round."),
    8040: ("단말기 인증에 실패했습니다.", "This device could not be authenticated."),
    8050: ("지정단말기로 등록되지 않은 IP입니다.", "This IP address is not registered with the key."),
    8103: ("토큰 또는 단말기 인증에 실패했습니다.", "The token or this device could not be authenticated."),
    8104: ("모의투자에서는 쓸 수 없는 API입니다.", "The mock host does not offer this API."),
}
"""What a code says, in Korean and in English, by the official list of errors; for people who look at a failure."""

HINTS = {
    8001: _KEYS,
    8002: _KEYS,
    8010: _ADDRESS,
    8030: _HOST,
    8050: _ADDRESS,
}


def code_in(text: str) -> int | None:
    """The code that stands in Kiwoom's message, None if there is none."""
    match = _CODE.search(text)
    return None if match is None else int(match[1] or match[2])


def quota_in(text: str) -> int | None:
    """Requests a second that the server says it grants (유량=N), None if it does not say."""
    match = _QUOTA.search(text)
    return int(match[1]) if match and int(match[1]) > 0 else None


def one_line(text: str) -> str:
    """Kiwoom's text for our lines: printable, of one line, at most 300 characters."""
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


def refusal(text: str, *, return_code: int | None = None) -> CollectorError:
    """The error that an answer with this text is; `return_code` decides where the text has no code."""
    code, quota, text = code_in(text), quota_in(text), one_line(text)
    line = f"Kiwoom says: {text}" if text else f"Kiwoom answers return_code {return_code} without a text"
    if code in THROTTLED or (code is None and return_code == TOO_MANY_REQUESTS):
        return Throttled(line, code=code, text=text, quota=None if code in _OF_SEVERAL else quota)
    if code in DENIED:
        return Denied(line, code=code, text=text, hint=HINTS.get(code, _OPERATOR))
    kind: type[ApiError] = Rejected
    if code in EXPIRED:
        kind = TokenExpired
    elif code in UNAVAILABLE:
        kind = Unavailable
    return kind(line, code=code, text=text)
