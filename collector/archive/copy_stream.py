"""Converts rows between COPY (binary) and columns.

Every value has a fixed width and none is NULL, so each byte of a value has the same offset in every row. A
column is a few slices with the row's length as step. They run in C and take a quarter of a microsecond a row
(docs/decisions/0010).
"""

from collections.abc import Iterator, Mapping
from struct import Struct

from collector.db.copy_layout import HEADER, OFFSETS, ROW_BYTES, TRAILER, WIDTHS

_CHUNK = 2048
"""Rows at a time: a chunk fits the processor's cache, since strided reads and writes are slow beyond it."""
_FIELDS = [(name, width, OFFSETS[name]) for name, width in WIDTHS.items()]
_EMPTY = Struct(">h").pack(len(WIDTHS)) + b"".join(
    Struct(">i").pack(width) + bytes(width) for width in WIDTHS.values()
)

Columns = dict[str, bytearray]
"""The values of each column, one after another, in little-endian order like every current machine."""


class Splitter:
    """Splits a stream, fed in pieces, into columns; `columns` grows by whole rows.

    ValueError if the stream is malformed or broken off.
    """

    def __init__(self) -> None:
        self.columns: Columns = {name: bytearray() for name in WIDTHS}
        self.rows = 0
        self._pieces: list[bytes] = []
        self._held = 0
        self._rest = b""
        self._begun = False

    def feed(self, piece: bytes) -> None:
        """Adds a piece. Small pieces are collected first: splitting few rows takes as long as splitting many."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held >= _CHUNK * ROW_BYTES:
            self._split_pieces()

    def _split_pieces(self) -> None:
        rest = b"".join((self._rest, *self._pieces))
        self._pieces, self._held = [], 0
        start = 0
        if not self._begun:
            if len(rest) < len(HEADER):
                self._rest = rest
                return
            if not rest.startswith(HEADER):
                raise ValueError("this is not a stream of COPY (binary)")
            start, self._begun = len(HEADER), True
        whole = (len(rest) - start) // ROW_BYTES
        self._rest = rest[start + whole * ROW_BYTES :]
        for first in range(start, start + whole * ROW_BYTES, _CHUNK * ROW_BYTES):
            self._split(rest[first : min(first + _CHUNK * ROW_BYTES, start + whole * ROW_BYTES)])

    def end(self) -> None:
        """Ends the stream; ValueError if it is incomplete."""
        self._split_pieces()
        if self._rest != TRAILER:
            raise ValueError("the stream of COPY (binary) was broken off")

    def _split(self, rows: bytes) -> None:
        count = len(rows) // ROW_BYTES
        self.rows += count
        for name, width, start in _FIELDS:
            values = bytearray(count * width)
            for byte in range(width):
                values[byte::width] = rows[start + width - 1 - byte :: ROW_BYTES]
            self.columns[name] += values


def interleave_columns(columns: Mapping[str, memoryview], count: int) -> Iterator[bytes]:
    """Yields the stream of `count` rows in pieces."""
    yield HEADER
    for first in range(0, count, _CHUNK):
        rows = min(_CHUNK, count - first)
        out = bytearray(_EMPTY * rows)
        for name, width, start in _FIELDS:
            values = bytes(columns[name][first * width : (first + rows) * width])
            for byte in range(width):
                out[start + width - 1 - byte :: ROW_BYTES] = values[byte::width]
        yield bytes(out)
    yield TRAILER
