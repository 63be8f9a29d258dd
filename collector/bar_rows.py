"""Bars as the bytes that COPY takes.

A listing's bars differ in seven numbers; what is the same for all of them is packed once. The rest is one
`struct` a bar, less than half the time of handing records to the driver.
"""

from collections.abc import Sequence
from struct import Struct

from collector.model import Bar

COLUMNS = ("symbol", "adjusted", "trading_date", "open", "high", "low", "close", "change", "volume")
"""The columns of collector.bar in the order of the bytes."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_ROW = Struct(">" + "ii" * 6 + "iq")
_EPOCH = 730_120  # 2000-01-01, from which PostgreSQL counts days


def pack(symbol: str, bars: Sequence[Bar], *, adjusted: bool) -> bytes:
    """Pack a listing's bars for COPY (binary). A price that is None becomes 0, see the layout."""
    name = symbol.encode()
    prefix = b"".join(
        (len(COLUMNS).to_bytes(2), len(name).to_bytes(4), name, (1).to_bytes(4), adjusted.to_bytes())
    )
    row = _ROW.pack
    rows = [
        row(
            *(4, day.toordinal() - _EPOCH, 4, opened or 0, 4, high or 0, 4, low or 0),
            *(4, close or 0, 4, change, 8, volume),
        )
        for _, day, opened, high, low, close, volume, change in bars
    ]
    body = prefix + prefix.join(rows) if rows else b""
    return b"".join((_HEADER, body, _TRAILER))
