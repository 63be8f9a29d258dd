"""Reads index values and counts: ka20003 (sectors of a board), ka20009 (days of a sector), ka20006 (daily bars).

Levels are hundredths of a point, because integers are exact. `trde_qty` of ka20003 and ka20009 is in thousand
shares and `trde_prica` in million won (Kiwoom's own captures of 2026-07-01); both are returned in shares and
won.

In all captures: advancers + unchanged + decliners = the traded members. The advancers include those at the
upper limit, the decliners those at the lower limit. ka20003 counts KRX alone.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from collector.base.struct_types import prepare_struct
from collector.kiwoom.protocol import bars, numbers
from collector.kiwoom.protocol.records import count, decode_rows, hundredths
from collector.kiwoom.protocol.strict_json import Document
from collector.market.witness_values import IndexLevel
from collector.model import BadRow

SHARES_UNIT = 1_000
TURNOVER_UNIT = 1_000_000


class IndexDays(NamedTuple):
    """The days of one sector's index in ka20009, newest first: date, level in hundredths, volume in shares."""

    traded: int
    days: tuple[tuple[date, int, int], ...]

    @property
    def session(self) -> date | None:
        """The date of the session shown by the API now; None if the answer has no day."""
        return self.days[0][0] if self.days else None


class IndexBar(NamedTuple):
    """One day of a sector's index: levels in hundredths of a point, volume in shares, turnover in won."""

    trading_date: date
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int


@prepare_struct
class _LevelRow(msgspec.Struct):
    stk_cd: str
    stk_nm: str
    cur_prc: str
    pre_sig: str
    pred_pre: str
    flu_rt: str
    trde_qty: str
    trde_prica: str
    upl: str
    rising: str
    stdns: str
    fall: str
    lst: str
    flo_stk_num: str


@prepare_struct
class _DayRow(msgspec.Struct):
    dt_n: str
    cur_prc_n: str
    acc_trde_qty_n: str


@prepare_struct
class _BarRow(msgspec.Struct):
    cur_prc: str
    trde_qty: str
    dt: str
    open_pric: str
    high_pric: str
    low_pric: str
    trde_prica: str


def levels(sent: Sequence[object]) -> tuple[list[IndexLevel], list[BadRow]]:
    """Return the rows of ka20003's `all_inds_idex`, in the order served."""
    return decode_rows(sent, _LevelRow, _level)


def days(document: Document, sent: Sequence[object]) -> tuple[IndexDays, list[BadRow]]:
    """Read ka20009: its head, and the rows of `inds_cur_prc_daly_rept`, sorted newest first."""
    good, bad = decode_rows(sent, _DayRow, _day)
    traded = document.get("trde_frmatn_stk_num")
    return IndexDays(count(traded) if isinstance(traded, str) else 0, tuple(sorted(good, reverse=True))), bad


def index_bars(sent: Sequence[object]) -> tuple[list[IndexBar], list[BadRow]]:
    """Return the rows of ka20006's `inds_dt_pole_qry`, in the order served. Levels come as hundredths without
    a point."""
    return decode_rows(sent, _BarRow, _bar)


def sector_code(text: str) -> str:
    """Check a sector code: three digits."""
    if len(text) != 3 or not (text.isascii() and text.isdigit()):
        raise numbers.FieldError("is not a sector code of three digits")
    return text


def _level(row: _LevelRow) -> IndexLevel:
    return IndexLevel(
        sector=sector_code(row.stk_cd),
        name=numbers.name(row.stk_nm),
        level=abs(hundredths(row.cur_prc)),
        change=hundredths(row.pred_pre),
        change_bp=numbers.basis_points(row.flu_rt),
        sign=numbers.sign(row.pre_sig),
        volume=numbers.volume(row.trde_qty) * SHARES_UNIT,
        turnover=numbers.volume(row.trde_prica) * TURNOVER_UNIT,
        limit_up=count(row.upl),
        advancers=count(row.rising),
        unchanged=count(row.stdns),
        decliners=count(row.fall),
        limit_down=count(row.lst),
        members=count(row.flo_stk_num),
    )


def _day(row: _DayRow) -> tuple[date, int, int]:
    return (
        bars.day(row.dt_n),
        abs(hundredths(row.cur_prc_n)),
        numbers.volume(row.acc_trde_qty_n) * SHARES_UNIT,
    )


def _bar(row: _BarRow) -> IndexBar:
    return IndexBar(
        trading_date=bars.day(row.dt),
        open=_points(row.open_pric),
        high=_points(row.high_pric),
        low=_points(row.low_pric),
        close=_points(row.cur_prc),
        volume=numbers.volume(row.trde_qty) * SHARES_UNIT,
        turnover=numbers.volume(row.trde_prica) * TURNOVER_UNIT,
    )


def _points(text: str) -> int:
    return abs(numbers.parse_signed(text))
