"""Removes secrets from the server's answers: whole or in part, in any spelling.

A gateway's error may quote the request, and its text is shown, logged and stored. No eight consecutive
characters of a secret remain: plain, in other case, escaped (JSON, percent, HTML), in base64 or hexadecimal,
or with separators between. This module does not interpret the answer.
"""

import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from html import unescape

from collector.secret import Secret

RUN = 8
"""Consecutive characters that reveal a secret."""
_SHORTEST = 12
"""Shortest secret in characters. A shorter one occurs in tests only: Kiwoom's keys and tokens are longer, and
a short text may be a price."""
_SMALL = 1024
"""Bytes of an answer that is searched as a whole, quotes included."""
_REMEMBERED = 50_000
"""Most known clean pieces of text; a day's pages have some 3,000 names and a few ten thousand volumes."""
_MASK = "***"
_PIECES = re.compile(rb'"([^"]{%d,}+)' % RUN)
"""The pieces behind each quote. The search of a page takes 103 µs, and 181 without the quote and without `+`."""
_SYMBOLS = re.compile(
    r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\.|%[0-9a-f]{2}|&#x[0-9a-f]{1,6};|&#[0-9]{1,7};|&[a-z]{2,8};|.",
    re.DOTALL | re.IGNORECASE,
)
_ESCAPE = re.compile(rb"[\\%&]")
_SEPARATORS = frozenset("-\"',.:;|\\")


class Redactor:
    """Removes secrets from answers; it learns each secret that is sent."""

    def __init__(self) -> None:
        self._known: set[Secret] = set()
        self._plain = _Windows()
        self._letters = _Windows()
        self._forms: list[bytes] = []
        self._clean: set[bytes] = set()

    def learn(self, secrets: Sequence[Secret]) -> None:
        for secret in secrets:
            if secret not in self._known and len(secret.reveal()) >= _SHORTEST:
                self._known.add(secret)
                self._clean.clear()
                self._forms += [form.encode("utf-8", "surrogatepass") for form in _forms(secret.reveal())]
                _add(secret.reveal(), self._plain, self._letters)

    def redact(self, body: bytes, *, is_error: bool = False) -> bytes:
        """Return the answer with `***` for each part of a secret; the same bytes object if there is none.

        A page is searched by the pieces between its quotes. Nearly all of them were on an earlier page, so
        most pages cost one pass of a regular expression. An error is searched across quotes.
        """
        if not self._known:
            return body
        if is_error or len(body) < _SMALL:
            return self._mask(body)
        pieces = _PIECES.findall(b'"' + body)
        if self._clean.issuperset(pieces):
            return body
        unknown = set(pieces) - self._clean
        if any(self._mask(piece) != piece for piece in self._suspects(unknown)):
            return self._mask(body)
        if len(self._clean) + len(unknown) > _REMEMBERED:
            self._clean.clear()
        self._clean |= unknown
        return body

    def _suspects(self, pieces: Set[bytes]) -> Set[bytes]:
        """The pieces that may hold a part of a secret: a few, or all of them."""
        escaped = {piece for piece in pieces if _ESCAPE.search(piece)}
        return escaped if self._is_clean(b'"'.join(pieces - escaped)) else pieces

    def _is_clean(self, text: bytes) -> bool:
        """Whether a text surely holds no part of a secret between two quotes: a quick look."""
        if _ESCAPE.search(text) or any(form in text for form in self._forms):
            return False
        chars = text.decode("utf-8", "surrogateescape")
        return not (
            self._plain.occur_in(chars.translate(_SYMBOL_OF))
            or self._letters.occur_in(chars.translate(_LETTER_OF))
        )

    def _mask(self, body: bytes) -> bytes:
        for form in self._forms:
            body = body.replace(form, _MASK.encode())
        if self._is_clean(body.replace(b'"', b"")):
            return body
        text = body.decode("utf-8", "surrogateescape")
        symbols = [symbol for symbol in _read_symbols(text) if not _is_separator(symbol[0])]
        letters = [symbol for symbol in symbols if symbol[0].isalnum()]
        spans = [*self._plain.find(symbols), *self._letters.find(letters)]
        return _cover(text, spans).encode("utf-8", "surrogateescape") if spans else body


Symbol = tuple[str, int, int]
"""A lower-case character with its start and end in the text."""


class _Windows:
    """The runs of characters that reveal a secret, by their length."""

    def __init__(self) -> None:
        self._runs: defaultdict[int, set[str]] = defaultdict(set)

    def add(self, text: str, size: int) -> None:
        """Add every run of this length. Short runs of digits alone are left out, since they may be a price."""
        for start in range(len(text) - size + 1):
            run = text[start : start + size]
            if size > RUN or not run.isdigit():
                self._runs[size].add(run)

    def occur_in(self, text: str) -> bool:
        """Whether one of the runs is between two quotes of a text of lower-case characters without separators."""
        parts = [part for part in text.split('"') if len(part) >= RUN]
        return any(
            part[start : start + size] in runs
            for size, runs in self._runs.items()
            for part in parts
            for start in range(len(part) - size + 1)
        )

    def find(self, symbols: Sequence[Symbol]) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each run in the text."""
        text = "".join(symbol[0] for symbol in symbols)
        for size, runs in self._runs.items():
            for start in range(len(text) - size + 1):
                if text[start : start + size] in runs:
                    yield symbols[start][1], symbols[start + size - 1][2]


def _forms(value: str) -> frozenset[str]:
    """Return the possible spellings of a whole secret in JSON."""
    return frozenset({value, json.dumps(value)[1:-1], value.replace("/", "\\/")})


def _add(value: str, plain: _Windows, letters: _Windows) -> None:
    """Add a secret: as it is, by its letters and digits alone, in hexadecimal, and in base64 at each alignment.

    Eight characters are ten or eleven of base64. Nine of these depend on the eight alone, and one may be a
    symbol.
    """
    small = value.lower()
    plain.add("".join(char for char in small if not _is_separator(char)), RUN)
    letters.add("".join(filter(str.isalnum, small)), RUN)
    raw = value.encode("utf-8", "surrogatepass")
    letters.add(raw.hex(), 2 * RUN)
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        encoded = b64encode(b"\0" * before + raw).decode()[first:end].lower()
        letters.add("".join(filter(str.isalnum, encoded)), RUN)


def _is_separator(char: str) -> bool:
    return char.isspace() or char in _SEPARATORS or not char.isprintable()


class _Translation(dict[int, str]):
    """For `str.translate`: the lower-case form of a character, or nothing if it is not searched. Quotes stay."""

    def __init__(self, is_searched: Callable[[str], bool]) -> None:
        super().__init__({ord('"'): '"'})
        self._is_searched = is_searched

    def __missing__(self, code: int) -> str:
        found = "".join(filter(self._is_searched, chr(code).lower()))
        if code < 0x10000:  # few answers have others, and a hostile one might have all
            self[code] = found
        return found


_SYMBOL_OF = _Translation(lambda char: not _is_separator(char))
_LETTER_OF = _Translation(lambda char: char.isalnum() and not _is_separator(char))


def _read_symbols(text: str) -> Iterator[Symbol]:
    for match in _SYMBOLS.finditer(text):
        for char in _unescape(match[0]).lower():
            yield char, match.start(), match.end()


def _unescape(symbol: str) -> str:
    """Return the character behind an escape of JSON, Python, a URL or HTML; a line end becomes a separator."""
    if len(symbol) == 1:
        return symbol
    if symbol[0] == "%":
        return chr(int(symbol[1:], 16))
    if symbol[0] == "&":
        return unescape(symbol)
    return (
        chr(int(symbol[2:], 16))
        if symbol[1] in "uUxX" and len(symbol) > 2
        else _ESCAPED.get(symbol[1], symbol[1])
    )


_ESCAPED = dict.fromkeys("nrtbf", " ")


def _cover(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return the text with one mask for each contiguous range of spans."""
    parts: list[str] = []
    covered = 0
    for start, end in sorted(spans):
        if start > covered or not parts:
            parts += [text[covered:start], _MASK]
        covered = max(covered, end)
    return "".join([*parts, text[covered:]])
