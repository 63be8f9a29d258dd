"""Explains remarks with numbers and advice, in Korean and English, for the commands and the status page."""

from collections.abc import Sequence
from typing import NamedTuple

from collector.model import Outcome, Remark

LANGUAGES = ("ko", "en")

_WAIT = (
    "워크 3번이 일치하면 저절로 complete가 됩니다. 맞는 목록이면 collector accept로 바로 인증하십시오",
    "three walks that agree make it complete; if the list is right, collector accept does so at once",
)
_AGAIN = (
    "서버 쪽 오류입니다. 다음 슬롯에서 사라지지 않으면 collector check --online을 실행하십시오",
    "a fault of the server; if the next slot has it again, run collector check --online",
)
_WITNESS = (
    "같은 차이가 스윕 3번(큰 차이는 3일) 이어지면 기준으로 삼습니다. 맞는 목록이면 collector accept로 인증하십시오",
    "three sweeps (three days, if it is large) with the same difference make it the rule; else collector accept",
)
_NOTE = ("알림일 뿐이며 할 일은 없습니다", "a note; nothing is to be done")

_TABLE: dict[Remark, tuple[tuple[str, str], tuple[str, str]]] = {
    Remark.REPEATED_KEY: (
        (
            "{pages}페이지에서 같은 next-key가 다시 와서 {rows}행까지만 읽음",
            "a next-key came again after {pages} pages and {rows} rows",
        ),
        _AGAIN,
    ),
    Remark.SHORT_PAGE: (
        (
            "마지막이 아닌 페이지가 짧음: {pages}페이지에 {rows}행",
            "a page before the last was short: {rows} rows on {pages} pages",
        ),
        _AGAIN,
    ),
    Remark.EMPTY_PAGE: (
        ("{pages}페이지 가운데 빈 페이지가 있음: {rows}행", "one of {pages} pages was empty: {rows} rows"),
        (
            "마지막 페이지만 비었다면 같은 목록이 한 번 더 오면 complete가 됩니다",
            "if only the last page was empty, a second walk with the same list makes it complete",
        ),
    ),
    Remark.PAGE_CAP: (
        (
            "{pages}페이지, {rows}행에서 한도에 닿음",
            "the limit of pages or rows was met: {pages} pages, {rows} rows",
        ),
        _AGAIN,
    ),
    Remark.PAGE_COUNT: (
        (
            "페이지의 행 수가 resp-cnt와 다름: 모두 {rows}행",
            "a page had another number of rows than resp-cnt says: {rows} rows in all",
        ),
        _AGAIN,
    ),
    Remark.PAGE_ORDER: (
        (
            "페이지가 앞 페이지보다 앞선 종목으로 시작함: {pages}페이지에 {rows}행",
            "a page begins before its predecessor ends: {rows} rows on {pages} pages",
        ),
        _AGAIN,
    ),
    Remark.NO_END: (
        (
            "마지막이라는 말 없이 {rows}행에서 끝남{of_expected}",
            "it ends after {rows} rows{of_expected}, and no answer said that this is the end",
        ),
        _AGAIN,
    ),
    Remark.UNDECODED: (
        (
            "{bad}행이 해석되지 않아 quarantine에 있고 나머지 {rows}행은 저장됨",
            "{bad} rows did not decode and lie in quarantine; the other {rows} are stored",
        ),
        (
            'collector sql "SELECT * FROM quarantine"에서 원문과 까닭을 보십시오',
            'see them and the reason: collector sql "SELECT * FROM quarantine"',
        ),
    ),
    Remark.DUPLICATE_SYMBOL: (
        ("{rows}행 가운데 같은 종목이 두 번 나옴", "a symbol came twice among {rows} rows"),
        _AGAIN,
    ),
    Remark.WRONG_SUFFIX: (
        ("{rows}행 가운데 다른 거래소의 종목코드가 있음", "codes of another exchange are among {rows} rows"),
        _AGAIN,
    ),
    Remark.FOREIGN: (
        (
            "{rows}행 가운데 다른 시장의 종목이 너무 많음",
            "too many listings of the other board are among {rows} rows",
        ),
        _AGAIN,
    ),
    Remark.ROW_COUNT: (
        ("{total}행, 기대한 행 수는 {expected}", "{total} rows where {expected} were expected"),
        _WAIT,
    ),
    Remark.MEMBERSHIP: (
        (
            "{total}행의 구성 종목이 같은 날의 마지막 complete 워크({expected}행)와 다름",
            "the members of {total} rows differ from those of the day's last complete walk ({expected} rows)",
        ),
        (
            "같은 목록이 한 번 더 오면 complete가 됩니다",
            "a second walk with the same list makes it complete",
        ),
    ),
    Remark.EMPTY: (
        ("행이 없음, 기대한 행 수는 {expected}", "no rows where {expected} were expected"),
        (
            "정말로 빈 업종이면 collector accept로 인증하십시오",
            "if it is really empty, certify it with collector accept",
        ),
    ),
    Remark.AHEAD_OF_TIME: (
        (
            "시계가 앞서 있을 때 받은 {rows}행이며, 이 시각의 값이 아님",
            "{rows} rows that were fetched while a clock was ahead, so they do not show this time",
        ),
        (
            "시계를 맞추면 이 슬롯은 제시간에 다시 수집됩니다",
            "set the clock; the sweep of this slot replaces them",
        ),
    ),
    Remark.STALE: (
        ("{rows}행이 이전 거래일의 값과 같음", "{rows} rows show the session before"),
        (
            "휴장일이면 calendar.yaml에 적으십시오",
            "if the day was a closure, enter it in calendar.yaml",
        ),
    ),
    Remark.SAME_AS_KRX: (
        (
            "{rows}행이 KRX의 가격·거래량과 거의 모두 같음",
            "nearly all of {rows} rows have the price and the volume of KRX",
        ),
        (
            "다른 거래소의 답으로 보입니다. 다음 슬롯에서 사라지지 않으면 collector check --online을 실행하십시오",
            "it looks like the answer for another exchange; if it stays, run collector check --online",
        ),
    ),
    Remark.WITNESS_MEMBERS: (
        (
            "{rows}행에 ka10099가 같은 업종으로 올린 종목이 빠져 있음 (종목코드는 뷰 witness)",
            "members that ka10099 lists are missing from {rows} rows (the view witness names them)",
        ),
        _WITNESS,
    ),
    Remark.WITNESS_COUNT: (
        (
            "{rows}행이 ka20003이 센 구성 종목 수보다 적음 (수는 뷰 witness)",
            "{rows} rows are fewer than the members that ka20003 counts (the view witness has the numbers)",
        ),
        _WITNESS,
    ),
    Remark.WITNESS_DATE: (
        (
            "{rows}행이 다른 거래일의 값임 (ka20009의 날짜는 뷰 witness)",
            "{rows} rows show the session of another day (the view witness has the date of ka20009)",
        ),
        (
            "휴장일이면 calendar.yaml에 적으십시오",
            "if the day was a closure, enter it in calendar.yaml",
        ),
    ),
    Remark.DATE_ORDER: (
        ("{rows}개 봉의 날짜 순서가 어긋남", "the dates of {rows} bars are out of order"),
        _AGAIN,
    ),
    Remark.CLOSED_DAY: (
        ("{rows}개 봉 가운데 휴장일의 봉이 있음", "bars of closed days are among {rows}"),
        ("calendar.yaml의 휴장일을 확인하십시오", "check the closures in calendar.yaml"),
    ),
    Remark.ABSENT_DAYS: (
        ("{rows}개 봉에 거래일이 빠져 있음", "trading days are missing among {rows} bars"),
        (
            "다시 받아도 같으면 그대로 확정됩니다",
            "if a second fetch shows the same gap, it is settled as it is",
        ),
    ),
    Remark.ABSURD: (
        ("{rows}개 봉 가운데 있을 수 없는 가격이 있음", "prices that cannot be are among {rows} bars"),
        _AGAIN,
    ),
    Remark.LATE: (("나중에 받은 값", "taken later than its slot"), _NOTE),
    Remark.AFTER_HOURS: (
        ("정규장 뒤의 체결이 섞였을 수 있음", "trades after the regular session may be in it"),
        _NOTE,
    ),
    Remark.SUSPENDED: (
        ("거래가 정지된 날에는 봉이 없음", "no bars on days on which it was suspended"),
        _NOTE,
    ),
    Remark.YOUNGER: (("상장 전의 날에는 봉이 없음", "no bars before it was listed"), _NOTE),
    Remark.BORNE_OUT: (
        ("뒤의 워크가 같은 목록을 보여 인증됨", "certified because later walks list the same"),
        _NOTE,
    ),
    Remark.ACCEPTED: (
        (
            "운영자가 인증함 (누가 언제인지는 뷰 judgement)",
            "certified by an operator; the view judgement says by whom and when",
        ),
        _NOTE,
    ),
}


class Numbers(NamedTuple):
    """The numbers of a walk for an explanation."""

    pages: int
    rows: int
    bad: int = 0
    expected: int | None = None


def numbers_of(outcome: Outcome) -> Numbers:
    """Return the numbers of an outcome."""
    return Numbers(outcome.pages, outcome.rows, outcome.bad, outcome.expected)


def explain_remark(remark: str, numbers: Numbers, language: str = "en") -> str:
    """Explain a remark in a sentence: the rows, the expected rows, and the advice; "" for an unknown remark."""
    entry = _TABLE.get(Remark(remark)) if remark in set(Remark) else None
    if entry is None:
        return ""
    at = LANGUAGES.index(language)
    return f"{_fill(entry[0][at], numbers, language)}; {entry[1][at]}"


def explain(remarks: Sequence[str], numbers: Numbers, language: str = "en") -> str:
    """Explain remarks in one line, each by its name and its meaning."""
    lines = [(remark, explain_remark(remark, numbers, language)) for remark in remarks]
    return " · ".join(f"{remark}: {text}" if text else remark for remark, text in lines)


def explain_outcome(outcome: Outcome, language: str = "en") -> str:
    """Explain why a walk is not complete: its error, or its remarks with their meanings."""
    text = outcome.error or explain(outcome.remarks, numbers_of(outcome), language)
    return f"{text} ({outcome.testimony})" if outcome.testimony else text


def _fill(text: str, numbers: Numbers, language: str) -> str:
    unknown = "알 수 없음" if language == "ko" else "an unknown number"
    expected = unknown if numbers.expected is None else f"{numbers.expected:,}"
    of_expected = (
        "" if numbers.expected is None else f" ({expected} 기대)" if language == "ko" else f" of {expected}"
    )
    return text.format(
        pages=f"{numbers.pages:,}",
        rows=f"{numbers.rows:,}",
        bad=f"{numbers.bad:,}",
        total=f"{numbers.rows + numbers.bad:,}",
        expected=expected,
        of_expected=of_expected,
    )
