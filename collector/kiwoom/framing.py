"""Finds the end of an HTTP answer; every byte after it is surplus.

HTTP/1.1 matches answers to requests by their order alone, so a client that overlooks surplus bytes takes them
for the answer to its next request. This module is pure; `connections` applies it to the bytes of a
connection.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

_LONGEST_HEAD = 1 << 20
"""Longest head in bytes; the HTTP library refuses a head long before that."""
_LONGEST_LINE = 1 << 12
"""Longest line in bytes that announces a chunk, or longest trailer."""
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding):(.*?)(?=\r\n|\Z)", re.IGNORECASE | re.DOTALL)
"""The headers that give the end of a body, each up to the end of its line."""


class Ending(Enum):
    """The way a head gives the end of its body."""

    LENGTH = auto()
    CHUNKS = auto()
    INTERIM = auto()
    """An informational answer (1xx): it has no body, and the final answer follows."""
    UNKNOWN = auto()
    """No end is given, or two readers may understand it differently."""


@dataclass(frozen=True, slots=True)
class Head:
    """The body's end according to the head; `length` counts bytes and is 0 unless `ending` is LENGTH."""

    ending: Ending
    length: int = 0


def parse_head(head: bytes) -> Head:
    """Read status and length from a head without its empty line; UNKNOWN if anything is unusual."""
    status = head[9:12]
    if not head.startswith(b"HTTP/1.") or not status.isdigit():
        return Head(Ending.UNKNOWN)
    if status.startswith(b"1"):
        return Head(Ending.UNKNOWN if status == b"101" else Ending.INTERIM)
    if status in (b"204", b"304"):
        return Head(Ending.LENGTH)
    return _parse_length(_FRAMING.findall(head))


def _parse_length(headers: list[tuple[bytes, bytes]]) -> Head:
    """Read the headers that give the end of a body; UNKNOWN unless there is exactly one of them."""
    if len(headers) != 1:
        return Head(Ending.UNKNOWN)
    name, value = headers[0][0].lower(), headers[0][1].strip()
    if name == b"transfer-encoding" and value.lower() == b"chunked":
        return Head(Ending.CHUNKS)
    if name == b"content-length" and value.isdigit() and len(value) < 16:
        return Head(Ending.LENGTH, int(value))
    return Head(Ending.UNKNOWN)


class _Part(Enum):
    HEAD = auto()
    BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    TRAILER = auto()
    OVER = auto()
    LOST = auto()


class AnswerFrame:
    """Follows the bytes of one answer to its last byte, interim answers before it included.

    An answer with an uncertain end never ends here: its connection serves no other request.
    """

    def __init__(self) -> None:
        self._part = _Part.HEAD
        self._line = b""
        """The incomplete head or line."""
        self._left = 0
        """Remaining bytes of the body or the chunk."""

    @property
    def is_over(self) -> bool:
        return self._part is _Part.OVER

    def feed(self, data: bytes) -> int:
        """Consume the next bytes; return the number of bytes of the answer. The rest is surplus."""
        at = 0
        while at < len(data) and self._part not in (_Part.OVER, _Part.LOST):
            at = self._skip(data, at) if self._left else self._read_line(data, at)
        return len(data) if self._part is _Part.LOST else at

    def _skip(self, data: bytes, at: int) -> int:
        """Count bytes of a body or a chunk."""
        size = min(self._left, len(data) - at)
        self._left -= size
        if not self._left:
            self._part = _Part.OVER if self._part is _Part.BODY else _Part.CHUNK_SIZE
        return at + size

    def _read_line(self, data: bytes, at: int) -> int:
        """Collect a head or a line up to its end, and act on it."""
        end, longest = (b"\r\n\r\n", _LONGEST_HEAD) if self._part is _Part.HEAD else (b"\r\n", _LONGEST_LINE)
        before = len(self._line)
        self._line += data[at:]
        where = self._line.find(end, max(0, before - len(end) + 1))
        if max(where, len(self._line) if where < 0 else 0) > longest:
            self._part = _Part.LOST
        if where < 0 or self._part is _Part.LOST:
            return len(data)
        line, self._line = self._line[:where], b""
        self._act(line)
        return at + where + len(end) - before

    def _act(self, line: bytes) -> None:
        if self._part is _Part.HEAD:
            self._begin_body(parse_head(line))
        elif self._part is _Part.CHUNK_SIZE:
            self._begin_chunk(line.partition(b";")[0].strip())
        elif not line:  # the empty line after the trailers
            self._part = _Part.OVER

    def _begin_body(self, head: Head) -> None:
        self._left = head.length
        if head.ending is Ending.LENGTH:
            self._part = _Part.BODY if head.length else _Part.OVER
        elif head.ending is Ending.CHUNKS:
            self._part = _Part.CHUNK_SIZE
        else:
            self._part = _Part.HEAD if head.ending is Ending.INTERIM else _Part.LOST

    def _begin_chunk(self, size: bytes) -> None:
        """Begin a chunk of this hexadecimal size; the CR and LF after a chunk are counted with it."""
        if not size or len(size) > 15 or size.strip(b"0123456789abcdefABCDEF"):
            self._part = _Part.LOST
        elif value := int(size, 16):
            self._part, self._left = _Part.CHUNK, value + 2
        else:
            self._part = _Part.TRAILER
