"""Reads ka10051: net purchases by kind of investor and sector on one day.

Prices and rates of this call come as hundredths without a point, and `-0` occurs (Kiwoom's own capture of
2026-07-01). The amounts are in 100 million won (억원) if `amt_qty_tp` is 0. The caller knows the day and the
exchange from its request.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from collector.base.struct_types import prepare_struct
from collector.kiwoom.protocol.indices import sector_code
from collector.kiwoom.protocol.numbers import parse_signed
from collector.kiwoom.protocol.records import decode_rows
from collector.model import BadRow

AMOUNT_UNIT = 100_000_000

INVESTORS: Mapping[str, str] = {
    "sc_netprps": "securities",
    "insrnc_netprps": "insurance",
    "invtrt_netprps": "investment_trust",
    "bank_netprps": "bank",
    "jnsinkm_netprps": "merchant_bank",
    "endw_netprps": "pension",
    "etc_corp_netprps": "other_corporation",
    "ind_netprps": "individual",
    "frgnr_netprps": "foreigner",
    "native_trmt_frgnr_netprps": "resident_foreigner",
    "natn_netprps": "government",
    "samo_fund_netprps": "private_fund",
    "orgn_netprps": "institution",
}
"""Field of the API -> the name of the investor in the view `investor_flow`. `institution` is a sum of others."""


class SectorFlow(NamedTuple):
    """The net purchases of one sector in won, by investor; negative for net sales."""

    sector: str
    net_amounts: Mapping[str, int]


_Row = prepare_struct(msgspec.defstruct("_Row", [("inds_cd", str), *((name, str) for name in INVESTORS)]))


def flows(sent: Sequence[object]) -> tuple[list[SectorFlow], list[BadRow]]:
    """Return the rows of `inds_netprps`, in the order served."""
    return decode_rows(sent, _Row, _flow)


def _flow(row: msgspec.Struct) -> SectorFlow:
    texts = msgspec.structs.asdict(row)
    return SectorFlow(
        sector_code(texts["inds_cd"]),
        {investor: parse_signed(texts[name]) * AMOUNT_UNIT for name, investor in INVESTORS.items()},
    )
