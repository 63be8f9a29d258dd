"""Faults of the body's bytes: encoding, compression, invalid JSON."""

from dataclasses import replace
from gzip import compress
from zlib import DEFLATED, MAX_WBITS, compressobj

from kiwoom_simulator.faults.context import Args, FaultContext
from kiwoom_simulator.faults.table import Stage, fault


def _put(case: FaultContext, body: bytes, **headers: str) -> None:
    """Replace the body and add headers. Header names have `_` instead of `-`."""
    added = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    case.answer = replace(case.answer, body=body, headers=(*case.answer.headers, *added))


@fault(Stage.BYTES, "the answer in EUC-KR, as older Korean systems write")
def encoding_euckr(case: FaultContext, args: Args) -> None:
    _put(case, case.answer.body.decode().encode("euc-kr", "replace"))


@fault(Stage.BYTES, "the answer in UTF-16")
def encoding_utf16(case: FaultContext, args: Args) -> None:
    _put(case, case.answer.body.decode().encode("utf-16"))


@fault(Stage.BYTES, "a byte order mark before the JSON")
def bom(case: FaultContext, args: Args) -> None:
    _put(case, b"\xef\xbb\xbf" + case.answer.body)


@fault(Stage.BYTES, "an invalid UTF-8 byte in the middle of the body")
def bad_utf8(case: FaultContext, args: Args) -> None:
    half = len(case.answer.body) // 2
    _put(case, case.answer.body[:half] + b"\xff" + case.answer.body[half:])


@fault(Stage.BYTES, "the return code comes twice: first an error, then 0")
def duplicate_json_key(case: FaultContext, args: Args) -> None:
    _put(case, b'{"return_code":1,' + case.answer.body[1:])


@fault(Stage.BYTES, "a number outside the JSON standard", text="NaN")
def nan(case: FaultContext, args: Args) -> None:
    _put(case, b'{"extra":%b,' % args.text("text").encode() + case.answer.body[1:])


@fault(Stage.BYTES, "brackets nested this deep", depth=200_000)
def deep_json(case: FaultContext, args: Args) -> None:
    depth = args.number("depth")
    _put(case, b'{"extra":' + b"[" * depth + b"]" * depth + b"," + case.answer.body[1:])


@fault(Stage.BYTES, "an integer of this many digits", digits=5_000)
def huge_integer(case: FaultContext, args: Args) -> None:
    _put(case, b'{"extra":' + b"9" * args.number("digits") + b"," + case.answer.body[1:])


@fault(Stage.BYTES, "no body at all, with status 200")
def empty_body(case: FaultContext, args: Args) -> None:
    _put(case, b"")


@fault(Stage.BYTES, "a body of JSON without an object", text="[]")
def other_json(case: FaultContext, args: Args) -> None:
    _put(case, args.text("text").encode())


@fault(Stage.BYTES, "a valid answer, compressed without a request for it")
def gzip(case: FaultContext, args: Args) -> None:
    _put(case, compress(case.answer.body), Content_Encoding="gzip")


@fault(Stage.BYTES, "a small answer; it unpacks to this many bytes", bytes=300_000_000)
def gzip_bomb(case: FaultContext, args: Args) -> None:
    packer = compressobj(9, DEFLATED, MAX_WBITS | 16)
    block = b" " * 1_000_000
    packed = [packer.compress(case.answer.body)]
    packed += [packer.compress(block) for _ in range(args.number("bytes") // len(block))]
    _put(case, b"".join([*packed, packer.flush()]), Content_Encoding="gzip")


@fault(Stage.BYTES, "a compressed answer of many empty members", members=50_000)
def gzip_many_members(case: FaultContext, args: Args) -> None:
    _put(case, compress(b"") * args.number("members") + compress(case.answer.body), Content_Encoding="gzip")


@fault(Stage.BYTES, "the answer compressed twice")
def gzip_twice(case: FaultContext, args: Args) -> None:
    _put(case, compress(compress(case.answer.body)), Content_Encoding="gzip, gzip")


@fault(Stage.BYTES, "a Content-Encoding without that encoding in the body", encoding="br")
def content_encoding_garbage(case: FaultContext, args: Args) -> None:
    _put(case, case.answer.body, Content_Encoding=args.text("encoding"))
