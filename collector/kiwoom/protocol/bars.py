"""Converts rows of ka10081 into bars, a page at a time and column by column.

Histories are long: 600 rows a page, a million in a backfill of two years.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from itertools import repeat
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from collector.kiwoom.protocol import numbers
from collector.model import Bar


class BarRow(msgspec.Struct, gc=False):
    """A day as sent: ten texts; the last four may be absent.

    Answers without `pred_pre`, `pred_pre_sig` and `trde_tern_rt` were captured. A bar does not depend on
    them: only the change is kept, and it may be unknown. The unused fields may be of any type.
    """

    cur_prc: str
    trde_qty: str
    dt: str
    open_pric: str
    high_pric: str
    low_pric: str
    pred_pre: str | None = None
    pred_pre_sig: Any = None
    trde_tern_rt: Any = None
    trde_prica: Any = None


class BarResponse(msgspec.Struct, gc=False):
    """The whole body as documented."""

    stk_cd: str
    stk_dt_pole_chart_qry: list[BarRow]
    return_code: int
    return_msg: str


_ENVELOPE_QUOTES = 12  # four keys and two texts
_ROW_QUOTES = 40  # ten keys and ten values


def count_quotes(answer: BarResponse) -> int:
    """Return the number of quotes in a body without undocumented keys; optional fields are absent or texts."""
    rows = answer.stk_dt_pole_chart_qry
    absent = sum(
        (row.pred_pre, row.pred_pre_sig, row.trde_tern_rt, row.trde_prica).count(None) for row in rows
    )
    return _ENVELOPE_QUOTES + _ROW_QUOTES * len(rows) - 4 * absent


def day(text: str) -> date:
    """Parse a date of eight digits."""
    if not (text.isascii() and text.isdigit() and len(text) == 8):
        raise numbers.FieldError("is not a date of eight digits")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise numbers.FieldError("is not an existing date") from None


def _read_change(text: str | None) -> int | None:
    """Parse a change in won; None if it is absent or blank."""
    return None if text is None or not text.strip(" \t") else numbers.parse_signed(text)


_day = numbers.Memo(day)
_change = numbers.Memo(_read_change)
_won = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=1, le=numbers.INT4)]])
_bar = partial(tuple.__new__, Bar)  # the same as Bar._make, without its Python code


def series(rows: Sequence[BarRow], symbol: str) -> list[Bar]:
    """Return the bars of rows, in their order; FieldError if one does not decode."""
    if not rows:
        return []
    close, volume, days, opened, high, low, change, *_ = zip(*map(astuple, rows), strict=True)
    prices = (opened, high, low, close)
    won: Sequence[Iterable[int | None]]
    won = numbers.plain_numbers(_won, prices) or [map(numbers.price, column) for column in prices]
    columns = zip(
        repeat(symbol, len(rows)),
        map(_day.__getitem__, days),
        *won,
        numbers.volumes(volume),
        map(_read_change if None in change else _change.__getitem__, change),
        strict=True,
    )
    return list(map(_bar, columns))


_GRAMMAR: dict[str, Callable[[str], object]] = {
    "dt": day,
    "cur_prc": numbers.price,
    "open_pric": numbers.price,
    "high_pric": numbers.price,
    "low_pric": numbers.price,
    "trde_qty": numbers.volume,
    "pred_pre": _read_change,
}


def first_wrong(row: BarRow) -> str | None:
    """Return the first undecodable value of a row with the reason; None if all decode."""
    return numbers.first_wrong(row, _GRAMMAR)
