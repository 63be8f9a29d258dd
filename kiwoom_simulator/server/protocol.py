"""Kiwoom's texts and headers: refusals, answer headers and continuation keys."""

from base64 import b32decode, b32encode
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from collector.model import Exchange

OK = "정상적으로 처리되었습니다"
JSON_TYPE = "application/json;charset=UTF-8"

EXCHANGES = {"1": Exchange.KRX, "2": Exchange.NXT, "3": Exchange.CONSOLIDATED}


class ApiRefusal(NamedTuple):
    """An error envelope: its class, its text with the error code, and the HTTP status."""

    return_code: int
    return_msg: str
    status: int = 200


def refuse_throttled(api_id: str, quota: int, status: int) -> ApiRefusal:
    text = f"[1700:허용된 API 요청 개수를 초과하였습니다. 유량={quota}, API ID={api_id}]"
    return ApiRefusal(5, f"허용된 요청 개수를 초과하였습니다{text}", status)


def refuse_total_throttled(total: int, status: int) -> ApiRefusal:
    text = f"[1701:허용된 전체 API 요청 개수를 초과하였습니다. 유량={total}]"
    return ApiRefusal(5, f"허용된 요청 개수를 초과하였습니다{text}", status)


def refuse_group_throttled(quota: int, status: int) -> ApiRefusal:
    text = f"[1702:허용된 그룹 API 요청 개수를 초과하였습니다. 유량={quota}]"
    return ApiRefusal(5, f"허용된 요청 개수를 초과하였습니다{text}", status)


TOO_MANY_CODES = ApiRefusal(
    5, "허용된 요청 개수를 초과하였습니다[1634:조회 가능한 종목코드 개수를 초과하였습니다]"
)
TOKEN_DEAD = ApiRefusal(3, "인증에 실패했습니다[8005:Token이 유효하지 않습니다]")
WRONG_KEYS = ApiRefusal(3, "인증에 실패했습니다[8001:App Key와 Secret Key 검증에 실패했습니다]")
FLOOD_OF_WRONG_KEYS = ApiRefusal(3, WRONG_KEYS.return_msg, 429)
WRONG_HOST = ApiRefusal(
    2, "입력 값 오류입니다[8030:투자구분(실전/모의)이 달라서 Appkey를 사용할수가 없습니다]"
)
WRONG_ADDRESS = ApiRefusal(3, "인증에 실패했습니다[8050:지정단말기 인증에 실패했습니다]")
UNKNOWN_SYMBOL = ApiRefusal(
    1, "잘못된 요청입니다[1902:종목 정보가 없습니다. 입력한 종목코드 값을 확인바랍니다]"
)
UNEXPECTED = ApiRefusal(1, "일시적인 오류가 발생했습니다[1999:예기치 못한 에러가 발생하였습니다]")


def wrong_api(api_id: str, path: str) -> ApiRefusal:
    text = f"[1504:해당 URI에서는 지원하는 API ID가 아닙니다. API ID={api_id}, URI={path}]"
    return ApiRefusal(1, f"잘못된 요청입니다{text}")


def missing(field: str) -> ApiRefusal:
    text = f"[1511:필수 입력 값에 값이 존재하지 않습니다. 필수입력 파라미터={field}]"
    return ApiRefusal(2, f"입력 값 오류입니다{text}")


def refuse_malformed(field: str) -> ApiRefusal:
    return ApiRefusal(2, f"입력 값 오류입니다[1517:입력 값 형식이 올바르지 않습니다. 파라미터={field}]")


_COUNTING_LENGTH = 38
"""Characters of a key that ends with a number of rows."""


class PagePosition(NamedTuple):
    """The content of a continuation key: a walk and its next page."""

    walk: int
    page: int


KeyOf = Callable[[PagePosition], str]
"""The continuation key for a position in one walk."""


def next_key(position: PagePosition, asked: str) -> str:
    """An opaque key of 33 visible characters, valid only for the request `asked`."""
    head = position.walk.to_bytes(6, "big") + position.page.to_bytes(4, "big")
    return "N" + b32encode(head + _seal(head, asked)).decode()


def add_count(key: str, rows: int) -> str:
    """The key with the number of rows still to come at its end, in five digits."""
    return f"{key}{rows:05}"


def place_of(key: str, asked: str) -> PagePosition | None:
    """The position in a key; None if the key was not issued for this request."""
    if len(key) == _COUNTING_LENGTH and key[-5:].isdigit():
        key = key[:-5]
    try:
        data = b32decode(key[1:])
    except ValueError:
        return None
    head = data[:10]
    if key[:1] != "N" or data[10:] != _seal(head, asked):
        return None
    return PagePosition(int.from_bytes(head[:6], "big"), int.from_bytes(head[6:], "big"))


def _seal(head: bytes, asked: str) -> bytes:
    return blake2b(head, key=asked.encode()[:64], digest_size=10).digest()
