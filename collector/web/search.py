"""Search by name, code and initial consonants (초성). Pure.

`ㅅㅅㅈㅈ` matches 삼성전자, and so does every mixture such as `삼ㅅ전`. The last syllable may be incomplete: `삼서`
matches 삼성, as it does while a Korean input method composes it. Blanks and case have no effect.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

LONGEST = 50
"""Characters of a query; the longest name of a listing has 40."""
_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
# Input methods join two consonants to one letter as soon as there is one: ㄱ and ㅅ become ㄳ.
_CLUSTERS = {
    "ㄳ": "ㄱㅅ",
    "ㄵ": "ㄴㅈ",
    "ㄶ": "ㄴㅎ",
    "ㄺ": "ㄹㄱ",
    "ㄻ": "ㄹㅁ",
    "ㄼ": "ㄹㅂ",
    "ㄽ": "ㄹㅅ",
    "ㄾ": "ㄹㅌ",
    "ㄿ": "ㄹㅍ",
    "ㅀ": "ㄹㅎ",
    "ㅄ": "ㅂㅅ",
}
_FIRST, _LAST = ord("가"), ord("힣")
_OF_INITIAL, _OF_VOWEL = 588, 28
"""Syllables of Unicode with the same initial, and with the same initial and vowel."""

T = TypeVar("T")


class SearchEntry(NamedTuple, Generic[T]):
    """One thing to find. `keys` are its normalised codes and names; the first is its own code."""

    subject: T
    keys: tuple[str, ...]
    text: str
    """All keys in one, so that one search judges the entry."""


@dataclass(frozen=True)
class Matches(Generic[T]):
    """The best matches, and the count of all."""

    best: Sequence[T]
    count: int


def make_entry(subject: T, code: str, *others: str) -> SearchEntry[T]:
    """An entry with a code, and with names or further codes."""
    keys = tuple(key for key in map(normalize, (code, *others)) if key)
    return SearchEntry(subject, keys, "\n" + "\n".join(keys))


def normalize(text: str) -> str:
    """The text in composed letters, in lower case, without blanks and control characters."""
    joined = "".join(unicodedata.normalize("NFC", text).casefold().split())
    return joined if joined.isprintable() else "".join(filter(str.isprintable, joined))


def search(entries: Iterable[SearchEntry[T]], query: str, limit: int) -> Matches[T]:
    """Entries with the query in a key: equal keys first, then keys that begin with it, then the shortest."""
    wanted = normalize(query)
    for cluster, letters in _CLUSTERS.items():
        wanted = wanted.replace(cluster, letters)
    if not wanted:
        return Matches((), 0)
    body = "".join(_letter(char, is_last=index == len(wanted) - 1) for index, char in enumerate(wanted))
    anywhere, whole, start = re.compile(body), re.compile(f"\n{body}(?=\n|$)"), re.compile(f"\n{body}")
    matching = [entry for entry in entries if anywhere.search(entry.text)]

    def rank(entry: SearchEntry[T]) -> tuple[int, int, str]:
        grade = 0 if whole.search(entry.text) else 1 if start.search(entry.text) else 2
        return grade, len(entry.keys[1]) if len(entry.keys) > 1 else 0, entry.keys[0]

    best = sorted(matching, key=rank)[:limit]
    return Matches([entry.subject for entry in best], len(matching))


def _letter(char: str, *, is_last: bool) -> str:
    """The pattern of one letter of a query."""
    if char in _INITIALS:
        first = _FIRST + _INITIALS.index(char) * _OF_INITIAL
        return f"[{char}{chr(first)}-{chr(first + _OF_INITIAL - 1)}]"
    code = ord(char)
    if is_last and _FIRST <= code <= _LAST and (code - _FIRST) % _OF_VOWEL == 0:
        return f"[{char}-{chr(code + _OF_VOWEL - 1)}]"
    return re.escape(char)
