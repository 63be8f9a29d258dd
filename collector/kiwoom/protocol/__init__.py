"""Implements Kiwoom's protocol as functions of plain values, without input or output.

`requests` makes requests. `responses` turns (status, headers, body) into a page, a token, sectors or bars, or
raises the error of the answer. `error_codes` is the one table from Kiwoom's codes to the program's errors,
`numbers` the grammar of single values, `strict_json` a strict JSON parser.
"""

from collector.kiwoom.protocol.requests import (
    API_IDS,
    ApiRequest,
    ask_bars,
    ask_flows,
    ask_index_bars,
    ask_index_days,
    ask_indices,
    ask_listings,
    ask_minutes,
    ask_prices,
    ask_revoke,
    ask_sectors,
    ask_token,
)
from collector.kiwoom.protocol.response import ApiResponse
from collector.kiwoom.protocol.responses import (
    Token,
    read_bars,
    read_minutes,
    read_prices,
    read_revoked,
    read_sectors,
    read_token,
    return_code_of,
)
from collector.kiwoom.protocol.witness_responses import (
    IndexBarPage,
    IndexPage,
    ListingPage,
    read_flows,
    read_index_bars,
    read_index_days,
    read_indices,
    read_listings,
)

__all__ = [
    "API_IDS",
    "ApiRequest",
    "ApiResponse",
    "IndexBarPage",
    "IndexPage",
    "ListingPage",
    "Token",
    "ask_bars",
    "ask_flows",
    "ask_index_bars",
    "ask_index_days",
    "ask_indices",
    "ask_listings",
    "ask_minutes",
    "ask_prices",
    "ask_revoke",
    "ask_sectors",
    "ask_token",
    "read_bars",
    "read_flows",
    "read_index_bars",
    "read_index_days",
    "read_indices",
    "read_listings",
    "read_minutes",
    "read_prices",
    "read_revoked",
    "read_sectors",
    "read_token",
    "return_code_of",
]
