"""The layout of COPY (binary) for collector.snapshot: columns, widths and offsets, for writers and readers.

Every column has a fixed width and none is NULL, so each row has the same length (docs/decisions/0009).
"""

from itertools import accumulate

WIDTHS = {
    "slot": 8,
    "target": 2,
    "volume": 8,
    "listing": 4,
    "price": 4,
    "change": 4,
    "rate": 4,
    "ask": 4,
    "bid": 4,
    "open": 4,
    "high": 4,
    "low": 4,
    "position": 2,
}
"""The columns of collector.snapshot in the order of the stream, with their bytes.

Values are big-endian. Times are microseconds since 2000.
"""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
CODES = {2: "h", 4: "i", 8: "q"}
"""The code of a width in `struct` and `array`."""

# A row is the count of its columns (2 bytes), then each value after its length (4 bytes).
ROW_BYTES = 2 + sum(4 + width for width in WIDTHS.values())
OFFSETS = {
    name: 2 + 4 * index + before
    for index, (name, before) in enumerate(
        zip(WIDTHS, accumulate(WIDTHS.values(), initial=0), strict=False), 1
    )
}
"""The offset of each value in a row, after its length."""
