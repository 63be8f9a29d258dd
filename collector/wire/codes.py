"""From Kiwoom's error codes to ours: one table, so that each code is judged in one place.

`return_code` is only a class of errors; the code that means something stands in the text, as `[1700:…` or
`CODE=8005`. The codes and what to do about each are those of the official CLI and of public clients that
measured; a code that is not here is `Rejected`, since nobody can say that asking again would help.
"""

import re

from collector.errors import ApiError, CollectorError, Denied, Rejected, Throttled, TokenExpired, Unavailable

_CODE = re.compile(r"\[(\d{3,5}):|CODE=(\d{3,5})", re.ASCII)
_QUOTA = re.compile(r"유량=(\d{1,4})", re.ASCII)

THROTTLED = frozenset({1700, 1701, 1702})
_TOTAL = 1701  # its 유량=N is what all calls have together, which says nothing of one of them
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
        return Throttled(line, code=code, text=text, quota=None if code == _TOTAL else quota)
    if code in DENIED:
        return Denied(line, code=code, text=text, hint=HINTS.get(code, _OPERATOR))
    kind: type[ApiError] = Rejected
    if code in EXPIRED:
        kind = TokenExpired
    elif code in UNAVAILABLE:
        kind = Unavailable
    return kind(line, code=code, text=text)
