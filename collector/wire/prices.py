"""Rows of ka20002 as they are sent, and as columns.

Each column is looked up as a whole in what its texts were found to mean: prices, names and rates repeat
between columns, pages and sweeps, and a look-up costs a tenth of a parse.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec.structs import astuple

from collector.model import Exchange, Snapshots
from collector.wire import calls, fields


class Row(msgspec.Struct, gc=False):
    """A listing as it is sent: twelve texts."""

    stk_cd: str
    stk_nm: str
    cur_prc: str
    pred_pre_sig: str
    pred_pre: str
    flu_rt: str
    now_trde_qty: str
    sel_bid: str
    buy_bid: str
    open_pric: str
    high_pric: str
    low_pric: str


class Answer(msgspec.Struct, gc=False):
    """The whole body as documented."""

    inds_stkpc: list[Row]
    return_code: int
    return_msg: str


ENVELOPE_QUOTES = 8  # three keys and a text
ROW_QUOTES = 48  # twelve keys and twelve values

_symbols = {
    exchange: fields.Memo(partial(fields.symbol, suffix=suffix)) for exchange, suffix in calls.SUFFIX.items()
}
_name = fields.Memo(fields.name)
_won = fields.Memo(lambda text: fields.price(text) or 0)
_change = fields.Memo(fields.signed)
_rate = fields.Memo(fields.basis_points)
_sign = fields.Memo(fields.sign)


def columns(rows: Sequence[Row], exchange: Exchange) -> tuple[Snapshots, int]:
    """The rows, and how many symbols lack the exchange's suffix; FieldError if a value does not decode."""
    if not rows:
        return Snapshots(), 0
    code, name, price, sign, change, rate, volume, *quotes = zip(*map(astuple, rows), strict=True)
    symbol, has_suffix = zip(*map(_symbols[exchange].__getitem__, code), strict=True)
    won = [list(map(_won.__getitem__, column)) for column in (price, *quotes)]
    found = Snapshots(
        symbol,
        list(map(_name.__getitem__, name)),
        won[0],
        list(map(_change.__getitem__, change)),
        list(map(_rate.__getitem__, rate)),
        list(map(_sign.__getitem__, sign)),
        fields.volumes(volume),
        *won[1:],
    )
    return found, has_suffix.count(False)


_GRAMMAR: dict[str, Callable[[str], object]] = {
    "stk_cd": partial(fields.symbol, suffix=""),
    "stk_nm": fields.name,
    "cur_prc": fields.price,
    "pred_pre": fields.signed,
    "flu_rt": fields.basis_points,
    "pred_pre_sig": fields.sign,
    "now_trde_qty": fields.volume,
    "sel_bid": fields.price,
    "buy_bid": fields.price,
    "open_pric": fields.price,
    "high_pric": fields.price,
    "low_pric": fields.price,
}


def first_wrong(row: Row) -> str | None:
    """Which value of a row does not decode, and why; None if all do."""
    return fields.first_wrong(row, _GRAMMAR)
