"""Extracts the visible words of an answer outside JSON, on one line.

A gateway, a firewall or a maintenance notice answers with HTML or with plain text, in UTF-8 or in the older
encoding of Korean systems. Only the first 16 KiB are read.
"""

import re
from enum import StrEnum

LONGEST = 200
"""Most characters shown of a page."""
_LOOKED_AT = 16_384
_SNIFFED = 512
"""Bytes in which the first non-blank character must be."""
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_UNSEEN = re.compile(r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title\b[^>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*(?:>|$)")
# Numeric entities stay unread: they could spell out a quoted secret unseen by the redactor.
_ENTITIES = {"&nbsp;": " ", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
_STRUCTURE = re.compile(r"[{}]|\"\s{0,9}:")
"""The start of JSON in a text: it may hold a token, so nothing from there on is shown."""
_NUMERIC = re.compile(r"&#\w{1,8};")


class Content(StrEnum):
    """The kind of a body by its bytes: the header Content-Type is often wrong."""

    JSON = "JSON"
    HTML = "HTML"
    TEXT = "text"
    """Words, such as `Service Unavailable`."""
    EMPTY = "nothing"
    OTHER = "something else"


def content_of(body: bytes) -> Content:
    """Return the kind of a body; JSON means a beginning like JSON, not valid JSON."""
    if not body.strip():
        return Content.EMPTY
    start = _decode(body[:_SNIFFED]).lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return Content.HTML
    if start[:1] in tuple('{["') or body[:4] == b"null":
        return Content.JSON
    return Content.TEXT if _is_prose(start) else Content.OTHER


def words_of(body: bytes) -> str:
    """Return the words of a page or a text: printable, on one line, at most 200 characters; "" if there are
    none."""
    text = _decode(body[:_LOOKED_AT])
    if content_of(body) is Content.HTML:
        text = _visible(text)
    elif content_of(body) is not Content.TEXT:
        return ""
    return shorten(_STRUCTURE.split(text, maxsplit=1)[0], LONGEST)


def shorten(text: str, most: int) -> str:
    """Shorten a text to `most` characters: printable, on one line, without repeated blanks."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:most].strip()


def _visible(html: str) -> str:
    """Return the title, then the visible body beyond it."""
    html = _UNSEEN.sub(" ", html)
    match = _TITLE.search(html)
    title = _plain(match[1]) if match else ""
    shown = _plain(_TAG.sub(" ", _TITLE.sub(" ", html)))
    return shown if shown.startswith(title) else f"{title}: {shown}" if shown else title


def _plain(text: str) -> str:
    text = _NUMERIC.sub(" ", text)
    for entity, char in _ENTITIES.items():
        text = text.replace(entity, char)
    return " ".join(text.split())


def _decode(body: bytes) -> str:
    """Decode UTF-8, else UTF-16 with its mark, else the older encoding of Korean systems."""
    encoding = _MARKS.get(body[:2])
    if encoding is not None:
        return body.decode(encoding, "replace")
    cut = body[: len(body) - _split_character(body)]
    try:
        return cut.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp949", "replace")


def _split_character(body: bytes) -> int:
    """Count the bytes at the end of an incomplete UTF-8 character, split by the cut."""
    for length in range(1, min(4, len(body) + 1)):
        byte = body[-length]
        if byte >= 0xC0:
            return length if length < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
        if byte < 0x80:
            return 0
    return 0


def _is_prose(text: str) -> bool:
    """Whether a text is a sentence: two words, or Korean, and no unprintable character."""
    text = text.strip()
    if not text or any(not (char.isprintable() or char.isspace()) for char in text) or "\ufffd" in text:
        return False
    if _STRUCTURE.search(text):
        return False
    has_hangul = any("가" <= char <= "힣" for char in text)
    return has_hangul or (len(text.split()) > 1 and any(char.isalpha() for char in text))
