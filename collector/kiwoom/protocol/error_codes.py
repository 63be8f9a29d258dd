"""Maps Kiwoom's refusals to errors in one table, so each kind of answer is judged in one place.

`return_code` is only a class of errors; the meaningful code is in the text, as `[1700:…` or `CODE=8005`. The
codes and the advice for each are those of the official CLI and of public clients with measurements. If the
code is unknown or absent, the HTTP status, the return code, and the kind of body decide.
"""

import csv
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import NamedTuple

from collector.errors import (
    ApiError,
    CollectorError,
    Denied,
    Rejected,
    Throttled,
    TokenExpired,
    Unavailable,
    Unreadable,
)
from collector.kiwoom.protocol.pages import Content

_CODE = re.compile(r"\[(\d{3,5}):|CODE=(\d{3,5})", re.ASCII)
_QUOTA = re.compile(r"유량=(\d{1,4})(?![\d])", re.ASCII)
MOST_GRANTED = 100
"""Highest believable rate from a server, in requests a second; 1 and 5 are documented."""

THROTTLED = frozenset({1700, 1701, 1702})
KEY_WIDE = frozenset({1701, 1702})
"""Codes of a refusal for all calls of a key, or for a group of them. Their 유량=N gives no limit for one call."""
EXPIRED = frozenset({8003, 8005, 8006, 8009, 8031, 8103})
UNAVAILABLE = frozenset({1999})
DENIED = frozenset({8001, 8002, 8010, 8011, 8012, 8020, 8030, 8040, 8050, 8200})
NOT_OFFERED = frozenset({8104})
REJECTED = frozenset({1501, 1504, 1505, *range(1511, 1518), 1634, 1687, 1901, 1902, 1903, 2000})
KNOWN = THROTTLED | EXPIRED | UNAVAILABLE | DENIED | NOT_OFFERED | REJECTED
AUTHENTICATION, TOO_MANY_REQUESTS = 3, 5
"""Return codes with a known class even without a code in the text."""

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
_UNAUTHENTICATED = (
    "a new token is refused like the one before: check the key, its registered IP address and its term at"
    " openapi.kiwoom.com, and whether another program uses the same key"
    " / 새 토큰도 거부되었습니다. 앱키, 지정단말기 IP, 유효기간, 같은 키를 쓰는 다른 프로그램을 확인하세요"
)
_OPERATOR = "Kiwoom refuses this key: see the text / 키움이 이 키를 거부했습니다. 위 메시지를 확인하세요"
FIREWALL = (
    "either a firewall in front of the API refuses this client (set api.user_agent to a product name of your own,"
    " or ask Kiwoom about this address), or the API is under maintenance (wait)"
    " / 방화벽이 요청을 막았거나(api.user_agent를 바꾸거나 키움에 문의하세요) 시스템 점검 중입니다(기다리세요)"
)
_EITHER = "either maintenance, or a firewall that refuses this client"


def _read_meanings() -> dict[int, tuple[str, str]]:
    path = Path(__file__).with_name("error_meanings.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["code"]): (row["ko"], row["en"]) for row in csv.DictReader(file)}


MEANINGS: Mapping[int, tuple[str, str]] = _read_meanings()
"""The meaning of a code in Korean and English, from the official list of errors; shown with a failure."""

HINTS = {
    8001: _KEYS,
    8002: _KEYS,
    8010: _ADDRESS,
    8030: _HOST,
    8050: _ADDRESS,
}


def code_in(text: str) -> int | None:
    """Return the code in Kiwoom's message, None if there is none."""
    match = _CODE.search(text)
    return None if match is None else int(match[1] or match[2])


def quota_in(text: str) -> int | None:
    """Return the granted requests a second (유량=N), None if the text has none or an impossible number."""
    match = _QUOTA.search(text)
    return int(match[1]) if match and 0 < int(match[1]) <= MOST_GRANTED else None


def one_line(text: str) -> str:
    """Return Kiwoom's text for one line: printable, at most 300 characters."""
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


_MAINTENANCE = re.compile(
    r"(시스템|서버|서비스|정기|긴급|임시|전산)\s{0,3}점검|점검\s{0,3}(중|시간|안내|작업|으로|을\s{0,3}위|때문|진행|공지)"
    r"|(서비스|시스템|접속)(?!.{0,40}(고객|계좌|계정|종목|키|사용자)).{0,20}(중단|중지|일시\s{0,3}정지)|잠시\s{0,3}후\s{0,3}(다시|재시도|이용)"
    r"|maintenance|(temporarily|currently|service|server)\W{0,3}(is\s+)?(temporarily\s+|currently\s+)?(unavailable|offline|down\b)"
    r"|scheduled\s+(downtime|outage)|be\s+(right\s+)?back\s+(soon|shortly|at|later)|try\s+again\s+later",
    re.IGNORECASE,
)


def is_maintenance(text: str) -> bool:
    """Whether a text announces maintenance; `점검` alone may also mean to check one's input."""
    return _MAINTENANCE.search(text[:4096]) is not None


class Facts(NamedTuple):
    """The facts of an unsuccessful answer; `return_code` and `code` are None if there is none."""

    status: int
    return_code: int | None
    code: int | None
    content: Content
    is_maintenance: bool = False


class Rule(NamedTuple):
    """One line of the table: its conditions (None: any), and the resulting error."""

    kind: type[CollectorError]
    code: Set[int] | None = None
    status: Set[int] | None = None
    return_code: Set[int] | None = None
    content: Set[Content] | None = None
    is_maintenance: bool | None = None
    hint: str = ""
    remark: str = ""
    """Advice beyond the server's words."""


_FAILURES = frozenset(range(500, 600))
_PAGES = frozenset({Content.HTML, Content.TEXT})
_NO_JSON = frozenset({Content.HTML, Content.TEXT, Content.EMPTY, Content.OTHER})
_AWAY = "the API may be under maintenance"
_MOCK = "the mock host does not offer this"
RULES = (
    # A known code decides at any status.
    Rule(Throttled, code=THROTTLED),
    Rule(TokenExpired, code=EXPIRED, hint=_UNAUTHENTICATED),
    Rule(Unavailable, code=UNAVAILABLE),
    Rule(Denied, code=DENIED, hint=_OPERATOR),
    Rule(Rejected, code=NOT_OFFERED, remark=_MOCK),
    Rule(Rejected, code=REJECTED - {2000}),
    # Without one, a clear status decides first, then the words, then the return code.
    Rule(Throttled, status={429}),
    Rule(Unavailable, status=_FAILURES),
    Rule(Rejected, code={2000}),
    Rule(Unavailable, status={400, 403}, content=_PAGES, is_maintenance=True, hint=FIREWALL, remark=_EITHER),
    Rule(Throttled, return_code={TOO_MANY_REQUESTS}),
    Rule(Unavailable, is_maintenance=True, remark=_AWAY),
    Rule(TokenExpired, return_code={AUTHENTICATION}, hint=_UNAUTHENTICATED),
    Rule(TokenExpired, status={401}, hint=_UNAUTHENTICATED),
    Rule(TokenExpired, status={403}, content={Content.JSON}, hint=_UNAUTHENTICATED),
    Rule(Denied, status={400}, content={Content.HTML}, hint=FIREWALL, remark=_EITHER),
    Rule(Denied, status={403}, content=_PAGES, hint=FIREWALL, remark=_EITHER),
    Rule(Unavailable, status={200}, content=_PAGES, remark=_AWAY),
    Rule(Unreadable, status={200}, content=_NO_JSON),
    Rule(Rejected),
)
"""The first matching line decides. A page with HTTP 400 or 403 may be maintenance or a firewall: its own
words decide. A firewall taken for maintenance costs a few requests a sweep, since the circuit breaker opens.
Maintenance taken for a firewall would end the sweep at once, and lose a slot that a retry saves."""


def classify(facts: Facts) -> Rule:
    """Return the line of the table for an answer; the last one matches all."""
    return next(rule for rule in RULES if _fits(rule, facts))


def _fits(rule: Rule, facts: Facts) -> bool:
    return (
        (rule.code is None or facts.code in rule.code)
        and (rule.status is None or facts.status in rule.status)
        and (rule.return_code is None or facts.return_code in rule.return_code)
        and (rule.content is None or facts.content in rule.content)
        and (rule.is_maintenance is None or facts.is_maintenance == rule.is_maintenance)
    )


def refusal(
    text: str, *, status: int = 200, return_code: int | None = None, content: Content = Content.JSON
) -> CollectorError:
    """Return the error of an answer: `text` is the message of its JSON, or the words of its page."""
    code, quota = code_in(text), quota_in(text)
    rule = classify(Facts(status, return_code, code, content, is_maintenance(text)))
    text = one_line(text)
    line = _line(text, status, return_code, content, _remark(rule, code, text))
    shown = code if code is not None or (status == 200 and content is Content.JSON) else status
    if rule.kind is Throttled:
        return Throttled(line, code=shown, text=text, quota=None if code in KEY_WIDE else quota)
    kind: type[ApiError | Denied] = rule.kind  # type: ignore[assignment]
    return kind(line, code=shown, text=text, hint=HINTS.get(code or 0, rule.hint))


_RC9000 = "no data, or the mock host does not offer this"


def _remark(rule: Rule, code: int | None, text: str) -> str:
    """Return the remark of an answer. RC9000 of the mock host comes with code 2000, which also means no data."""
    if "RC9000" not in text and not ("모의투자" in text and code not in KNOWN):
        return rule.remark
    has_no_data = "데이터" in text or "내역" in text
    return _RC9000 if has_no_data else _MOCK


def _line(text: str, status: int, return_code: int | None, content: Content, remark: str) -> str:
    """Describe an answer in one line: status, the server's own words, and the remark."""
    speaker = (
        "Kiwoom says"
        if content is Content.JSON
        else "the page says"
        if content is Content.HTML
        else "the server says"
    )
    parts = []
    if status != 200:
        parts.append(f"HTTP {status}")
    elif content is Content.HTML:
        parts.append("an HTML page came instead of an answer")
    elif content is not Content.JSON:
        parts.append("a text came instead of an answer")
    if text:
        parts.append(f"{speaker}: {text}")
    elif content is Content.JSON and status == 200:
        parts.append(f"Kiwoom answers return_code {return_code} without a text")
    line = ", ".join(parts)
    return f"{line} ({remark})" if remark else line
