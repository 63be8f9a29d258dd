"""Reads ka10099: the listings of a board, one row each, in one answer of some 700 kB.

Numbers are padded with zeros. `marketCode` gives the kind (Kiwoom's own capture of 2026-07-01): 0 is a share
of KOSPI, 10 of KOSDAQ, 8 an ETF, 60 an ETN, 6 a REIT, 2 an infrastructure fund. Preferred shares and SPACs
are recognized by code and name.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from collector.base.struct_types import prepare_struct
from collector.kiwoom.protocol import bars, numbers
from collector.kiwoom.protocol.records import decode_rows
from collector.market.witness_values import ListingFact
from collector.model import BadRow

_KINDS: Mapping[str, str] = {"0": "share", "10": "share", "8": "etf", "60": "etn", "6": "reit", "2": "infra"}
_SPAC = re.compile(r"스팩(\d+호)?$")
_NAME_LENGTH = 80
"""ka10099 sends longer names than ka20002: funds have up to some 60 characters."""


@prepare_struct
class _ListingRow(msgspec.Struct, rename="camel"):
    code: str
    name: str
    list_count: str
    reg_day: str
    state: str
    market_code: str
    up_name: str
    up_size_name: str
    nxt_enable: str
    company_class_name: str = ""


def listing_facts(sent: Sequence[object]) -> tuple[list[ListingFact], list[BadRow]]:
    """Return the rows of ka10099's `list`, in the order served."""
    return decode_rows(sent, _ListingRow, _fact)


def _fact(row: _ListingRow) -> ListingFact:
    symbol, _ = numbers.symbol(row.code, "")
    name = _text(row.name)
    return ListingFact(
        symbol=symbol,
        name=name,
        kind=kind(symbol, name, row.market_code),
        market_code=row.market_code,
        industry=_text(row.up_name),
        size=_text(row.up_size_name),
        shares=numbers.volume(row.list_count),
        listed_on=bars.day(row.reg_day) if row.reg_day.strip("0 ") else None,
        state=_text(row.state),
        nxt=_flag(row.nxt_enable),
        department=_text(row.company_class_name),
    )


def kind(symbol: str, name: str, market_code: str) -> str:
    """Return the kind of a listing. A preferred share's code does not end in 0; a SPAC's name says so."""
    base = _KINDS.get(market_code, "other")
    if base != "share":
        return base
    if _SPAC.search(name):
        return "spac"
    return "share" if symbol.endswith("0") else "preferred"


def _text(text: str) -> str:
    bare = text.strip()
    if len(bare) > _NAME_LENGTH or not bare.isprintable():
        raise numbers.FieldError(f"is not a text of at most {_NAME_LENGTH} printable characters")
    return bare


def _flag(text: str) -> bool:
    if text not in ("Y", "N"):
        raise numbers.FieldError("nxtEnable is neither Y nor N")
    return text == "Y"
