"""Reads ka10080: one-minute bars of one listing, newest first, 900 a page.

`base_dt` makes that day the newest one, and that day is complete in the first answer (a day has some 380
bars). A label `cntr_tm` is believed to be the start of its minute; labels on a half minute occur. `pred_pre`
is against the close of the day before. A minute without a trade has no bar. `acc_trde_qty`, the volume of the
day so far, is undocumented and may be absent. Source: Kiwoom's own capture, shapes only; its chart captures
come from a staging feed.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import astuple

from collector.kiwoom.protocol import numbers
from collector.model import KST


class MinuteBar(NamedTuple):
    """One minute of trading. Prices are won, `change` is against the previous close, `total_volume` None if
    absent."""

    starts_at: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int
    change: int
    sign: int
    total_volume: int | None


class MinutePage(NamedTuple):
    """One answer, read for one day: the bars of the day in the order served, then at most one bar before the day.

    `size` counts the bars served, those of other days too. `next_key` None: the last page.
    """

    bars: Sequence[MinuteBar]
    next_key: str | None
    size: int


class MinuteRow(msgspec.Struct, gc=False):
    """A minute as sent: nine texts; the last may be absent or blank."""

    cntr_tm: str
    cur_prc: str
    open_pric: str
    high_pric: str
    low_pric: str
    trde_qty: str
    pred_pre: str
    pred_pre_sig: str
    acc_trde_qty: str | None = None


class MinuteResponse(msgspec.Struct, gc=False):
    """The whole body as documented."""

    stk_cd: str
    stk_min_pole_chart_qry: list[MinuteRow]
    return_code: int
    return_msg: str


_ENVELOPE_QUOTES = 12  # four keys and two texts
_ROW_QUOTES = 36  # nine keys and nine values
_LABEL = 14


def count_quotes(answer: MinuteResponse) -> int:
    """Return the number of quotes in a body without undocumented keys."""
    rows = answer.stk_min_pole_chart_qry
    return _ENVELOPE_QUOTES + _ROW_QUOTES * len(rows) - 4 * [row.acc_trde_qty for row in rows].count(None)


def select_day(rows: Sequence[MinuteRow], day: date) -> list[MinuteRow]:
    """Return the rows of a day in their order, then the newest row before it; FieldError if a label is none.

    A page has 900 bars and a day some 380, so the others are not decoded.
    """
    labels = [row.cntr_tm for row in rows]
    if not _are_labels(labels):
        raise numbers.FieldError("cntr_tm is not an instant of fourteen digits")
    begins = f"{day:%Y%m%d}"
    ends = f"{begins}~"  # after every label of the day
    own = [row for row, label in zip(rows, labels, strict=True) if begins <= label < ends]
    before = max((label for label in labels if label < begins), default=None)
    return own if before is None else [*own, rows[labels.index(before)]]


def _are_labels(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    return not texts or (joined.isascii() and joined.isdigit() and set(map(len, texts)) == {_LABEL})


def minute_bars(rows: Sequence[MinuteRow]) -> list[MinuteBar]:
    """Return the bars of rows, in their order; FieldError if one does not decode."""
    if not rows:
        return []
    label, close, opened, high, low, volume, change, sign, total = zip(*map(astuple, rows), strict=True)
    amounts = numbers.amounts((opened, high, low, close), change, volume)
    if any(0 in column for column in amounts.prices):
        raise numbers.FieldError("is not a price")
    columns = (*amounts.prices, amounts.volume, amounts.change, numbers.signs(sign)[0])
    totals = _total_volumes(total)
    return list(map(_bar, zip(map(_moment.__getitem__, label), *columns, totals, strict=True)))


def _total_volumes(texts: Sequence[str | None]) -> Sequence[int | None]:
    """Shares until the end of each bar; None where the API does not say them."""
    said = [text for text in texts if text is not None and text.strip()]
    if len(said) == len(texts):
        return numbers.volumes(said)
    return [_total_volume(text) for text in texts]


def moment(text: str) -> datetime:
    """Parse an instant of fourteen digits, in Korean time."""
    if not (text.isascii() and text.isdigit() and len(text) == 14):
        raise numbers.FieldError("is not an instant of fourteen digits")
    try:
        year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
        return datetime(year, month, day, int(text[8:10]), int(text[10:12]), int(text[12:]), tzinfo=KST)
    except ValueError:
        raise numbers.FieldError("is not an existing instant") from None


def _price_in_won(text: str) -> int:
    amount = numbers.price(text)
    if amount is None:
        raise numbers.FieldError("is not a price")
    return amount


def _total_volume(text: str | None) -> int | None:
    return numbers.volume(text) if text is not None and text.strip() else None


_moment = numbers.Memo(moment)
_bar = partial(tuple.__new__, MinuteBar)  # the same as MinuteBar._make, without its Python code
_GRAMMAR: dict[str, Callable[[str], object]] = {
    "cntr_tm": moment,
    "cur_prc": _price_in_won,
    "open_pric": _price_in_won,
    "high_pric": _price_in_won,
    "low_pric": _price_in_won,
    "trde_qty": numbers.volume,
    "pred_pre": numbers.parse_signed,
    "pred_pre_sig": numbers.sign,
    "acc_trde_qty": _total_volume,
}


def first_wrong(row: MinuteRow) -> str | None:
    """Return the first undecodable value of a row with the reason; None if all decode."""
    return numbers.first_wrong(row, _GRAMMAR)
