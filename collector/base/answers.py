"""Unchanged answers for a later program to read again: as values, as bytes, and packed.

An entry holds all answers of one walk, refused ones and repeats included, in the order of their arrival. As
bytes it is a length, a head of this length in JSON, then the bodies one after the other. Packed, the head and
each body are compressed; a body is compressed against the nearly equal page of an earlier walk.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from struct import Struct

import msgspec

HEADERS = ("api-id", "cont-yn", "next-key", "resp-cnt", "content-type", "date")
"""Headers to keep: the decoder reads the first four, the others help to explain an answer."""
LEVEL = 6
"""zlib's. Measured on simulated pages: 16.6 bytes a row against 19.8 at level 3, at twice the time."""
MOST_BYTES = 16 << 20
"""Bytes of one entry. A walk of 25 pages has 0.6 MB; an endless list must not fill memory and disk."""

_LENGTH = Struct(">I")
_PAIR = Struct(">H")
_ALONE = 0xFFFF
"""Stands for an index: the body is packed by itself."""
_WINDOW = 32_768
"""The window of deflate in bytes; a page has 25,000."""


class DamagedAnswers(ValueError):
    """Kept answers are unreadable; the text gives the reason."""


class KeptAnswer(msgspec.Struct, frozen=True):
    """One answer with its request. Times are aware; `body` has passed the redactor. `size` is that of the body."""

    api_id: str
    path: str
    asked: str
    page_key: str | None
    status: int
    headers: tuple[tuple[str, str], ...]
    arrived: datetime
    size: int


class _Head(msgspec.Struct, frozen=True):
    requested_at: datetime
    answers: tuple[KeptAnswer, ...]
    dropped: int = 0


# Built here, in one thread: see `struct_types`.
_head_decoder = msgspec.json.Decoder(_Head)


@dataclass
class AnswerLog:
    """The answers of one walk while it is read. `dropped` counts those beyond `MOST_BYTES`."""

    requested_at: datetime | None = None
    answers: list[KeptAnswer] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    size: int = 0
    dropped: int = 0

    def add(self, answer: KeptAnswer, body: bytes, asked_at: datetime) -> None:
        """Keep one more answer, unless the walk has too many bytes already."""
        self.requested_at = self.requested_at or asked_at
        if self.size + len(body) > MOST_BYTES:
            self.dropped += 1
            return
        self.size += len(body)
        self.answers.append(answer)
        self.bodies.append(body)


@dataclass(frozen=True)
class AnswerEntry:
    """All kept answers of one walk, each with its body at the same index."""

    requested_at: datetime
    answers: Sequence[KeptAnswer]
    bodies: Sequence[bytes]
    dropped: int = 0


def kept_headers(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Returns the headers worth keeping, with repeats, in the order of the answer."""
    return tuple((name.lower(), value) for name, value in headers if name.lower() in HEADERS)


def encode_answers(log: AnswerLog) -> bytes:
    """Returns an entry as bytes; b"" without an answer."""
    if log.requested_at is None:
        return b""
    head = msgspec.json.encode(_Head(log.requested_at, tuple(log.answers), log.dropped))
    return b"".join((_LENGTH.pack(len(head)), head, *log.bodies))


def decode_answers(data: bytes) -> AnswerEntry:
    """Returns the entry; DamagedAnswers if the bytes are none."""
    end = _LENGTH.size + _length_at(data, 0)
    head = _decode_head(data[_LENGTH.size : end])
    bodies = []
    for answer in head.answers:
        bodies.append(data[end : end + answer.size])
        end += answer.size
    if end != len(data):
        raise DamagedAnswers(f"it has {len(data):,} bytes, and its head speaks of {end:,}")
    return AnswerEntry(head.requested_at, head.answers, bodies, head.dropped)


def pack(data: bytes, base: AnswerEntry | None) -> bytes:
    """Compress an entry, each body against the same page of `base`, an earlier entry's (None: by itself).

    A part with the pairs follows the head if the pages do not lie at the same index in both.
    """
    entry = decode_answers(data)
    head = data[_LENGTH.size : _LENGTH.size + _length_at(data, 0)]
    bodies = base.bodies if base else ()
    plain = _pair_by_index(len(entry.bodies), len(bodies))
    pairs = _pair_pages(entry, base) if base else plain
    parts = [zlib.compress(head, LEVEL)]
    if pairs != plain:
        parts.append(b"".join(map(_PAIR.pack, (len(pairs), *pairs))))
    for body, pair in zip(entry.bodies, pairs, strict=True):
        packer = zlib.compressobj(LEVEL, zdict=_dictionary(bodies, pair))
        parts.append(packer.compress(body) + packer.flush())
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def unpack(packed: bytes, base: Sequence[bytes]) -> bytes:
    """Returns the entry as bytes; DamagedAnswers if `pack` did not make the data with this base."""
    first, *rest = _split(packed)
    try:
        head = zlib.decompress(first)
        count = len(_decode_head(head).answers)
        has_pairs = len(rest) == count + 1
        pairs = _read_pairs(rest[0]) if has_pairs else _pair_by_index(count, len(base))
        parts = rest[has_pairs:]
        if not len(parts) == len(pairs) == count:
            raise DamagedAnswers(f"it holds {len(rest)} parts, and its head speaks of {count} answers")
        bodies = [
            zlib.decompressobj(zdict=_dictionary(base, pair)).decompress(part, MOST_BYTES)
            for part, pair in zip(parts, pairs, strict=True)
        ]
    except zlib.error:
        raise DamagedAnswers("it does not unpack") from None
    return b"".join((_LENGTH.pack(len(head)), head, *bodies))


def _pair_pages(entry: AnswerEntry, base: AnswerEntry) -> list[int]:
    """Returns the index of the same page in `base` for each body of an entry, `_ALONE` without such a page.

    A refused or repeated request shifts the answers behind it, so the index of an answer is no page number. Of
    several answers for one page the largest counts: the others are refusals.
    """
    indexes: dict[int, int] = {}
    for index, page in enumerate(_page_numbers(base)):
        if page not in indexes or len(base.bodies[index]) > len(base.bodies[indexes[page]]):
            indexes[page] = index
    return [indexes.get(page, _ALONE) for page in _page_numbers(entry)]


def _page_numbers(entry: AnswerEntry) -> list[int]:
    """Returns the page of each answer, from 0: the first has no key, a later one follows the answer with its key."""
    pages: list[int] = []
    following: dict[str, int] = {}
    for index, answer in enumerate(entry.answers):
        page = 0 if answer.page_key is None else following.get(answer.page_key, index)
        pages.append(page)
        following.update((value, page + 1) for name, value in answer.headers if name == "next-key" and value)
    return pages


def _pair_by_index(count: int, bodies: int) -> list[int]:
    return [index if index < bodies else _ALONE for index in range(count)]


def _read_pairs(part: bytes) -> list[int]:
    if len(part) % _PAIR.size:
        raise DamagedAnswers("its pairs of pages are cut")
    count, *pairs = [index for (index,) in _PAIR.iter_unpack(part)] or [0]
    if count != len(pairs):
        raise DamagedAnswers("its pairs of pages are cut")
    return pairs


def _dictionary(bodies: Sequence[bytes], pair: int) -> bytes:
    return bodies[pair][-_WINDOW:] if pair < len(bodies) else b""


def inflate(packed: bytes) -> bytes:
    """Decompresses a text; DamagedAnswers if zlib did not make it."""
    try:
        return zlib.decompressobj().decompress(packed, MOST_BYTES)
    except zlib.error:
        raise DamagedAnswers("it does not unpack") from None


def _split(packed: bytes) -> list[bytes]:
    offsets = [0]
    while offsets[-1] < len(packed):
        offsets.append(offsets[-1] + _LENGTH.size + _length_at(packed, offsets[-1]))
    if offsets[-1] != len(packed) or len(offsets) < 2:
        raise DamagedAnswers("its parts do not add up")
    return [packed[start + _LENGTH.size : end] for start, end in pairwise(offsets)]


def _length_at(data: bytes, offset: int) -> int:
    if len(data) < offset + _LENGTH.size:
        raise DamagedAnswers("it is cut")
    length: int = _LENGTH.unpack_from(data, offset)[0]
    return length


def _decode_head(head: bytes) -> _Head:
    try:
        return _head_decoder.decode(head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DamagedAnswers("its head is not readable") from None
