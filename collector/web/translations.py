"""Every text of the pages, in Korean and in English."""

from collections.abc import Mapping

from collector.kiwoom.protocol.error_codes import MEANINGS, code_in

LANGUAGES = ("ko", "en")

_TEXTS: Mapping[str, tuple[str, str]] = {
    "title": ("수집 현황", "Collector"),
    "skip": ("본문으로 건너뛰기", "Skip to content"),
    "home": ("현황", "Overview"),
    "korean_time": ("한국 시간", "Korean time"),
    "now": ("지금", "Now"),
    "retention": ("보관 기간", "Retention"),
    "idle": ("진행 중인 수집이 없습니다.", "No sweep is under way."),
    "next_slot": ("다음 수집", "Next sweep"),
    "no_next_slot": ("예정된 수집이 없습니다.", "No sweep is scheduled."),
    "slower": ("서버가 허용한 요청 속도", "Rate that the server granted"),
    "configured": ("설정값", "configured"),
    "slower_hint": (
        "한 시간마다 높여 봅니다. 바로 되돌리려면:",
        "A higher one is tried every hour; to go back at once:",
    ),
    "underway": ("수집 중", "Sweeping"),
    "targets": ("대상", "targets"),
    "left": ("남음", "left"),
    "seconds": ("초", "s"),
    "pages": ("페이지", "pages"),
    "rows": ("행", "rows"),
    "day": ("하루", "The day"),
    "day_hint": (
        "한 칸이 한 시각에 수집한 대상 하나입니다. 칸을 누르면 그 기록이 열립니다.",
        "Each square is one target at one time. Follow a square to what is known of it.",
    ),
    "grouped_hint": (
        "대상이 많아 시장과 거래소별로 묶었습니다. 색은 가장 나쁜 결과입니다.",
        "Many targets share a row by market and exchange; the colour is the worst outcome.",
    ),
    "nothing": ("아직 저장된 것이 없습니다.", "Nothing is stored yet."),
    "nothing_hint": (
        "`collector once`가 첫 스냅샷을 받습니다.",
        "`collector once` takes a first snapshot.",
    ),
    "beside": ("일정 밖", "outside the schedules"),
    "legend": ("범례", "Legend"),
    "complete": ("완전", "complete"),
    "suspect": ("의심", "suspect"),
    "failed": ("실패", "failed"),
    "missed": ("놓침", "missed"),
    "absent": ("기록 없음", "absent"),
    "running": ("수집 중", "running"),
    "due": ("예정", "due"),
    "none": ("해당 없음", "not asked for"),
    "complete_is": ("모든 행이 있음이 확인됨", "certified whole"),
    "suspect_is": ("저장했으나 확인되지 않음", "stored, not certified"),
    "failed_is": ("저장된 것이 없음, 오류가 남음", "nothing stored, the error is kept"),
    "missed_is": ("시도하지 못함, 이유가 남음", "never tried, the reason is kept"),
    "absent_is": ("있어야 하는데 기록이 없음", "should be there, and no line says why not"),
    "heat": ("업종 지도", "Sector map"),
    "heat_hint": (
        "넓이는 거래대금(현재가 × 거래량), 색은 평균 등락률입니다.",
        "Area is turnover (price × volume), colour is the mean change.",
    ),
    "of_slot": ("기준", "as of"),
    "wider": ("지수와 규모별", "Indices and sizes"),
    "sector": ("업종", "Sector"),
    "code": ("코드", "Code"),
    "name": ("이름", "Name"),
    "market": ("시장", "Market"),
    "change": ("등락률", "Change"),
    "mean": ("평균 등락률", "Mean change"),
    "up": ("상승", "Up"),
    "down": ("하락", "Down"),
    "flat": ("보합", "Unchanged"),
    "traded": ("거래 종목", "Traded"),
    "members": ("구성 종목", "Members"),
    "turnover": ("거래대금", "Turnover"),
    "volume": ("거래량", "Volume"),
    "price": ("현재가", "Price"),
    "bid": ("매수호가", "Bid"),
    "ask": ("매도호가", "Ask"),
    "breadth": ("등락 종목 수", "Breadth"),
    "course": ("하루의 흐름", "The day's course"),
    "table": ("표로 보기", "As a table"),
    "data": ("데이터", "Data"),
    "won": ("원", "won"),
    "slot": ("시각", "Slot"),
    "status": ("결과", "Status"),
    "remarks": ("비고", "Remarks"),
    "error": ("오류", "Error"),
    "attempts": ("요청 수", "Requests"),
    "requested_at": ("첫 요청", "First request"),
    "received_at": ("마지막 페이지", "Last page"),
    "committed_at": ("저장", "Stored"),
    "took": ("걸린 시간", "Took"),
    "page_times": ("페이지 도착", "Pages arrived"),
    "walk": ("수집 기록", "Walk"),
    "quarantine": ("읽지 못한 행", "Rows that did not decode"),
    "reason": ("이유", "Reason"),
    "stands_in": ("속한 업종", "Stands in"),
    "no_course": ("이 날 저장된 시세가 없습니다.", "No complete walk showed it on this day."),
    "no_rows": (
        "행이 없습니다. 빈 업종이거나, 이 날의 행은 파일로 옮겨졌거나 보관 기간이 지났습니다 (collector restore).",
        "No rows: the sector was empty, or this day's rows are in files (collector restore) or too old to be kept.",
    ),
    "first_hundred": (
        "처음 200행만 보입니다. 나머지는 데이터에 있습니다.",
        "The first 200; the data has the rest.",
    ),
    "by": ("정렬", "Order"),
    "colours": ("색", "Colours"),
    "red_up": ("빨강 상승", "Red is up"),
    "green_up": ("초록 상승", "Green is up"),
    "language": ("언어", "Language"),
    "ready": ("정상", "Ready"),
    "not_ready": ("확인 필요", "Not ready"),
    "database_away": ("데이터베이스에 닿지 않습니다.", "The database cannot be asked."),
    "not_found": ("그런 페이지가 없습니다.", "There is no such page."),
    "back": ("현황으로", "Back to the overview"),
    "is_Throttled": ("요청이 너무 많다고 거절되었습니다.", "Refused for too many requests."),
    "is_Unavailable": ("API가 답하지 않았습니다.", "The API did not answer."),
    "is_TokenExpired": ("토큰이 만료되었습니다.", "The token had expired."),
    "is_Rejected": (
        "API가 거절했고, 다시 물어도 같습니다.",
        "The API refused it, and asking again will not help.",
    ),
    "is_Unreadable": ("문서에 없는 답이 왔습니다.", "The answer was none that the API documents."),
    "is_overrun": ("앞선 수집이 길어져 차례가 오지 않았습니다.", "The sweep before took too long."),
    "is_late": ("너무 늦게 발견되어 시작할 수 없었습니다.", "It was found too late to begin."),
    "is_down": ("데몬이 꺼져 있었습니다.", "No daemon was running."),
    "is_database": ("데이터베이스에 닿지 않았습니다.", "The database was away."),
    "is_denied": ("키나 주소가 거절되었습니다.", "The key or the address was refused."),
}


def text(key: str, language: str) -> str:
    """A text by its key."""
    return _TEXTS[key][LANGUAGES.index(language)]


def meaning(code: str, language: str) -> str:
    """What a reason or a class of errors means, "" where nothing is known; remarks are told by `explain`."""
    texts = _TEXTS.get(f"is_{code}")
    return texts[LANGUAGES.index(language)] if texts else ""


def explain_error(error: str, language: str) -> list[str]:
    """What an error or a reason in the ledger means: Kiwoom's code in it, and its class."""
    code = code_in(error)
    said = MEANINGS.get(code) if code is not None else None
    of_code = f"{code}: {said[LANGUAGES.index(language)]}" if said else ""
    return [line for line in (of_code, meaning(error.partition(":")[0], language)) if line]


def language(accepted: str) -> str:
    """The reader's language by an Accept-Language header: Korean if it is preferred to English."""
    weights = {"ko": 0.0, "en": 0.0}
    for part in accepted.lower().split(",")[:20]:
        tag, _, parameter = part.strip().partition(";")
        name = tag.partition("-")[0]
        if name in weights:
            weights[name] = max(weights[name], _weight(parameter))
    return "ko" if weights["ko"] > weights["en"] else "en"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
