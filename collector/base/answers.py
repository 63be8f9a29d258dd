"""Answers as they came, kept so that a later program can read them again: as values, as bytes, and packed.

An entry holds all answers of one walk, refused ones and repeats included, in the order of their arrival. As
bytes it is a head in JSON behind its length, then the bodies one after the other. Packed, the head and each
body are compressed; a body is compressed against the same page of an earlier walk, which says nearly the same.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise, zip_longest
from struct import Struct

import msgspec

HEADERS = ("api-id", "cont-yn", "next-key", "resp-cnt", "content-type", "date")
"""Headers that are kept: the decoder reads the first four, the others help to explain an answer."""
LEVEL = 6
"""zlib's. Measured on simulated pages: 16.6 bytes a row against 19.8 at level 3, at twice the time."""
MOST_BYTES = 16 << 20
"""Bytes of one entry. A walk of 25 pages has 0.6 MB; an endless list must not fill memory and disk."""

_LENGTH = Struct(">I")
_WINDOW = 32_768
"""Bytes that deflate looks back; a page has 25,000."""


class DamagedAnswers(ValueError):
    """Kept answers cannot be read back; the text says why."""


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
    """The headers worth keeping, in the order and the number in which they came."""
    return tuple((name.lower(), value) for name, value in headers if name.lower() in HEADERS)


def encode_answers(log: AnswerLog) -> bytes:
    """An entry as bytes; b"" where no answer came."""
    if log.requested_at is None:
        return b""
    head = msgspec.json.encode(_Head(log.requested_at, tuple(log.answers), log.dropped))
    return b"".join((_LENGTH.pack(len(head)), head, *log.bodies))


def decode_answers(data: bytes) -> AnswerEntry:
    """The entry; DamagedAnswers where the bytes are not one."""
    end = _LENGTH.size + _length_at(data, 0)
    head = _decode_head(data[_LENGTH.size : end])
    bodies = []
    for answer in head.answers:
        bodies.append(data[end : end + answer.size])
        end += answer.size
    if end != len(data):
        raise DamagedAnswers(f"it has {len(data):,} bytes, and its head speaks of {end:,}")
    return AnswerEntry(head.requested_at, head.answers, bodies, head.dropped)


def pack(data: bytes, base: Sequence[bytes]) -> bytes:
    """Compress an entry, each body against the body of the same index in `base`, an earlier entry's."""
    entry = decode_answers(data)
    head = data[_LENGTH.size : _LENGTH.size + _length_at(data, 0)]
    parts = [zlib.compress(head, LEVEL)]
    for body, before in zip_longest(entry.bodies, base[: len(entry.bodies)], fillvalue=b""):
        packer = zlib.compressobj(LEVEL, zdict=before[-_WINDOW:])
        parts.append(packer.compress(body) + packer.flush())
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def unpack(packed: bytes, base: Sequence[bytes]) -> bytes:
    """The entry as bytes; DamagedAnswers where they are not what `pack` has made with this base."""
    first, *rest = _split(packed)
    try:
        head = zlib.decompress(first)
        answers = _decode_head(head).answers
        if len(answers) != len(rest):
            raise DamagedAnswers(f"it holds {len(rest)} answers, and its head speaks of {len(answers)}")
        bodies = [
            zlib.decompressobj(zdict=before[-_WINDOW:]).decompress(part, MOST_BYTES)
            for part, before in zip_longest(rest, base[: len(rest)], fillvalue=b"")
        ]
    except zlib.error:
        raise DamagedAnswers("it does not unpack") from None
    return b"".join((_LENGTH.pack(len(head)), head, *bodies))


def inflate(packed: bytes) -> bytes:
    """A text that zlib has compressed; DamagedAnswers where it is none."""
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
        return msgspec.json.decode(head, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DamagedAnswers("its head is not readable") from None
