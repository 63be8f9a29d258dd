"""Reads ka10080: one-minute bars of one listing, newest first, 900 a page.

`base_dt` makes that day the newest one, and that day is complete in the first answer (a day has some 380
bars). A label `cntr_tm` is believed to be the start of its minute; labels on a half minute occur. `pred_pre`
is against the close of the day before. A minute without a trade has no bar. `acc_trde_qty`, the volume of the
day so far, is undocumented and may be absent. Source: Kiwoom's own capture, shapes only; its chart captures
come from a staging feed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from collector.kiwoom.protocol import numbers
from collector.kiwoom.protocol.records import decode_rows
from collector.model import KST, BadRow


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
    """One answer: its bars in the order served, and the key of the next page (None: the last)."""

    bars: Sequence[MinuteBar]
    next_key: str | None


class _MinuteRow(msgspec.Struct):
    cntr_tm: str
    cur_prc: str
    open_pric: str
    high_pric: str
    low_pric: str
    trde_qty: str
    pred_pre: str
    pred_pre_sig: str
    acc_trde_qty: str = ""


def minute_bars(sent: Sequence[object]) -> tuple[list[MinuteBar], list[BadRow]]:
    """Return the rows of `stk_min_pole_chart_qry`, in the order served."""
    return decode_rows(sent, _MinuteRow, _bar)


def _bar(row: _MinuteRow) -> MinuteBar:
    return MinuteBar(
        starts_at=moment(row.cntr_tm),
        open=_price_in_won(row.open_pric),
        high=_price_in_won(row.high_pric),
        low=_price_in_won(row.low_pric),
        close=_price_in_won(row.cur_prc),
        volume=numbers.volume(row.trde_qty),
        change=numbers.parse_signed(row.pred_pre),
        sign=numbers.sign(row.pred_pre_sig),
        total_volume=numbers.volume(row.acc_trde_qty) if row.acc_trde_qty.strip() else None,
    )


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
