"""Parses JSON strictly and refuses ambiguities that the standard parser silently accepts."""

import json
from typing import Any, NoReturn

from collector.errors import Unreadable

Document = dict[str, Any]


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Unreadable("a key stands twice in one JSON object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not a JSON value")


def strict_json(body: bytes) -> Document:
    """Parse a JSON object; Unreadable for duplicate keys, NaN, bad UTF-8, deep nesting, or no object."""
    # The original errors are not kept: they hold the whole answer, and a token may be in it.
    try:
        document = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise Unreadable("the answer is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the answer is not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise Unreadable("the answer is JSON but not an object")
    return document


def as_sent(value: object) -> str:
    """Convert a decoded value back to JSON text for quarantine; any content becomes storable text."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
