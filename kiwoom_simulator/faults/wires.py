"""Faults of delivery: connections that break, stall or drip, and false lengths."""

from dataclasses import replace

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault
from kiwoom_simulator.server.http import Delivery, Ending, Framing, HttpResponse, Unasked, to_bytes


def _cut(case: FaultContext, at: int) -> int:
    """An offset in the body; a negative `at` means half of the body."""
    return len(case.answer.body) // 2 if at < 0 else at


@fault(Stage.BYTES, "the connection is reset before a byte of the answer")
def reset_before(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, cut_head=0, ending=Ending.RESET))


@fault(Stage.BYTES, "the connection is reset after this many bytes of the head", at=20)
def reset_headers(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, cut_head=args.number("at"), ending=Ending.RESET))


@fault(Stage.BYTES, "the connection is reset after this many bytes of the body (-1: half of it)", at=-1)
def reset_body(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, cut_body=_cut(case, args.number("at")), ending=Ending.RESET))


@fault(Stage.BYTES, "a valid answer, then the connection is closed without notice")
def close_after(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, ending=Ending.CLOSE))


@fault(Stage.BYTES, "the body ends after this many bytes (-1: half of it), and its length fits", at=-1)
def truncated_json(case: FaultContext, args: Args) -> None:
    case.answer = replace(case.answer, body=case.answer.body[: _cut(case, args.number("at"))])


@fault(Stage.BYTES, "fewer bytes than Content-Length announces, then the end", by=10)
def short_content_length(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, surplus=args.number("by"), ending=Ending.CLOSE))


@fault(Stage.BYTES, "no length and no chunks: the body ends with the connection")
def close_delimited(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, framing=Framing.NONE))


@fault(Stage.BYTES, "a good answer in chunks instead of a Content-Length")
def chunked(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, framing=Framing.CHUNKED))


@fault(Stage.BYTES, "a chunked body, cut off after this many bytes (-1: half of it)", at=-1)
def cut_chunk(case: FaultContext, args: Args) -> None:
    case.deliver(
        replace(
            case.answer.delivery,
            framing=Framing.CHUNKED,
            cut_body=_cut(case, args.number("at")),
            ending=Ending.CLOSE,
        )
    )


@fault(Stage.BYTES, "a few bytes at a time, with pauses", bytes=1, pause=1.0)
def slow_drip(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, drip=(args.number("bytes"), args.seconds("pause"))))


@fault(Stage.BYTES, "the head stops after this many bytes, and the connection stays", at=40)
def stall_headers(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, cut_head=args.number("at"), ending=Ending.STALL))


@fault(
    Stage.BYTES,
    "the body stops after this many bytes (-1: half of it), and the connection stays",
    at=-1,
)
def stall_body(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, cut_body=_cut(case, args.number("at")), ending=Ending.STALL))


@fault(Stage.BYTES, "the answer comes this many seconds late", seconds=3.0)
def latency_spike(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, wait=args.seconds("seconds")))


@fault(Stage.BYTES, "good JSON followed by this many blanks", bytes=100_000_000)
def huge_body(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, padding=args.number("bytes")))


@fault(Stage.BYTES, "a body without a length and without an end")
def endless_body(case: FaultContext, args: Args) -> None:
    case.deliver(Delivery(framing=Framing.NONE, padding=1 << 50))


@fault(
    Stage.BYTES,
    "the answer comes once more, `ms` milliseconds later (0: in the same segment); `bytes` cuts the repeat there",
    apis="",
    ms=1.0,
    bytes=-1,
)
def surplus_answer(case: FaultContext, args: Args) -> None:
    size = args.number("bytes")
    again = to_bytes(case.answer)
    _say_unasked(case, again if size < 0 else again[:size], args)


@fault(
    Stage.BYTES,
    "a whole answer without a request, `ms` milliseconds after the real one (0: in the same segment)",
    apis="",
    ms=1.0,
    status=408,
)
def unasked_408(case: FaultContext, args: Args) -> None:
    status = args.number("status")
    headers = (("Connection", "close"),) if status == 408 else ()
    _say_unasked(case, to_bytes(HttpResponse(status, headers, b"")), args)


@fault(
    Stage.BYTES,
    "a chunked answer, and `ms` milliseconds after its last chunk another chunk (0: in the same segment)",
    ms=1.0,
)
def surplus_chunk(case: FaultContext, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, framing=Framing.CHUNKED))
    _say_unasked(case, b"2\r\n{}\r\n0\r\n\r\n", args)


def _say_unasked(case: FaultContext, data: bytes, args: Args) -> None:
    case.deliver(replace(case.answer.delivery, unasked=Unasked(data, args.seconds("ms") / 1000)))
