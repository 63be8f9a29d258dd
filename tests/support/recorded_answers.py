"""Answers as the API gives them, for tests to read, bend and break."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from collector.errors import ApiError, Denied
from collector.kiwoom.protocol import ApiResponse

SAMPLES = Path(__file__).parent / "samples"
OK = "정상적으로 처리되었습니다"
LAST = (("api-id", "ka20002"), ("cont-yn", "N"), ("next-key", ""))
FIELDS = [
    "stk_cd",
    "stk_nm",
    "cur_prc",
    "pred_pre_sig",
    "pred_pre",
    "flu_rt",
    "now_trde_qty",
    "sel_bid",
    "buy_bid",
    "open_pric",
    "high_pric",
    "low_pric",
]
PLAIN = [
    "005930",
    "삼성전자",
    "+70100",
    "2",
    "+500",
    "+0.72",
    "9263135",
    "+70200",
    "+70100",
    "69800",
    "+70500",
    "-69400",
]


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def row(**changed: Any) -> dict[str, Any]:
    return dict(zip(FIELDS, PLAIN, strict=True)) | changed


def page(rows: Sequence[object], **envelope: Any) -> bytes:
    """The body of a page; `envelope` replaces or adds keys."""
    document = {"inds_stkpc": list(rows), "return_code": 0, "return_msg": OK} | envelope
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def reply(body: bytes, *headers: tuple[str, str], status: int = 200) -> ApiResponse:
    """An answer that is the last of its call unless `headers` say otherwise."""
    return ApiResponse(status, headers or (("cont-yn", "N"), ("next-key", "")), body)


def refusal(text: str, return_code: object = 1) -> bytes:
    return json.dumps({"return_code": return_code, "return_msg": text}, ensure_ascii=False).encode()


def refused(read: Callable[[], object]) -> ApiError | Denied | None:
    """How an answer was refused, None if it was read; whatever else is raised is a bug and passes."""
    try:
        read()
    except (ApiError, Denied) as error:
        return error
    return None
