"""Faults of the head: headers that are doubled, missing, contradictory or too many."""

from dataclasses import replace

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault

_Headers = tuple[tuple[str, str], ...]


def _without(headers: _Headers, *names: str) -> _Headers:
    return tuple((name, value) for name, value in headers if name.lower() not in names)


def _put(case: FaultContext, headers: _Headers) -> None:
    case.answer = replace(case.answer, headers=headers)


@fault(Stage.BYTES, "header names in lower case")
def lower_case_headers(case: FaultContext, args: Args) -> None:
    _put(case, tuple((name.lower(), value) for name, value in case.answer.headers))


@fault(Stage.BYTES, "header names in upper case")
def upper_case_headers(case: FaultContext, args: Args) -> None:
    _put(case, tuple((name.upper(), value) for name, value in case.answer.headers))


@fault(Stage.BYTES, "cont-yn and next-key come twice, with the same values")
def duplicate_cont_header(case: FaultContext, args: Args) -> None:
    again = tuple(pair for pair in case.answer.headers if pair[0] in ("cont-yn", "next-key"))
    _put(case, (*case.answer.headers, *again))


@fault(Stage.BYTES, "cont-yn comes twice, as Y and as N")
def contradictory_cont_headers(case: FaultContext, args: Args) -> None:
    said = dict(case.answer.headers).get("cont-yn")
    _put(case, (*case.answer.headers, ("Cont-Yn", "N" if said == "Y" else "Y")))


@fault(Stage.BYTES, "cont-yn says neither Y nor N", value="y")
def odd_cont_yn(case: FaultContext, args: Args) -> None:
    _put(case, (("cont-yn", args.text("value")), *_without(case.answer.headers, "cont-yn")))


@fault(Stage.BYTES, "no cont-yn and no next-key")
def no_cont_headers(case: FaultContext, args: Args) -> None:
    _put(case, _without(case.answer.headers, "cont-yn", "next-key"))


@fault(Stage.BYTES, "valid JSON with the content type of plain text")
def text_plain(case: FaultContext, args: Args) -> None:
    _put(case, (*_without(case.answer.headers, "content-type"), ("Content-Type", "text/plain")))


@fault(Stage.BYTES, "no Content-Type")
def no_content_type(case: FaultContext, args: Args) -> None:
    _put(case, _without(case.answer.headers, "content-type"))


@fault(Stage.BYTES, "this many headers", count=10_000)
def many_headers(case: FaultContext, args: Args) -> None:
    _put(case, (*case.answer.headers, *((f"x-{index}", "1") for index in range(args.number("count")))))


@fault(Stage.BYTES, "a header of this many bytes", bytes=65_536)
def long_header(case: FaultContext, args: Args) -> None:
    _put(case, (*case.answer.headers, ("x-long", "x" * args.number("bytes"))))


@fault(Stage.BYTES, "cookies; a client must not keep them", count=3)
def cookies(case: FaultContext, args: Args) -> None:
    added = tuple(("Set-Cookie", f"c{index}=1; Path=/") for index in range(args.number("count")))
    _put(case, (*case.answer.headers, *added))


@fault(Stage.BYTES, "a Date far from the true time", value="Thu, 01 Jan 1970 00:00:00 GMT")
def wrong_date(case: FaultContext, args: Args) -> None:
    _put(case, (*case.answer.headers, ("Date", args.text("value"))))
