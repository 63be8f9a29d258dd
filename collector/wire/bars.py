"""Rows of ka10081 as they are sent, and as bars: a page is turned a column at a time.

Histories are long: 600 rows a page, a million in a backfill of two years.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from itertools import chain, repeat
from typing import Annotated

import msgspec
from msgspec.structs import astuple

from collector.model import Bar
from collector.wire import fields


class Row(msgspec.Struct, gc=False):
    """A day as it is sent: ten texts."""

    cur_prc: str
    trde_qty: str
    trde_prica: str
    dt: str
    open_pric: str
    high_pric: str
    low_pric: str
    pred_pre: str
    pred_pre_sig: str
    trde_tern_rt: str


class Answer(msgspec.Struct, gc=False):
    """The whole body as documented."""

    stk_cd: str
    stk_dt_pole_chart_qry: list[Row]
    return_code: int
    return_msg: str


ENVELOPE_QUOTES = 12  # four keys and two texts
ROW_QUOTES = 40  # ten keys and ten values


def day(text: str) -> date:
    """A date of eight digits."""
    if not (text.isascii() and text.isdigit() and len(text) == 8):
        raise fields.FieldError("is no date of eight digits")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise fields.FieldError("is no date that exists") from None


_day = fields.Memo(day)
_won = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=1, le=fields.INT4)]])
_shares = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(le=10**15 - 1)]])
_bar = partial(tuple.__new__, Bar)  # what Bar._make does, without its Python


def series(rows: Sequence[Row], symbol: str) -> list[Bar]:
    """The bars that rows stand for, in their order; FieldError if one does not decode."""
    if not rows:
        return []
    close, volume, _, days, opened, high, low, change, *_ = zip(*map(astuple, rows), strict=True)
    won = _plain(_won, (opened, high, low, close)) or fields.price_columns((opened, high, low, close))
    shares = _plain(_shares, (volume,)) or (fields.volumes(volume),)
    columns = zip(
        repeat(symbol, len(rows)),
        map(_day.__getitem__, days),
        *won,
        *shares,
        *fields.signed_columns((change,)),
        strict=True,
    )
    return list(map(_bar, columns))


def _plain(
    decoder: msgspec.json.Decoder[list[int]], columns: Sequence[Sequence[str]]
) -> list[list[int]] | None:
    """The numbers of columns in whose texts stands nothing but digits, nearly always; None elsewhere.

    They are read as JSON: that takes a fifth of the time of `int`, and bounds are tested on the way. What JSON
    does not take, such as zeros in front, is left to those who read single values.
    """
    joined = "".join(chain.from_iterable(columns))
    if not (joined.isdigit() and joined.isascii() and all(map(all, columns))):
        return None
    try:
        return [decoder.decode(f"[{','.join(column)}]") for column in columns]
    except msgspec.MsgspecError:
        return None


_GRAMMAR: dict[str, Callable[[str], object]] = {
    "dt": day,
    "cur_prc": fields.price,
    "open_pric": fields.price,
    "high_pric": fields.price,
    "low_pric": fields.price,
    "trde_qty": fields.volume,
    "pred_pre": fields.signed,
}


def first_wrong(row: Row) -> str | None:
    """Which value of a row does not decode, and why; None if all do."""
    for name, parse in _GRAMMAR.items():
        try:
            parse(getattr(row, name))
        except fields.FieldError as error:
            return f"{name} {error}"
    return None
