"""Snapshots as the bytes that COPY takes.

The rows of a walk differ in eleven values; the slot and the target are the same for all. So the bytes of one
row are repeated, and each column is packed as a whole and laid over them at its place: a fifth of the time
of handing records to the driver. The digest of the rows comes from the same columns.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import accumulate, chain
from struct import Struct
from typing import NamedTuple

from collector.model import Snapshots

COLUMNS = (
    "slot",
    "target",
    "volume",
    "listing",
    "price",
    "change",
    "rate",
    "ask",
    "bid",
    "open",
    "high",
    "low",
    "position",
)
"""The columns of collector.snapshot in the order of the bytes."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_ROW = Struct(">h" + "iq" + "ih" + "iq" + "ii" * 9 + "ih")  # count of columns; each value behind its length
_WIDTHS = (8, *[4] * 9, 2)  # from volume on
_PLACES = tuple(accumulate((4 + width for width in _WIDTHS), initial=2 + 12 + 6 + 4))
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Packed(NamedTuple):
    """A walk's rows for COPY (binary), and eight bytes that stand for their values and order.

    The digest leaves out slot and target, so that two walks that saw the same have the same; listings are in
    it by id, so digests of two databases do not compare.
    """

    copy: bytes
    digest: bytes


def pack(slot: datetime, target: int, rows: Snapshots, listings: Sequence[int]) -> Packed:
    """Pack the rows of one walk, positions from 1; `listings` has each row's number."""
    values = _columns(rows, listings)
    digest = blake2b(b"".join(values), digest_size=8).digest()
    positions = Struct(f">{len(rows)}h").pack(*range(1, len(rows) + 1))
    body = bytearray(_blank(slot, target) * len(rows))
    for place, width, column in zip(_PLACES, _WIDTHS, (*values, positions), strict=False):
        for byte in range(width):
            body[place + byte :: _ROW.size] = column[byte::width]
    return Packed(b"".join((_HEADER, body, _TRAILER)), digest)


def _blank(slot: datetime, target: int) -> bytes:
    """A row of zeros at its slot and target."""
    zeros = chain.from_iterable((width, 0) for width in _WIDTHS)
    return _ROW.pack(len(COLUMNS), 8, (slot - _EPOCH) // _MICROSECOND, 2, target, *zeros)


def _columns(rows: Snapshots, listings: Sequence[int]) -> Sequence[bytes]:
    """From volume to low, each big-endian from the first row to the last."""
    rate = [points << 3 | sign for points, sign in zip(rows.change_bp, rows.sign, strict=True)]
    quotes = (rows.ask, rows.bid, rows.open, rows.high, rows.low)
    four_bytes = Struct(f">{len(rows)}i").pack
    numbers = [four_bytes(*column) for column in (listings, rows.price, rows.change, rate, *quotes)]
    return Struct(f">{len(rows)}q").pack(*rows.volume), *numbers
