"""Reads answers: a page, a token, sectors, bars, or the error of the answer.

Each `read_…` is a pure function of an ApiResponse. It returns the value or raises `ApiError` or `Denied`, and
no other exception for any bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec

from collector.base.struct_types import prepare_struct
from collector.errors import (
    CollectorError,
    Unreadable,
)
from collector.kiwoom.protocol import bars, minutes, numbers, pages, quotes
from collector.kiwoom.protocol.error_codes import code_in, is_maintenance, one_line, refusal
from collector.kiwoom.protocol.minutes import MinutePage
from collector.kiwoom.protocol.pages import Content
from collector.kiwoom.protocol.requests import BARS, MINUTES, PRICES, REVOKE, SECTORS, TOKEN
from collector.kiwoom.protocol.response import ApiResponse
from collector.kiwoom.protocol.strict_json import Document, as_sent, strict_json
from collector.model import KST, BadRow, BarPage, Exchange, Market, Page, Sector
from collector.secret import Secret

_TOKEN_LENGTH = 1000
_MOST_ROWS = 10_000
"""Most rows of one answer; the documented pages have 100 and 600. The limit also keeps row positions within
their smallint."""

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)


@prepare_struct
class _Sector(msgspec.Struct):
    code: str
    name: str


_prices_decoder = msgspec.json.Decoder(quotes.PriceResponse)
_bars_decoder = msgspec.json.Decoder(bars.BarResponse)
_minutes_decoder = msgspec.json.Decoder(minutes.MinuteResponse)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token with its end (the API's wall clock, KST)."""

    value: Secret
    expires_at: datetime


def read_prices(reply: ApiResponse, exchange: Exchange) -> Page:
    """Read one page of ka20002. Undecodable rows are in `Page.bad`, none is dropped."""
    rows, bad, surplus = _price_rows(reply)
    try:
        good = quotes.columns(rows, exchange)
    except numbers.FieldError:
        rows, wrong = _split_bad_rows(rows, quotes.first_wrong)
        good = quotes.columns(rows, exchange)
        bad += wrong
    return Page(
        good.rows,
        reply.next_key(),
        bad,
        wrong_suffix=good.strangers,
        surplus=surplus,
        decorated=good.decorated,
        announced=_announced_rows(reply),
        end_unsaid=not reply.says_whether_more(),
    )


def _split_bad_rows(
    rows: Sequence[R], first_wrong: Callable[[R], str | None]
) -> tuple[list[R], list[BadRow]]:
    """Split the rows into decodable ones and others with the reason."""
    reasons = [(row, first_wrong(row)) for row in rows]
    wrong = [_bad_row(_sent_fields(row), reason) for row, reason in reasons if reason]
    return [row for row, reason in reasons if reason is None], wrong


def _announced_rows(reply: ApiResponse) -> int | None:
    """Return the rows of this page according to resp-cnt: None if it is absent, -1 if it is not a number."""
    text = reply.header("resp-cnt")
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1


def _price_rows(reply: ApiResponse) -> tuple[list[quotes.PriceRow], list[BadRow], int]:
    """Return the rows as sent, the items that are no rows, and the number of undocumented fields."""
    answer = _decode_fast(reply, _prices_decoder, quotes.count_quotes)
    if answer is not None and _is_success(answer.return_code, answer.return_msg, answer.inds_stkpc):
        _same_call(reply, PRICES)
        return _limit_rows(answer.inds_stkpc), [], 0
    document = _document(reply, PRICES)
    rows, bad = _convert_rows(_list(document, "inds_stkpc"), quotes.PriceRow)
    return rows, bad, _surplus(document, "inds_stkpc", len(quotes.PriceRow.__struct_fields__))


def _decode_fast(
    reply: ApiResponse, decoder: msgspec.json.Decoder[T], count_quotes: Callable[[T], int]
) -> T | None:
    """Decode a documented body with the fast decoder; None if the body needs the strict parser.

    The fast decoder silently keeps the last of two equal keys. It is believed only if the body has exactly as
    many quotes as the documented keys and values need: an additional key, doubled or unknown, has at least
    two more.
    """
    if reply.status != 200:
        return None
    try:
        answer = decoder.decode(reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return answer if reply.body.count(b'"') == count_quotes(answer) else None


def _is_success(return_code: int, text: str, rows: Sequence[object]) -> bool:
    """Whether the fast decoder is sufficient; an empty list with a maintenance notice needs the strict
    parser."""
    return return_code == 0 and code_in(text) is None and (bool(rows) or not is_maintenance(text))


def _convert_rows(sent: Sequence[object], kind: type[R]) -> tuple[list[R], list[BadRow]]:
    """Convert a list of the strict parser; an item that is no row becomes a bad row."""
    converted = [_convert(row, kind) for row in sent]
    return (
        [row for row in converted if isinstance(row, kind)],
        [row for row in converted if isinstance(row, BadRow)],
    )


def _convert(row: object, kind: type[T]) -> T | BadRow:
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        return _bad_row(row, str(error))
    except UnicodeEncodeError:
        return _bad_row(row, "has a key with half a surrogate pair")


def _sent_fields(row: msgspec.Struct) -> dict[str, object]:
    """Return the fields of a row that were sent."""
    return {name: value for name, value in msgspec.structs.asdict(row).items() if value is not None}


def _bad_row(sent: object, reason: str) -> BadRow:
    """Make a row for quarantine, with its symbol if that decodes."""
    code = sent.get("stk_cd") if isinstance(sent, dict) else None
    try:
        symbol = numbers.symbol(code, "")[0] if isinstance(code, str) else ""
    except numbers.FieldError:
        symbol = ""
    return BadRow(as_sent(sent), reason, symbol)


def _surplus(document: Document, name: str, documented: int) -> int:
    rows = [row for row in document[name] if isinstance(row, dict)]
    extra = len(document.keys() - {name, "return_code", "return_msg"})
    return extra + sum(max(0, len(row) - documented) for row in rows)


def read_token(reply: ApiResponse) -> Token:
    """Read au10001; Unreadable if the token or its end is not as documented."""
    document = _document(reply, TOKEN)
    value, ends = document.get("token"), document.get("expires_dt")
    if not isinstance(value, str) or not 1 <= len(value) <= _TOKEN_LENGTH:
        raise Unreadable("the token is not a text of 1 to 1,000 characters")
    if not all("!" <= char <= "~" for char in value):
        raise Unreadable("the token has characters that no header can carry")
    if not isinstance(ends, str) or not (ends.isascii() and ends.isdigit() and len(ends) == 14):
        raise Unreadable("expires_dt is not fourteen digits")
    try:
        return Token(Secret(value), datetime.strptime(ends, "%Y%m%d%H%M%S").replace(tzinfo=KST))
    except ValueError as error:
        raise Unreadable("expires_dt is not a date") from error


def read_revoked(reply: ApiResponse) -> None:
    """Read au10002; returns if the token is revoked."""
    _document(reply, REVOKE)


def read_sectors(reply: ApiResponse, market: Market) -> list[Sector]:
    """Read the sectors of a market from ka10101, in the order served.

    One page has them all (31 at most were seen). A part of the list, an empty list, or a repeated code is
    Unreadable: a refresh from such a list would delete the other sectors.
    """
    sent = _list(_document(reply, SECTORS), "list")
    if not sent or reply.next_key() is not None:
        raise Unreadable("ka10101 does not list a market's sectors in one page")
    sectors = [_sector(row, market) for row in sent]
    if len({sector.code for sector in sectors}) < len(sectors):
        raise Unreadable("ka10101 lists a sector twice")
    return sectors


def _sector(sent: object, market: Market) -> Sector:
    row = _convert(sent, _Sector)
    if isinstance(row, BadRow) or len(row.code) != 3 or not (row.code.isascii() and row.code.isdigit()):
        raise Unreadable("ka10101 has a row without a sector code of three digits")
    try:
        return Sector(code=row.code, market=market, name_ko=numbers.name(row.name))
    except numbers.FieldError as error:
        raise Unreadable(f"ka10101: the name of sector {row.code} {error}") from error


def read_bars(reply: ApiResponse, symbol: str) -> BarPage:
    """Read one page of daily bars of a listing. Undecodable rows are in `BarPage.bad`, none is dropped."""
    rows, bad = _bar_rows(reply, symbol)
    try:
        good = bars.series(rows, symbol)
    except numbers.FieldError:
        rows, wrong = _split_bad_rows(rows, bars.first_wrong)
        good = bars.series(rows, symbol)
        bad += wrong
    return BarPage(
        good,
        reply.next_key(),
        bad,
        announced=_announced_rows(reply),
        end_unsaid=not reply.says_whether_more(),
    )


def _bar_rows(reply: ApiResponse, symbol: str) -> tuple[list[bars.BarRow], list[BadRow]]:
    """Return the rows as sent, and the items that are no rows."""
    answer = _decode_fast(reply, _bars_decoder, bars.count_quotes)
    if answer is not None and _is_success(
        answer.return_code, answer.return_msg, answer.stk_dt_pole_chart_qry
    ):
        _same_call(reply, BARS)
        _same_symbol(answer.stk_cd, symbol)
        return _limit_rows(answer.stk_dt_pole_chart_qry), []
    document = _document(reply, BARS)
    _same_symbol(document.get("stk_cd"), symbol)
    return _convert_rows(_list(document, "stk_dt_pole_chart_qry"), bars.BarRow)


def read_minutes(reply: ApiResponse, symbol: str, day: date) -> MinutePage:
    """Read the bars of one day out of a page of minute bars; `symbol` as it was asked for, with its suffix.

    Unreadable if a bar of the day does not decode: the day would be reconstructed wrongly from there on.
    """
    rows = _minute_rows(reply, symbol)
    if _announced_rows(reply) not in (None, len(rows)):
        raise Unreadable("the answer has another number of minute bars than its header says")
    try:
        selected = minutes.select_day(rows, day)
        good = minutes.minute_bars(selected)
    except numbers.FieldError as error:
        wrong = next(filter(None, map(minutes.first_wrong, rows)), str(error))
        raise Unreadable(f"a minute bar does not decode: {wrong}") from error
    return MinutePage(good, reply.next_key(), len(rows))


def _minute_rows(reply: ApiResponse, symbol: str) -> list[minutes.MinuteRow]:
    """Return the rows as sent; Unreadable if an item is no row."""
    answer = _decode_fast(reply, _minutes_decoder, minutes.count_quotes)
    if answer is not None and _is_success(
        answer.return_code, answer.return_msg, answer.stk_min_pole_chart_qry
    ):
        _same_call(reply, MINUTES)
        _same_symbol(answer.stk_cd, symbol)
        return _limit_rows(answer.stk_min_pole_chart_qry)
    document = _document(reply, MINUTES)
    _same_symbol(document.get("stk_cd"), symbol)
    rows, bad = _convert_rows(_list(document, "stk_min_pole_chart_qry"), minutes.MinuteRow)
    if bad:
        raise Unreadable(f"a minute bar does not decode: {bad[0].reason}")
    return rows


def _same_symbol(echoed: object, symbol: str) -> None:
    """Refuse another listing's history; an answer without a symbol is accepted."""
    if isinstance(echoed, str) and echoed and echoed != symbol:
        raise Unreadable("the answer is about another listing than the one asked for")


def _list(document: Document, name: str) -> list[Any]:
    rows = document.get(name)
    if not isinstance(rows, list):
        raise Unreadable(f"the answer has no list {name}")
    return _limit_rows(rows)


def _limit_rows(rows: list[T]) -> list[T]:
    if len(rows) > _MOST_ROWS:
        raise Unreadable(f"the answer has more than {_MOST_ROWS:,} rows")
    return rows


def _document(reply: ApiResponse, api_id: str) -> Document:
    """Return the body of a successful answer; raise the error of any other."""
    if reply.status != 200:
        raise _refusal_error(reply)
    document = _json_of(reply)
    code, text = _return_code(document), document.get("return_msg")
    text = text if isinstance(text, str) else ""
    if code != 0 or code_in(text) is not None or _is_notice(document, text):
        raise refusal(text, return_code=code)
    _same_call(reply, api_id)
    return document


def _json_of(reply: ApiResponse) -> Document:
    """Parse the body of a 200 as JSON; a page or a text is refused with its own words."""
    try:
        return strict_json(reply.body)
    except Unreadable:
        content = pages.content_of(reply.body)
        if content in (Content.HTML, Content.TEXT):
            raise refusal(pages.words_of(reply.body), content=content) from None
        raise


def _is_notice(document: Document, text: str) -> bool:
    """Whether a successful answer has nothing but a maintenance notice."""
    brings = any(value for name, value in document.items() if name not in ("return_code", "return_msg"))
    return not brings and is_maintenance(text)


def _return_code(document: Document) -> int:
    """Return the return code, 0 for success; it comes as a number or as text ("0", "0000").

    Unreadable if it is absent or of another type, Unavailable if such JSON announces maintenance.
    """
    code = _number(document.get("return_code"))
    if code is not None:
        return code
    text = _text_of(document)
    if is_maintenance(text) or code_in(text) is not None:
        raise refusal(text)
    raise Unreadable("the answer has no return_code")


def return_code_of(reply: ApiResponse) -> int | None:
    """The return code of any JSON answer, a refusal included; None if it has none."""
    try:
        return _number(strict_json(reply.body).get("return_code"))
    except Unreadable:
        return None


def _number(code: object) -> int | None:
    if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 100_000:
        return code
    if isinstance(code, str) and code.isascii() and len(code) <= 6:
        digits = code.removeprefix("-")
        if 1 <= len(digits) <= 5 and digits.isdigit() and (digits == code or int(digits)):
            return int(code)
    return None


def _refusal_error(reply: ApiResponse) -> CollectorError:
    """Return the error of an answer with a status other than 200."""
    try:
        document = strict_json(reply.body)
    except Unreadable:
        content = pages.content_of(reply.body)
        # Invalid JSON has no believable content.
        content = Content.OTHER if content is Content.JSON else content
        return refusal(pages.words_of(reply.body), status=reply.status, content=content)
    code = _number(document.get("return_code"))
    return refusal(_text_of(document), status=reply.status, return_code=code)


_MESSAGES = ("message", "msg", "error", "error_description", "error_message", "detail", "title", "reason")
"""Names of the message in answers of gateways; other fields are not read, since one may hold a token."""


def _text_of(document: Document) -> str:
    """Return the message of a JSON answer: return_msg, else a gateway's message."""
    text = document.get("return_msg")
    if isinstance(text, str):
        return text
    inner = [value for value in document.values() if isinstance(value, dict)]
    texts = [part.get(name) for part in (document, *inner) for name in _MESSAGES]
    return one_line(" ".join(text for text in texts if isinstance(text, str)))


def _same_call(reply: ApiResponse, api_id: str) -> None:
    """Refuse an answer to another call (a late answer on a kept connection)."""
    echoed = reply.header("api-id")
    if echoed and echoed != api_id:
        raise Unreadable(f"asked {api_id}, the answer is for another call")


read_document = _document
"""The body of a successful answer, for the calls in `witness_responses`."""
rows_of = _list
"""The list of that name in a body."""
