"""Kiwoom's protocol as functions of plain values: what is sent, and what an answer means.

Nothing here awaits or opens anything. `calls` makes requests; `answers` turns (status, headers, body) into a
page, a token, sectors or bars, or raises the error that the answer is; `codes` is the one table from Kiwoom's
codes to our errors; `fields` is the grammar of single values; `text` is JSON, strictly.
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
    ask_prices,
    ask_revoke,
    ask_sectors,
    ask_token,
)
from collector.kiwoom.protocol.response import ApiResponse
from collector.kiwoom.protocol.responses import (
    Token,
    read_bars,
    read_prices,
    read_revoked,
    read_sectors,
    read_token,
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
    "read_prices",
    "read_revoked",
    "read_sectors",
    "read_token",
]
