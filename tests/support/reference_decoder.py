"""A second decoder of answers, slow and plain, written from the documentation alone.

It shares nothing with the program but the order of the values, so that a mistake has to be made twice to go
unseen. `rows` yields for each row of a page its twelve values, or None for a row that is to be refused, and
`days` does the same for daily bars; `next_key` reads the headers of a page.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

DIGITS = set("0123456789")
CAPITALS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SUFFIXES = ("", "_NX", "_AL")
MOST_WON = 2_147_483_647
MOST_BASIS_POINTS = 268_435_455
NEVER_DATA = {2_147_483_647, 2_147_483_648, 4_294_967_295}
NEVER_DATA_IN_WON = NEVER_DATA | {2_147_483, 4_294_967}

Values = tuple[Any, ...]


class Wrong(Exception):
    """Not what the documentation allows."""


def document(body: bytes) -> dict[str, Any]:
    """The body as JSON in UTF-8 (a byte order mark is let through), no key twice; else Wrong."""
    try:
        found = json.loads(body.decode("utf-8-sig"), object_pairs_hook=no_key_twice, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Wrong from error
    if not isinstance(found, dict):
        raise Wrong
    return found


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Wrong
        found[key] = value
    return found


def refuse(_: str) -> None:
    raise Wrong


def rows(body: bytes) -> Iterator[Values | None]:
    for row in document(body)["inds_stkpc"]:
        try:
            yield values(row)
        except Wrong:
            yield None


def values(row: Any) -> Values:
    return (
        code(row),
        name(row),
        price(row, "cur_prc"),
        won(text(row, "pred_pre")),
        rate(row),
        sign(row),
        volume(row),
        price(row, "sel_bid"),
        price(row, "buy_bid"),
        price(row, "open_pric"),
        price(row, "high_pric"),
        price(row, "low_pric"),
    )


def text(row: Any, field: str) -> str:
    if not isinstance(row, dict) or not isinstance(row.get(field), str) or any(map(is_broken, row)):
        raise Wrong
    return row[field]


def is_broken(key: str) -> bool:
    """Whether a key holds half a surrogate pair: such a row is kept as it is, and nothing is read from it."""
    return any(0xD800 <= ord(char) <= 0xDFFF for char in key)


def code(row: Any) -> str:
    symbol = text(row, "stk_cd")
    bare, suffix = symbol[:6], symbol[6:]
    if len(bare) != 6 or not set(bare) <= DIGITS | CAPITALS or suffix not in SUFFIXES:
        raise Wrong
    return bare


def name(row: Any) -> str:
    bare = text(row, "stk_nm").strip()
    if not bare or len(bare) > 40 or not bare.isprintable():
        raise Wrong
    return bare


def decimal(written: str) -> Decimal:
    """Blanks around, one surplus sign and commas between thousands are tolerated; then plain digits."""
    written = written.strip(" \t")
    negative = written.startswith("-")
    for surplus in ("++", "--", "+", "-"):
        if written.startswith(surplus):
            written = written[len(surplus) :]
            break
    before, point, after = written.partition(".")
    before = ungrouped(before)
    if (
        not before
        or len(before.lstrip("0")) > 15
        or not set(before + after) <= DIGITS
        or (point and not after)
    ):
        raise Wrong
    number = Decimal(before + point + after)
    return -number if negative else number


def ungrouped(written: str) -> str:
    first, *groups = written.split(",")
    if groups and (not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups)):
        raise Wrong
    return first + "".join(groups)


def whole(written: str, most: int) -> int:
    number = decimal(written)
    if "." in written or abs(number) > most:
        raise Wrong
    return int(number)


def won(written: str) -> int:
    number = whole(written, MOST_WON)
    if abs(number) in NEVER_DATA_IN_WON:
        raise Wrong
    return number


def price(row: Any, field: str) -> int | None:
    written = text(row, field)
    if not written.strip(" \t"):
        return None
    return abs(won(written)) or None


def rate(row: Any) -> int:
    number = decimal(text(row, "flu_rt")) * 100
    if number != int(number) or len(text(row, "flu_rt").partition(".")[2].rstrip(" \t")) > 2:
        raise Wrong
    if abs(number) > MOST_BASIS_POINTS or int(abs(number) / 100) in NEVER_DATA_IN_WON:
        raise Wrong
    return int(number)


def sign(row: Any) -> int:
    number = whole(text(row, "pred_pre_sig"), MOST_WON)
    if number not in (1, 2, 3, 4, 5):
        raise Wrong
    return number


def volume(row: Any, field: str = "now_trde_qty") -> int:
    number = whole(text(row, field), 10**15)
    if number < 0 or number in NEVER_DATA:
        raise Wrong
    return number


def listed(body: bytes, field: str) -> list[Any]:
    """The rows of an answer that says it succeeded, at most ten thousand; else Wrong."""
    found = document(body)
    if not succeeded(found) or not isinstance(found.get(field), list) or len(found[field]) > 10_000:
        raise Wrong
    rows: list[Any] = found[field]
    return rows


def succeeded(found: dict[str, Any]) -> bool:
    """Whether return_code is 0, as a number or as up to five zeros, and the text names no error."""
    code, message = found.get("return_code"), found.get("return_msg")
    is_zero = code == 0 if type(code) is int else code in ("0", "00", "000", "0000", "00000")
    return is_zero and not (isinstance(message, str) and names_an_error(message))


def names_an_error(message: str) -> bool:
    """Whether there is `[1700:` (three to five digits) or `CODE=8005` (three digits or more) in it."""
    bracketed = (piece.partition(":") for piece in message.split("[")[1:])
    if any(colon and 3 <= len(digits) <= 5 and set(digits) <= DIGITS for digits, colon, _ in bracketed):
        return True
    return any(len(piece) >= 3 and set(piece[:3]) <= DIGITS for piece in message.split("CODE=")[1:])


BAR_FIELDS = ["cur_prc", "trde_qty", "dt", "open_pric", "high_pric", "low_pric"]


def days(body: bytes, symbol: str) -> Iterator[Values | None]:
    for row in listed(body, "stk_dt_pole_chart_qry"):
        try:
            yield day_values(row, symbol)
        except Wrong:
            yield None


def day_values(row: Any, symbol: str) -> Values:
    for field in BAR_FIELDS:
        text(row, field)
    return (
        symbol,
        day(row),
        price(row, "open_pric"),
        price(row, "high_pric"),
        price(row, "low_pric"),
        price(row, "cur_prc"),
        volume(row, "trde_qty"),
        change(row),
    )


def change(row: Any) -> int | None:
    """Absent, null and blank alike: the API does not say what the day changed by."""
    written = row.get("pred_pre")
    if written is None or (isinstance(written, str) and not written.strip(" \t")):
        return None
    return won(text(row, "pred_pre"))


def day(row: Any) -> date:
    written = text(row, "dt")
    if len(written) != 8 or not set(written) <= DIGITS:
        raise Wrong
    try:
        return date(int(written[:4]), int(written[4:6]), int(written[6:]))
    except ValueError as error:
        raise Wrong from error


def next_key(headers: Sequence[tuple[str, str]]) -> str | None:
    """The key of the next page, None where there is none; Wrong where the two headers do not fit together."""
    flags = [value.strip() for name, value in headers if name.lower() == "cont-yn"]
    keys = [value.strip() for name, value in headers if name.lower() == "next-key"]
    if len(flags) > 1 or len(keys) > 1:
        raise Wrong
    flag, key = "".join(flags), "".join(keys)
    if flag == "N" or (flag == "" and key == ""):
        return None
    if flag != "Y" or not 1 <= len(key) <= 50 or not all(33 <= ord(char) <= 126 for char in key):
        raise Wrong
    return key
