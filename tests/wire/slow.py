"""A second decoder of ka20002, slow and plain, written from the documentation alone.

It shares nothing with the program but the order of the values, so that a mistake has to be made twice to go
unseen. `rows` yields for each row of a page its twelve values, or None for a row that is to be refused.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

DIGITS = set("0123456789")
CAPITALS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SUFFIXES = ("", "_NX", "_AL")
MOST_WON = 2_147_483_647
MOST_BASIS_POINTS = 268_435_455

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
        whole(text(row, "pred_pre"), MOST_WON),
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
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        raise Wrong
    return row[field]


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


def price(row: Any, field: str) -> int | None:
    written = text(row, field)
    if not written.strip(" \t"):
        return None
    return abs(whole(written, MOST_WON)) or None


def rate(row: Any) -> int:
    number = decimal(text(row, "flu_rt")) * 100
    if number != int(number) or len(text(row, "flu_rt").partition(".")[2].rstrip(" \t")) > 2:
        raise Wrong
    if abs(number) > MOST_BASIS_POINTS:
        raise Wrong
    return int(number)


def sign(row: Any) -> int:
    number = whole(text(row, "pred_pre_sig"), MOST_WON)
    if number not in (1, 2, 3, 4, 5):
        raise Wrong
    return number


def volume(row: Any) -> int:
    number = whole(text(row, "now_trde_qty"), 10**15)
    if number < 0:
        raise Wrong
    return number
