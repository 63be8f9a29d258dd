"""What is fuzzed: each target reads bytes as the program does, and then a judge compares.

`read` is the program's part and what the clock is held to. It gives back a value or one of the errors that
are documented for it; anything else that it raises is a finding. `agree` raises AssertionError where value or
refusal is not what an independent, slow reading says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from collector import config
from collector.base import resources
from collector.config import Environment
from collector.db import dsn
from collector.errors import ApiError, CollectorError, ConfigError, Denied, Unreadable
from collector.kiwoom.protocol import (
    ApiResponse,
    read_bars,
    read_prices,
    read_revoked,
    read_sectors,
    read_token,
)
from collector.market import calendar, schedule
from collector.model import Exchange, Market
from tests.fuzz import slow_schedule
from tests.support import reference_decoder

CORPUS = Path(__file__).parent / "corpus"
SYMBOL = "005930"
_DEEP = 300
"""Brackets from which on it depends on the depth of the stack whether JSON can be read."""


@dataclass(frozen=True)
class Target:
    """One reader of foreign bytes; `share` is its part of all cases, in percent."""

    read: Callable[[bytes], Any]
    agree: Callable[[bytes, Any], None]
    share: int


def _or_refusal(read: Callable[[], object], *kinds: type[Exception]) -> object:
    try:
        return read()
    except kinds as error:
        return error


def _last(body: bytes) -> ApiResponse:
    return ApiResponse(200, (("cont-yn", "N"),), body)


def _is_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > _DEEP


def _prices(data: bytes) -> object:
    return _or_refusal(lambda: read_prices(_last(data), Exchange.KRX), ApiError, Denied)


def _prices_agree(data: bytes, found: Any) -> None:
    if _is_deep(data):
        return
    try:
        reference_decoder.listed(data, "inds_stkpc")
    except reference_decoder.Wrong:
        assert isinstance(found, Exception), "a page that the slow decoder refuses"
        return
    expected = list(reference_decoder.rows(data))
    assert not isinstance(found, Exception), f"a page that the slow decoder reads: {found}"
    assert list(found.rows) == [values for values in expected if values], "other values"
    assert len(found.bad) == expected.count(None), "other rows in quarantine"
    numbers = [value for row in found.rows for value in row[2:] if value is not None]
    assert all(type(number) is int for number in numbers), "a number that is no int"


def _bars(data: bytes) -> object:
    return _or_refusal(lambda: read_bars(_last(data), SYMBOL), ApiError, Denied)


def _bars_agree(data: bytes, found: Any) -> None:
    if _is_deep(data):
        return
    try:
        reference_decoder.listed(data, "stk_dt_pole_chart_qry")
        echoed = reference_decoder.document(data).get("stk_cd")
    except reference_decoder.Wrong:
        assert isinstance(found, Exception), "a page that the slow decoder refuses"
        return
    if isinstance(echoed, str) and echoed not in ("", SYMBOL):
        assert isinstance(found, Unreadable), "another listing's history"
        return
    expected = list(reference_decoder.days(data, SYMBOL))
    assert not isinstance(found, Exception), f"a page that the slow decoder reads: {found}"
    assert found.bars == [values for values in expected if values], "other values"
    assert len(found.bad) == expected.count(None), "other rows in quarantine"


_READERS: Mapping[str, Callable[[ApiResponse], object]] = {
    "ka20002": lambda reply: read_prices(reply, Exchange.NXT),
    "ka10081": lambda reply: read_bars(reply, SYMBOL),
    "ka10101": lambda reply: read_sectors(reply, Market.KOSPI),
    "au10001": read_token,
    "au10002": read_revoked,
}


def _reply(data: bytes) -> ApiResponse:
    """A status, headers a line each, an empty line, the body: as HTTP writes it, nearly."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    number = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200
    pairs = (line.partition(":") for line in lines if ":" in line)
    return ApiResponse(number, [(name, value) for name, _, value in pairs], body)


def _envelope(data: bytes) -> dict[str, object]:
    reply = _reply(data)
    return {
        api_id: _or_refusal(lambda read=read: read(reply), ApiError, Denied)
        for api_id, read in _READERS.items()
    }


def _envelope_agrees(data: bytes, found: dict[str, Any]) -> None:
    reply = _reply(data)
    refusals = {api_id: error for api_id, error in found.items() if isinstance(error, CollectorError)}
    assert all(str(error).isprintable() and len(str(error)) < 500 for error in refusals.values()), (
        "an unclear line"
    )
    if _is_deep(reply.body):
        return
    try:
        is_success = reply.status == 200 and reference_decoder.succeeded(
            reference_decoder.document(reply.body)
        )
    except reference_decoder.Wrong:
        is_success = False
    if not is_success:
        kinds = {(type(error), getattr(error, "code", None)) for error in refusals.values()}
        assert len(refusals) == len(_READERS), "a success without one"
        assert len(kinds) == 1, f"one refusal, read in several ways: {kinds}"
        return
    echoed = {value.strip() for name, value in reply.headers if name.lower() == "api-id"} - {""}
    read = found.keys() - refusals.keys()
    assert all(echoed <= {api_id} for api_id in read), "the answer to another call"


def _headers(data: bytes) -> object:
    reply = _reply(b"200\n" + data.replace(b"\n\n", b"\n"))
    reply.says_whether_more()
    _or_refusal(lambda: reply.header("resp-cnt"), Unreadable)
    return _or_refusal(reply.next_key, Unreadable)


def _headers_agree(data: bytes, found: Any) -> None:
    headers = _reply(b"200\n" + data.replace(b"\n\n", b"\n")).headers
    try:
        expected = reference_decoder.next_key(headers)
    except reference_decoder.Wrong:
        assert isinstance(found, Unreadable), "a continuation with two readings"
        return
    assert found == expected, "another key"


def _config(data: bytes) -> object:
    return _or_refusal(lambda: config.parse(data, "c.yaml"), ConfigError)


def _config_agrees(_: bytes, found: Any) -> None:
    if isinstance(found, ConfigError):
        *lines, last = str(found).split("\n")
        assert all(line.isprintable() for line in (*lines, last)), "a complaint of more than a line"
        is_placed = all(line.startswith("c.yaml:") for line in lines) and last.startswith(
            ("c.yaml:", "… and ")
        )
        assert is_placed, "a complaint without its line"
        return
    shown = config.describe(found, Environment())
    assert config.digest(config.parse(shown.encode(), "c.yaml")) == config.digest(found), (
        "shown, it means another"
    )


def _calendar(data: bytes) -> object:
    return _or_refusal(lambda: calendar.load(data, "c.yaml"), ConfigError)


def _calendar_agrees(_: bytes, found: Any) -> None:
    if isinstance(found, ConfigError):
        assert str(found).isprintable(), "a complaint of more than a line"
        assert str(found).startswith("c.yaml:"), "a complaint without its line"
        return
    assert all(session.opens < session.closes for session in found.sessions(date(2026, 11, 20))), (
        "a session backwards"
    )


_KEYS = ("every", "during", "at", "days", "grace")


def _keys(data: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in data.decode("utf-8", "surrogateescape").split("\n"))
    return {name.strip(): text for name, _, text in pairs if name.strip() in _KEYS}


@cache
def _known_days() -> calendar.Calendar:
    return calendar.load(resources.path("config", "calendar.yaml").read_bytes(), "calendar.yaml")


def _schedule(data: bytes) -> object:
    return _or_refusal(lambda: schedule.parse("s", universe="u", **_keys(data)), schedule.ScheduleError)


def _schedule_agrees(data: bytes, found: Any) -> None:
    try:
        when, days, grace = slow_schedule.reading(_keys(data))
    except slow_schedule.Wrong:
        assert isinstance(found, schedule.ScheduleError), "a schedule that the slow reading refuses"
        assert found.field in _KEYS, "a complaint about no key"
        return
    assert not isinstance(found, Exception), f"a schedule that the slow reading takes: {found}"
    assert tuple(found.when) == when[1:], "another time"
    assert (found.days, found.grace) == (days, grace), "other days or another grace"
    start = datetime(2026, 11, 18, tzinfo=UTC)
    slots = list(islice(schedule.slots(found, _known_days(), start, start.replace(day=21)), 50))
    assert all(start <= slot.at < slot.deadline for slot in slots), "a slot out of order"


_PASSWORD = "sw0rdfish"  # what no complaint may show


def _address(data: bytes) -> object:
    return _or_refusal(lambda: dsn.parse_dsn(data.decode("utf-8", "surrogateescape")), ConfigError)


def _address_agrees(data: bytes, found: Any) -> None:
    if isinstance(found, ConfigError):
        assert _PASSWORD not in str(found), "a complaint shows the password"
    elif found.password is not None and data.count(_PASSWORD.encode()) == 1:
        hidden = _PASSWORD in found.password.reveal()
        assert not hidden or _PASSWORD not in f"{found} {found!r}", "the password is shown"


TARGETS: Mapping[str, Target] = {
    "prices": Target(_prices, _prices_agree, 25),
    "envelope": Target(_envelope, _envelope_agrees, 20),
    "bars": Target(_bars, _bars_agree, 15),
    "headers": Target(_headers, _headers_agree, 15),
    "schedule": Target(_schedule, _schedule_agrees, 10),
    "config": Target(_config, _config_agrees, 6),
    "address": Target(_address, _address_agrees, 6),
    "calendar": Target(_calendar, _calendar_agrees, 3),
}


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept of a target, findings among them."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
